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
  readonly metrics: () => string;
  readonly ready: () => boolean;
  /** For JSON. */
  readonly connections: () => unknown;
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
  const server = createServer((request, response) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      answer(response, 405, 'text/plain', 'only GET\n');
      return;
    }
    switch (new URL(request.url ?? '/', 'http://admin').pathname) {
      case '/metrics':
        answer(response, 200, 'text/plain; version=0.0.4; charset=utf-8', views.metrics());
        return;
      case '/ready':
        if (views.ready()) answer(response, 200, 'text/plain', 'LIVE\n');
        else answer(response, 503, 'text/plain', 'NOT READY\n');
        return;
      case '/connections':
        answer(response, 200, 'application/json', JSON.stringify(views.connections()));
        return;
      default:
        answer(response, 404, 'text/plain', 'there is /metrics, /ready and /connections\n');
    }
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

function answer(response: ServerResponse, status: number, type: string, text: string): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(text) });
  response.end(text);
}
