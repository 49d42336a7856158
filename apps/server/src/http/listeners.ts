/**
 * listeners.ts: the addresses the API is served at: plain, TLS, unix socket, each if it is configured.
 */
import { rm } from 'node:fs/promises';
import type { RequestListener } from 'node:http';
import { binding } from '../binding.ts';
import type { Config, HttpAddress } from '../config/config.ts';
import { type HttpIdentity, type HttpServer, listen } from './server.ts';

export interface Listeners extends AsyncDisposable {
  /** As a URL, each. */
  readonly urls: readonly string[];
}

export async function openListeners(o: {
  readonly config: Pick<Config, 'http' | 'https'>;
  /** Whether clients of HTTPS must show a certificate, at the moment. */
  readonly verifyIncoming: () => boolean;
  readonly identity: HttpIdentity;
  readonly serve: RequestListener;
}): Promise<Listeners> {
  const { http, https } = o.config;
  await using opened = new AsyncDisposableStack();
  const urls: string[] = [];
  const open = async (name: 'http' | 'https', at: HttpAddress, tls?: boolean): Promise<void> => {
    if ('port' in at && at.port < 0) return;
    const shown = 'path' in at ? { host: at.path, port: 0 } : at;
    const server: HttpServer = await binding(`ports.${name}`, shown, () =>
      listen({
        bind: at,
        serve: o.serve,
        ...(tls === true ? { tls: { identity: o.identity, verifyIncoming: o.verifyIncoming } } : {}),
      }),
    );
    opened.use(server);
    if ('path' in at) opened.defer(() => rm(at.path, { force: true }));
    const { host, port } = server.address;
    urls.push(
      'path' in at ? `unix://${at.path}` : `${name}://${host.includes(':') ? `[${host}]` : host}:${port}`,
    );
  };
  await open('http', http);
  await open('https', https, true);
  const closing = opened.move();
  return { urls, [Symbol.asyncDispose]: () => closing.disposeAsync() };
}
