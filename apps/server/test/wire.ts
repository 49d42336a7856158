/**
 * wire.ts: a visitor of the server's port who says bytes and notes what comes back, and when the line goes dead.
 *
 * Raw sockets and node:tls, nothing of ours in between. Lives here: saying and listening. Must not live here: what the
 * server should answer (probe.test.ts).
 */
import { once } from 'node:events';
import { connect as connectPlain, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';

export class Line implements AsyncDisposable {
  readonly socket: Socket;
  /** Resolves when the line is dead, with the last error's code or 'closed'. */
  readonly ended: Promise<string>;
  #said: Buffer = Buffer.alloc(0);
  #over = false;
  #changed: (() => void) | undefined;

  constructor(socket: Socket) {
    this.socket = socket;
    let why = 'closed';
    socket.on('data', (chunk: Buffer) => {
      this.#said = Buffer.concat([this.#said, chunk]);
      this.#changed?.();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      why = error.code ?? error.message;
    });
    socket.on('end', () => socket.end());
    this.ended = new Promise((resolve) => {
      socket.once('close', () => {
        this.#over = true;
        this.#changed?.();
        resolve(why);
      });
    });
  }

  static async plain(port: number): Promise<Line> {
    const socket = connectPlain(port, '127.0.0.1');
    const line = new Line(socket);
    await once(socket, 'connect');
    return line;
  }

  /** Resolves when the handshake is done for us; a TLS 1.3 server may judge our certificate only afterwards. */
  static async tls(port: number, o: ConnectionOptions): Promise<Line & { readonly socket: TLSSocket }> {
    const socket = connectTls({ host: '127.0.0.1', port, ...o });
    const line = new Line(socket);
    await once(socket, 'secureConnect');
    return line as Line & { readonly socket: TLSSocket };
  }

  /** Type byte 3, then TLS on the same connection. */
  static async upgraded(port: number, o: ConnectionOptions): Promise<Line & { readonly socket: TLSSocket }> {
    const socket = connectPlain(port, '127.0.0.1');
    await once(socket, 'connect');
    await new Promise<void>((resolve) => socket.write(Buffer.of(3), () => resolve()));
    return Line.tls(port, { socket, ...o });
  }

  get open(): boolean {
    return !this.#over;
  }

  say(...parts: readonly (Uint8Array | number)[]): void {
    this.socket.write(
      Buffer.concat(parts.map((part) => (typeof part === 'number' ? Buffer.of(part) : part))),
    );
  }

  /** Everything heard once it is at least so many bytes; throws when the line dies first. */
  async heard(bytes: number): Promise<Buffer> {
    while (this.#said.length < bytes) {
      if (this.#over) throw new Error(`the line is dead after ${this.#said.length} of ${bytes} bytes`);
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
    return this.#said;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy();
    await this.ended;
  }
}
