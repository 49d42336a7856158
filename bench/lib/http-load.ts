/**
 * http-load.ts: many readers of one HTTP resource, each on a connection of its own, one request at a time.
 *
 * node's own client costs more than the servers measured with it; this one writes fixed bytes and looks only for the end of
 * the answer. Lives here: that client. Must not live here: what is measured.
 */
import { connect, type OnReadOpts, type Socket } from 'node:net';

const headEnd = '\r\n\r\n';
const chunkedEnd = Buffer.from('\r\n0\r\n\r\n');
/** Of a chunk, whatever head there may be is in it; ours and the original's have some 400 bytes. */
const headBytesMax = 4_096;
/** All read into it, one after another: buffers of their own would make this process collect garbage while somebody is measured. */
const read = Buffer.alloc(65_536);

export interface HttpAnswer {
  readonly status: number;
  /** Head and body. */
  readonly bytes: number;
}

export class HttpReader implements Disposable {
  readonly #socket: Socket;
  readonly #request: Buffer;
  #head = ''; // until it is whole
  #headKnown = false;
  #tail: Buffer = Buffer.alloc(0); // of a chunked answer
  #bytes = 0;
  #wanted: number | undefined; // head and body; undefined: not known, or chunked
  #status = 0;
  #waiting: { resolve(answer: HttpAnswer): void; reject(error: Error): void } | undefined;

  constructor(url: URL) {
    this.#request = Buffer.from(`GET ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${url.host}\r\n\r\n`);
    const onread: OnReadOpts = {
      buffer: read,
      callback: (bytes) => {
        this.#heard(read.subarray(0, bytes));
        return true;
      },
    };
    this.#socket = connect({ host: url.hostname, port: Number(url.port), noDelay: true, onread });
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
    this.#bytes += chunk.length;
    if (!this.#headKnown && !this.#readHead(chunk)) return;
    const over = this.#wanted === undefined ? this.#endsChunked(chunk) : this.#bytes >= this.#wanted;
    if (!over) return;
    const waiting = this.#waiting;
    const answer = { status: this.#status, bytes: this.#bytes };
    this.#waiting = undefined;
    this.#bytes = 0;
    this.#head = '';
    this.#headKnown = false;
    this.#tail = Buffer.alloc(0);
    this.#wanted = undefined;
    waiting?.resolve(answer);
  }

  #readHead(chunk: Buffer): boolean {
    this.#head += chunk.toString('latin1', 0, headBytesMax);
    const end = this.#head.indexOf(headEnd);
    if (end < 0) return false;
    this.#headKnown = true;
    this.#status = Number(this.#head.slice(9, 12));
    const length = /\r\ncontent-length: (\d+)/i.exec(this.#head)?.[1];
    this.#wanted = length === undefined ? undefined : end + headEnd.length + Number(length);
    return true;
  }

  #endsChunked(chunk: Buffer): boolean {
    this.#tail = Buffer.concat([this.#tail, chunk.subarray(-chunkedEnd.length)]).subarray(-chunkedEnd.length);
    return this.#tail.equals(chunkedEnd);
  }
}
