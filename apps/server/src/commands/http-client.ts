/**
 * http-client.ts: what every client command shares: where the agent is, one request, and tables for people.
 */

export interface ClientFlags {
  readonly httpAddr?: string;
  readonly datacenter?: string;
}

/** Says what went wrong and what to try; the command prints it and exits 1. */
export class ClientError extends Error {
  override readonly name = 'ClientError';
  readonly code = 'client';
}

export interface Client {
  get<T>(path: string, query?: Readonly<Record<string, string | undefined>>): Promise<T>;
  put(path: string, query?: Readonly<Record<string, string | undefined>>): Promise<void>;
}

export function createClient(flags: ClientFlags, env: NodeJS.ProcessEnv = process.env): Client {
  const address = flags.httpAddr ?? env['CONSUL_HTTP_ADDR'] ?? '127.0.0.1:8500';
  const base = /^https?:\/\//.test(address) ? address : `http://${address}`;
  const request = async (
    method: string,
    path: string,
    query: Readonly<Record<string, string | undefined>> = {},
  ): Promise<Response> => {
    const url = new URL(path, base);
    for (const [key, value] of Object.entries({ dc: flags.datacenter, ...query }))
      if (value !== undefined) url.searchParams.set(key, value);
    let response: Response;
    try {
      response = await fetch(url, { method });
    } catch (error) {
      const cause = (error as { cause?: { code?: string } }).cause?.code ?? (error as Error).message;
      throw new ClientError(
        `no server answers at ${base} (${cause}); is it running there? --http-addr names another one`,
      );
    }
    if (!response.ok)
      throw new ClientError(
        `Unexpected response code: ${response.status} (${(await response.text()).trim()})`,
      );
    return response;
  };
  return {
    get: async <T>(path: string, query?: Readonly<Record<string, string | undefined>>) =>
      (await (await request('GET', path, query)).json()) as T,
    put: async (path, query) => void (await request('PUT', path, query)),
  };
}

/** Columns as wide as their widest cell, two spaces apart. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows)
    for (const [at, cell] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, cell.length);
  return rows
    .map((row) =>
      row
        .map((cell, at) => (at === row.length - 1 ? cell : cell.padEnd(widths[at] as number)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
