/**
 * certificates.ts: TLS as servers and services have it, made by our own command line; echo servers and clients of it.
 *
 * Lives here: files, an echo, a client that counts how long it lives. Must not live here: gateways.
 */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect as connectTcp, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { fedCli } from '@fed/tooling/federation';

export interface Pem {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** A certificate of `node` in `datacenter`. Makes an authority in `folder` if there is none yet. */
export function certificateOf(folder: string, datacenter: string, node: string, index = 0): Pem {
  const fed = (...args: string[]): unknown =>
    execFileSync(process.execPath, [fedCli, 'tls', ...args], { cwd: folder });
  if (index === 0) fed('ca', 'create');
  fed('cert', 'create', '--server', '--dc', datacenter, '--node', node);
  return pemOf(folder, datacenter, index);
}

export function pemOf(folder: string, datacenter: string, index: number): Pem {
  const read = (name: string): string => readFileSync(join(folder, name), 'utf8');
  return {
    ca: read('consul-agent-ca.pem'),
    cert: read(`${datacenter}-server-consul-${index}.pem`),
    key: read(`${datacenter}-server-consul-${index}-key.pem`),
  };
}

export interface Echo extends AsyncDisposable {
  readonly port: number;
}

/** Says its name first, then everything it hears. */
export async function openEcho(pem: Pem, name: string): Promise<Echo> {
  const open = new Set<Socket>();
  const server = createServer(pem, (tls) => {
    tls.on('error', () => {});
    tls.write(`${name}\n`);
    tls.pipe(tls);
  });
  server.on('connection', (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** A client of an echo behind gateways. */
export class Visitor implements Disposable {
  readonly #tls: TLSSocket;
  /** Who answered. */
  readonly name: string;

  private constructor(tls: TLSSocket, name: string) {
    this.#tls = tls;
    this.name = name;
  }

  /** Rejects when nobody answers. `first`: said before TLS begins. */
  static async open(port: number, servername: string, ca: string, first?: Buffer): Promise<Visitor> {
    // Service certificates name a service by URI; here only the chain is of interest, and that TLS is end to end.
    const socket = connectTcp({ host: '127.0.0.1', port });
    if (first !== undefined) socket.write(first);
    const tls = connect({ socket, servername, ca, checkServerIdentity: () => undefined });
    const name = await new Promise<string>((resolve, reject) => {
      tls.once('error', reject);
      tls.once('close', () => reject(new Error(`closed: nobody answers as ${servername}`)));
      tls.once('data', (first: Buffer) => resolve(first.toString().trimEnd()));
    });
    tls.on('error', () => {});
    return new Visitor(tls, name);
  }

  /** Says something and hears it again, over the connection of the beginning. */
  async echo(text: string): Promise<string> {
    if (this.#tls.closed) throw new Error('the connection has been dropped');
    this.#tls.write(text);
    const [answer] = (await once(this.#tls, 'data')) as [Buffer];
    return answer.toString();
  }

  get alive(): boolean {
    return !this.#tls.destroyed && this.#tls.readable;
  }

  [Symbol.dispose](): void {
    this.#tls.destroy();
  }
}
