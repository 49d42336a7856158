/**
 * server.ts: the HTTP listener: from a request to its route, from what the route returned or threw to a reply.
 *
 * Lives here: routing and listening, for plain TCP, TLS and unix sockets alike. Must not live here: any endpoint, what a
 * request holds (request.ts), what a reply looks like (reply.ts). Source: Consul agent/http.go.
 */
import { rm } from 'node:fs/promises';
import {
  createServer,
  type Server as HttpServerOfNode,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type ListenOptions, type Server } from 'node:net';
import type { SecureContextOptions } from 'node:tls';
import router from 'find-my-way';
import { type Authorizer, allowAll } from '../acl/rules.ts';
import { errorReply, FailedRead, type HttpReply, sendReply } from './reply.ts';
import { type HttpRequest, requestOf } from './request.ts';

export { FailedRead, HttpError, type HttpReply, type QueryMeta } from './reply.ts';
export { type HttpRequest, queryOptions } from './request.ts';

export interface HttpRoute {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  /** As find-my-way writes it: `/v1/catalog/node/:name`; a trailing `*` takes the rest. */
  readonly path: string;
  readonly handle: (request: HttpRequest) => Promise<HttpReply> | HttpReply;
}

export interface ApiOptions {
  readonly routes: readonly HttpRoute[];
  /** What the sender of a token may do; throws AccessError for one that is unknown. Default: everything. */
  readonly authorizer?: (secret: string) => Authorizer;
  readonly defaultPolicy?: () => 'allow' | 'deny';
  readonly failed?: (what: {
    readonly method: string;
    readonly path: string;
    readonly error: unknown;
  }) => void;
}

export type HttpBind =
  | { readonly host: string; readonly port: number }
  /** A unix socket. One left behind by a server that died is replaced. */
  | { readonly path: string };

/** Where the certificate comes from; each new connection uses the newest. TlsIdentity has this shape. */
export interface HttpIdentity {
  readonly generation: number;
  readonly serverOptions: SecureContextOptions;
}

export interface HttpTls {
  readonly identity: HttpIdentity;
  /** Whether clients who come now must have a certificate of the same authority. */
  readonly verifyIncoming: () => boolean;
}

export interface HttpServer extends AsyncDisposable {
  /** Of a unix socket its path, and port 0. */
  readonly address: { readonly host: string; readonly port: number };
}

/** Headers of a request, in bytes together: a token, a filter and what proxies add. */
const headerBytesMax = 64 * 1024;

/** The routes as one listener, which may serve several addresses. */
export function createApi(o: ApiOptions): RequestListener {
  const table = router({ maxParamLength: 1024 });
  const verbs = new Map<string, Set<string>>();
  for (const route of o.routes) {
    table.on(route.method, route.path, () => undefined, route);
    verbs.set(route.path, (verbs.get(route.path) ?? new Set()).add(route.method));
  }
  const authorizer = o.authorizer ?? (() => allowAll('everybody'));
  const defaultPolicy = o.defaultPolicy ?? (() => 'allow');

  /** Verbs this path is known for; none for a path nobody serves. */
  const allowed = (path: string): readonly string[] => {
    const found = [...verbs].filter(
      ([pattern, set]) => table.find([...set][0] as 'GET', path)?.store?.path === pattern,
    );
    return [...new Set(found.flatMap(([, set]) => [...set]))].sort();
  };

  async function answer(incoming: IncomingMessage, response: ServerResponse, url: URL): Promise<HttpReply> {
    // HEAD is GET without a body; node leaves the body out by itself.
    const method = incoming.method === 'HEAD' ? 'GET' : (incoming.method ?? 'GET');
    const found = table.find(method as 'GET', url.pathname);
    if (found === null) {
      const names = allowed(url.pathname);
      if (names.length === 0)
        return { status: 404, text: 'Invalid URL path: not a recognized HTTP API endpoint\n' };
      const headers = { Allow: ['OPTIONS', ...names].join(',') };
      if (method === 'OPTIONS') return { text: '', headers };
      return { status: 405, text: `method ${incoming.method} not allowed`, headers };
    }
    const gone = new AbortController();
    // Who has had all of his answer waits for nothing: an error and an event for each would cost a tenth of a read.
    response.once('close', () => {
      if (!response.writableFinished) gone.abort(new Error('the client went away'));
    });
    const request = requestOf({
      incoming,
      response,
      url,
      params: found.params,
      signal: gone.signal,
      authorizer,
    });
    return (found.store as HttpRoute).handle(request);
  }

  return (incoming, response) => {
    const url = urlOf(incoming);
    const send = (reply: HttpReply): Promise<void> =>
      sendReply(incoming, response, url?.searchParams ?? new URLSearchParams(), reply, defaultPolicy());
    const serve = async (): Promise<void> => {
      if (url === undefined) return send({ status: 400, text: 'Invalid URL' });
      return send(await answer(incoming, response, url));
    };
    serve().catch((error: unknown) => {
      // Who has gone needs no answer, and his going is no failure.
      if (response.destroyed) return;
      const cause = error instanceof FailedRead ? error.cause : error;
      o.failed?.({ method: incoming.method ?? '', path: url?.pathname ?? '', error: cause });
      // Whatever is wrong even with that, it must not end the process.
      send(errorReply(error, incoming.headers.accept)).catch(() => response.destroy());
    });
  };
}

