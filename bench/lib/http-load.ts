/**
 * http-load.ts: many readers of one HTTP resource, each on a connection of its own, one request at a time.
 *
 * node's own client costs more than the servers measured with it; this one writes fixed bytes and looks only for the end of
 * the answer. Lives here: that client. Must not live here: what is measured.
 */
import { connect, type Socket } from 'node:net';

const headEnd = Buffer.from('\r\n\r\n');
const chunkedEnd = Buffer.from('\r\n0\r\n\r\n');

export interface HttpAnswer {
  readonly status: number;
  /** Head and body. */
  readonly bytes: number;
}

export class HttpReader implements Disposable {
  readonly #socket: Socket;
  readonly #request: Buffer;
  #parts: Buffer[] = [];
  #bytes = 0;
  #wanted: number | undefined; // head and body; undefined: not known, or chunked
  #headKnown = false;
  #status = 0;
  #waiting: { resolve(answer: HttpAnswer): void; reject(error: Error): void } | undefined;

  constructor(url: URL) {
    this.#request = Buffer.from(`GET ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${url.host}\r\n\r\n`);
    this.#socket = connect({ host: url.hostname, port: Number(url.port), noDelay: true });
    this.#socket.on('data', (chunk: Buffer) => this.#heard(chunk));
    this.#socket.on('error', (error) => this.#waiting?.reject(error));
    this.#socket.on('close', () => this.#waiting?.reject(new Error('the server closed the connection')));
  }

  get closed(): boolean {
    return this.#socket.destroyed;
  }

  /** One request and its answer. */
  turn(): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#socket.write(this.#request);
    });
  }

  [Symbol.dispose](): void {
    this.#waiting = undefined;
    this.#socket.destroy();
  }

  #heard(chunk: Buffer): void {
    this.#parts.push(chunk);
    this.#bytes += chunk.length;
    if (!this.#headKnown && !this.#readHead()) return;
    const over = this.#wanted === undefined ? this.#endsChunked() : this.#bytes >= this.#wanted;
    if (!over) return;
    const waiting = this.#waiting;
    const answer = { status: this.#status, bytes: this.#bytes };
    this.#waiting = undefined;
    this.#parts = [];
    this.#bytes = 0;
    this.#headKnown = false;
    this.#wanted = undefined;
    waiting?.resolve(answer);
  }

  #readHead(): boolean {
    const all = this.#parts.length === 1 ? (this.#parts[0] as Buffer) : Buffer.concat(this.#parts);
    const end = all.indexOf(headEnd);
    if (end < 0) return false;
    this.#headKnown = true;
    const head = all.toString('latin1', 0, end);
    this.#status = Number(head.slice(9, 12));
    const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
    this.#wanted = length === undefined ? undefined : end + headEnd.length + Number(length);
    return true;
  }

  #endsChunked(): boolean {
    let tail = this.#parts.at(-1) as Buffer;
    if (tail.length < chunkedEnd.length && this.#parts.length > 1)
      tail = Buffer.concat(this.#parts.slice(-4));
    return tail.subarray(-chunkedEnd.length).equals(chunkedEnd);
  }
}
