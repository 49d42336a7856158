/**
 * http-client.ts: what every client command shares: where the agent is, one request, and tables for people.
 */
import { readFileSync } from 'node:fs';
import { type ClientRequest, type IncomingMessage, request as requestPlain } from 'node:http';
import { type RequestOptions, request as requestTls } from 'node:https';

export interface ClientFlags {
  readonly httpAddr?: string;
  readonly datacenter?: string;
  readonly token?: string;
  readonly tokenFile?: string;
  readonly caFile?: string;
  readonly clientCert?: string;
  readonly clientKey?: string;
  readonly tlsServerName?: string;
}

type Query = Readonly<Record<string, string | undefined>>;

/** Says what went wrong and what to try; the command prints it and exits 1. */
export class ClientError extends Error {
  override readonly name = 'ClientError';
  readonly code = 'client';
}

export interface Client {
  get<T>(path: string, query?: Query): Promise<T>;
  bytes(path: string, query?: Query): Promise<Buffer>;
  put(path: string, query?: Query, body?: Uint8Array): Promise<void>;
  /** Another verb, where nothing is answered. */
  send(method: string, path: string, query?: Query, body?: Uint8Array): Promise<void>;
  /** A PUT where the answer says something, as JSON. */
  putFor<T>(path: string, query?: Query, body?: Uint8Array): Promise<T>;
  /** The same with another verb. */
  sendFor<T>(method: string, path: string, query?: Query): Promise<T>;
}

/** Flags win over the environment, which has the original's names. */
export function createClient(flags: ClientFlags, env: NodeJS.ProcessEnv = process.env): Client {
  const address = flags.httpAddr ?? env['CONSUL_HTTP_ADDR'] ?? '127.0.0.1:8500';
  const secure = ['1', 'true'].includes(env['CONSUL_HTTP_SSL'] ?? '');
  const base = /^(https?|unix):\/\//.test(address) ? address : `${secure ? 'https' : 'http'}://${address}`;
  const token = tokenOf(flags, env);
  const tls = tlsOf(flags, env);
  const socketPath = /^unix:\/\/(.+)$/.exec(base)?.[1];

  const request = async (method: string, path: string, query: Query, body?: Uint8Array): Promise<Buffer> => {
    const url = new URL(path, socketPath === undefined ? base : 'http://localhost');
    for (const [key, value] of Object.entries({ dc: flags.datacenter, ...query }))
      if (value !== undefined) url.searchParams.set(key, value);
    const options: RequestOptions = {
      method,
      agent: false,
      headers: {
        ...(token === undefined ? {} : { 'X-Consul-Token': token }),
        // Node says it by itself for some verbs only.
        ...(body === undefined ? {} : { 'Content-Length': String(body.length) }),
      },
      ...(socketPath === undefined ? {} : { socketPath }),
    };
    const sent =
      url.protocol === 'https:' ? requestTls(url, { ...options, ...tls }) : requestPlain(url, options);
    const { response, bytes } = await exchange(sent, body, base);
    if (response.statusCode !== 200)
      throw new ClientError(
        `Unexpected response code: ${response.statusCode} (${bytes.toString('utf8').trim()})`,
      );
    return bytes;
  };
  return {
    get: async <T>(path: string, query: Query = {}) =>
      JSON.parse((await request('GET', path, query)).toString('utf8')) as T,
    bytes: (path, query = {}) => request('GET', path, query),
    put: async (path, query = {}, body) => void (await request('PUT', path, query, body)),
    send: async (method, path, query = {}, body) => void (await request(method, path, query, body)),
    sendFor: async <T>(method: string, path: string, query: Query = {}) =>
      JSON.parse((await request(method, path, query)).toString('utf8')) as T,
    putFor: async <T>(path: string, query: Query = {}, body?: Uint8Array) =>
      JSON.parse((await request('PUT', path, query, body)).toString('utf8') || '{}') as T,
  };
}

async function exchange(
  sent: ClientRequest,
  body: Uint8Array | undefined,
  base: string,
): Promise<{ readonly response: IncomingMessage; readonly bytes: Buffer }> {
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      sent.once('response', resolve).once('error', reject);
      sent.end(body);
    });
    const chunks: Buffer[] = [];
    for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
    return { response, bytes: Buffer.concat(chunks) };
  } catch (error) {
    const cause = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
    if (/CERT|ISSUER|SIGNATURE/.test(cause))
      throw new ClientError(
        `the certificate of ${base} is not trusted (${cause}); --ca-file names its authority, --tls-server-name the name in it`,
        { cause: error },
      );
    throw new ClientError(
      `no server answers at ${base} (${cause}); is it running there? --http-addr names another one`,
      { cause: error },
    );
  }
}

function tokenOf(flags: ClientFlags, env: NodeJS.ProcessEnv): string | undefined {
  const file = flags.tokenFile ?? env['CONSUL_HTTP_TOKEN_FILE'];
  const token =
    flags.token ?? (file === undefined ? env['CONSUL_HTTP_TOKEN'] : readNamed('token file', file).trim());
  return token === '' ? undefined : token;
}

function tlsOf(flags: ClientFlags, env: NodeJS.ProcessEnv): RequestOptions {
  const ca = flags.caFile ?? env['CONSUL_CACERT'];
  const cert = flags.clientCert ?? env['CONSUL_CLIENT_CERT'];
  const key = flags.clientKey ?? env['CONSUL_CLIENT_KEY'];
  const servername = flags.tlsServerName ?? env['CONSUL_TLS_SERVER_NAME'];
  return {
    ...(ca === undefined ? {} : { ca: readNamed('CA file', ca) }),
    ...(cert === undefined ? {} : { cert: readNamed('client certificate', cert) }),
    ...(key === undefined ? {} : { key: readNamed('client key', key) }),
    ...(servername === undefined ? {} : { servername }),
    rejectUnauthorized: !['0', 'false'].includes(env['CONSUL_HTTP_SSL_VERIFY'] ?? ''),
  };
}

function readNamed(what: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new ClientError(`${what} ${path}: cannot be read (${(error as NodeJS.ErrnoException).code})`, {
      cause: error,
    });
  }
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
