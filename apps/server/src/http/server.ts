/**
 * server.ts: the HTTP listener: routing, parameters, bodies, replies and error texts in the original's manner.
 *
 * Lives here: what every endpoint shares. Must not live here: any endpoint. Source: Consul agent/http.go.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { goJson, type JsonValue } from '@fed/fsm';
import router from 'find-my-way';
import { parseDuration } from '../config/duration.ts';

/** Largest request body taken, in bytes (1 MiB). Registrations are a few hundred. */
const bodyBytesMax = 1024 * 1024;

export interface HttpRequest {
  readonly params: Readonly<Record<string, string | undefined>>;
  readonly query: URLSearchParams;
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal;
  /** The body as JSON; an empty one is undefined. Throws HttpError 400. */
  json(): Promise<unknown>;
}

export interface QueryMeta {
  readonly index: number;
  readonly knownLeader: boolean;
  readonly lastContactMs: number;
}

export interface HttpReply {
  readonly status?: number;
  /** Something of our own, as plain JSON. */
  readonly json?: unknown;
  /** Rows and the like, printed as Go prints them. */
  readonly go?: JsonValue;
  readonly text?: string;
  readonly contentType?: string;
  readonly meta?: QueryMeta;
}

export interface HttpRoute {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  /** As find-my-way writes it: `/v1/catalog/node/:name`; a trailing `*` takes the rest. */
  readonly path: string;
  readonly handle: (request: HttpRequest) => Promise<HttpReply> | HttpReply;
}

/** Ends a request with this status and text. */
export class HttpError extends Error {
  override readonly name = 'HttpError';
  readonly code = 'http';
  readonly status: number;

  constructor(status: number, text: string) {
    super(text);
    this.status = status;
  }
}

export interface HttpServer extends AsyncDisposable {
  readonly address: { readonly host: string; readonly port: number };
}

export async function openHttp(o: {
  readonly bind: { readonly host: string; readonly port: number };
  readonly routes: readonly HttpRoute[];
  readonly failed?: (what: {
    readonly method: string;
    readonly path: string;
    readonly error: unknown;
  }) => void;
}): Promise<HttpServer> {
  const table = router({ ignoreTrailingSlash: true });
  const verbs = new Map<string, Set<string>>();
  for (const route of o.routes) {
    table.on(route.method, route.path, () => undefined, route);
    verbs.set(route.path, (verbs.get(route.path) ?? new Set()).add(route.method));
  }

  const server = createServer((incoming, response) => {
    void serve(incoming, response).catch((error: unknown) => {
      o.failed?.({ method: incoming.method ?? '', path: incoming.url ?? '', error });
      reply(incoming, response, new URLSearchParams(), errorReply(error));
    });
  });
  // Blocking queries are open for minutes; nothing but their own wait ends them.
  server.requestTimeout = 0;
  server.keepAliveTimeout = 120_000;

  async function serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(incoming.url ?? '/', 'http://agent');
    // HEAD is GET without a body; node leaves the body out by itself.
    const method = incoming.method === 'HEAD' ? 'GET' : (incoming.method ?? 'GET');
    const found = table.find(method as 'GET', url.pathname);
    if (found === null) {
      const allowed = [...verbs.entries()].filter(
        ([path]) => table.find(firstVerb(verbs.get(path)), url.pathname)?.store?.path === path,
      );
      if (allowed.length === 0)
        return reply(incoming, response, url.searchParams, {
          status: 404,
          text: `Invalid URL path: not a recognized HTTP API endpoint`,
        });
      const names = [...new Set(allowed.flatMap(([, set]) => [...set]))].join(',');
      response.setHeader('Allow', names);
      return reply(incoming, response, url.searchParams, {
        status: 405,
        text: `method ${incoming.method} not allowed`,
      });
    }
    const gone = new AbortController();
    response.once('close', () => gone.abort(new Error('the client went away')));
    const answer = await (found.store as HttpRoute).handle({
      params: found.params,
      query: url.searchParams,
      signal: gone.signal,
      json: () => readJson(incoming),
    });
    reply(incoming, response, url.searchParams, answer);
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(o.bind.port, o.bind.host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const { address, port } = server.address() as AddressInfo;
  return {
    address: { host: address, port },
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

/** The blocking and consistency parameters every read takes. Throws HttpError 400 with the original's texts. */
export function queryOptions(query: URLSearchParams): {
  readonly minIndex: number;
  readonly waitMs: number;
  readonly stale: boolean;
  readonly consistent: boolean;
} {
  const index = query.get('index') ?? '0';
  if (!/^\d{1,15}$/.test(index)) throw new HttpError(400, 'Invalid index');
  const wait = query.get('wait');
  const waitMs = wait === null ? 0 : parseDuration(wait);
  if (waitMs === undefined || waitMs < 0) throw new HttpError(400, 'Invalid wait time');
  const stale = query.has('stale');
  const consistent = query.has('consistent');
  if (stale && consistent)
    throw new HttpError(400, 'Cannot specify ?stale with ?consistent, conflicting semantics.');
  return { minIndex: Number(index), waitMs, stale, consistent };
}

function reply(
  incoming: IncomingMessage,
  response: ServerResponse,
  query: URLSearchParams,
  answer: HttpReply,
): void {
  if (response.headersSent || response.destroyed) return;
  response.statusCode = answer.status ?? 200;
  response.setHeader('Vary', 'Accept-Encoding');
  response.setHeader('X-Consul-Default-Acl-Policy', 'allow');
  if (answer.meta !== undefined) {
    response.setHeader('X-Consul-Index', String(answer.meta.index));
    response.setHeader('X-Consul-Knownleader', String(answer.meta.knownLeader));
    response.setHeader('X-Consul-Lastcontact', String(Math.round(answer.meta.lastContactMs)));
  }
  let body = '';
  if (answer.json !== undefined) {
    response.setHeader('Content-Type', 'application/json');
    const pretty = query.has('pretty');
    body = JSON.stringify(answer.json, undefined, pretty ? 4 : undefined) + (pretty ? '\n' : '');
  } else if (answer.go !== undefined) {
    response.setHeader('Content-Type', 'application/json');
    const pretty = query.has('pretty');
    body = goJson(answer.go, { pretty }) + (pretty ? '\n' : '');
  } else if (answer.text !== undefined) {
    response.setHeader('Content-Type', answer.contentType ?? 'text/plain; charset=utf-8');
    body = answer.text;
  }
  // A body we did not read must not be taken for the next request.
  if (!incoming.complete) response.setHeader('Connection', 'close');
  response.end(body);
}

function errorReply(error: unknown): HttpReply {
  if (error instanceof HttpError) return { status: error.status, text: error.message };
  const text = error instanceof Error ? error.message : String(error);
  if (/Permission denied|ACL not found/.test(text)) return { status: 403, text };
  return { status: 500, text, meta: { index: 1, knownLeader: false, lastContactMs: 0 } };
}

async function readJson(incoming: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > bodyBytesMax)
      throw new HttpError(413, `Request body too large, max allowed ${bodyBytesMax} bytes`);
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString('utf8').trim();
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new HttpError(400, `Request decode failed: ${(error as Error).message}`);
  }
}

function firstVerb(verbs: ReadonlySet<string> | undefined): 'GET' {
  return [...(verbs ?? [])][0] as 'GET';
}
