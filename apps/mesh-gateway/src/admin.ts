/**
 * admin.ts: what an operator may look at: metrics, readiness, connections.
 *
 * Lives here: a small HTTP server. Must not live here: the figures. It changes nothing and needs no token, so it belongs
 * on loopback or a management network; names of services pass through it.
 */
import { createServer, type ServerResponse } from 'node:http';
import { type HostPort, renderHostPort } from '@fed/alpn-mux';

export interface AdminViews {
  /** Prometheus text. */
  readonly metrics: () => Promise<string> | string;
  readonly ready: () => boolean;
  /** For JSON. */
  readonly connections: () => unknown;
}

interface Reply {
  readonly status: number;
  readonly type?: string;
  readonly text: string;
}

export class AdminError extends Error {
  override readonly name = 'AdminError';
  readonly code = 'bind_failed';
}

export interface Admin extends AsyncDisposable {
  readonly address: HostPort;
}

/** Resolves once listening. Throws an AdminError. */
export async function openAdmin(bind: HostPort, views: AdminViews): Promise<Admin> {
  const look = async (path: string): Promise<Reply> => {
    switch (path) {
      case '/metrics':
        return { status: 200, type: 'text/plain; version=0.0.4; charset=utf-8', text: await views.metrics() };
      case '/ready':
        return views.ready() ? { status: 200, text: 'LIVE\n' } : { status: 503, text: 'NOT READY\n' };
      case '/connections':
        return { status: 200, type: 'application/json', text: JSON.stringify(await views.connections()) };
      default:
        return { status: 404, text: 'there is /metrics, /ready and /connections\n' };
    }
  };
  const server = createServer((request, response) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      answer(response, { status: 405, text: 'only GET\n' });
      return;
    }
    look(new URL(request.url ?? '/', 'http://admin').pathname).then(
      (reply) => answer(response, reply),
      (e: Error) => answer(response, { status: 500, text: `${e.message}\n` }),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(
        new AdminError(`--admin-bind: cannot listen on ${renderHostPort(bind)}: ${cause.message}`, { cause }),
      ),
    );
    server.listen(bind.port, bind.host, resolve);
  });
  const address = server.address();
  return {
    address:
      address !== null && typeof address !== 'string' ? { host: address.address, port: address.port } : bind,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

function answer(response: ServerResponse, { status, type = 'text/plain', text }: Reply): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(text) });
  response.end(text);
}