export async function openHttp(
  o: ApiOptions & { readonly bind: HttpBind; readonly tls?: HttpTls },
): Promise<HttpServer> {
  return listen({ bind: o.bind, serve: createApi(o), ...(o.tls === undefined ? {} : { tls: o.tls }) });
}

interface Listening {
  readonly server: Server;
  readonly closeAllConnections: () => void;
}

/** Listens at one address. Throws what listening throws. */
export async function listen(o: {
  readonly bind: HttpBind;
  readonly serve: RequestListener;
  readonly tls?: HttpTls;
}): Promise<HttpServer> {
  const options = { maxHeaderSize: headerBytesMax };
  const { server, closeAllConnections } =
    o.tls === undefined ? createPlain(options, o.serve) : createSecure(o.tls, options, o.serve);

  const at: ListenOptions = 'path' in o.bind ? { path: o.bind.path } : o.bind;
  if ('path' in o.bind) await rm(o.bind.path, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(at, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const bound = server.address() as AddressInfo | string;
  return {
    address: typeof bound === 'string' ? { host: bound, port: 0 } : { host: bound.address, port: bound.port },
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      closeAllConnections();
      await closed;
    },
  };
}

function createPlain(options: { readonly maxHeaderSize: number }, serve: RequestListener): Listening {
  const server = withoutTimeLimit(createServer(options, serve));
  return { server, closeAllConnections: () => server.closeAllConnections() };
}

/** Blocking queries are open for minutes; nothing but their own wait ends them. */
function withoutTimeLimit<T extends HttpServerOfNode>(server: T): T {
  server.requestTimeout = 0;
  server.keepAliveTimeout = 120_000;
  return server;
}

/**
 * HTTPS that changes with its certificate and its policy: whoever comes is handed to a server that never listens itself, one of
 * those who ask for a certificate or one of those who do not.
 */
function createSecure(
  { identity, verifyIncoming }: HttpTls,
  options: { readonly maxHeaderSize: number },
  serve: RequestListener,
): Listening {
  const each = [false, true].map((demand) => ({
    generation: identity.generation,
    server: withoutTimeLimit(
      createTlsServer(
        {
          ...options,
          ...identity.serverOptions,
          requestCert: demand,
          rejectUnauthorized: demand,
          minVersion: 'TLSv1.2',
        },
        serve,
      ),
    ),
  }));
  const front = createTcpServer({ noDelay: true }, (socket) => {
    const behind = each[verifyIncoming() ? 1 : 0] as (typeof each)[number];
    if (behind.generation !== identity.generation) {
      behind.generation = identity.generation;
      behind.server.setSecureContext(identity.serverOptions);
    }
    behind.server.emit('connection', socket);
  });
  return {
    server: front,
    closeAllConnections: () => {
      for (const { server } of each) server.closeAllConnections();
    },
  };
}

function urlOf(incoming: IncomingMessage): URL | undefined {
  // A second slash at the beginning would be read as a host.
  return URL.parse(`http://agent${(incoming.url ?? '/').replace(/^\/+/, '/')}`) ?? undefined;
}
