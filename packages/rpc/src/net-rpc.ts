/**
 * net-rpc.ts: requests and replies of Go's net/rpc, in msgpack.
 *
 * A message is two values, header and body, one right after the other; nothing else marks where it ends. An error reply
 * has a body too, an empty map, because the caller reads one.
 * Lives here: writing messages, and cutting a byte stream into them. Must not live here: streams, methods, time.
 * Sources: net-rpc-msgpackrpc codec.go; Go net/rpc server.go (Request, Response, invalidRequest).
 */
import { decode, MsgpackError, Reader, type Value, Writer } from '@fed/msgpack';
import { ByteQueue } from './byte-queue.ts';
import { RpcWireError } from './errors.ts';
import { RawBody } from './raw-body.ts';
import { withResult } from './row-bytes.ts';
import { ValueScanner } from './value-scanner.ts';

export interface RpcHeader {
  /** Chosen by the caller, echoed in the reply; any unsigned 64-bit number. */
  readonly seq: number | bigint;
  readonly method: string;
  /** Empty in requests and in replies that succeeded. */
  readonly error: string;
}

export interface RawMessage {
  readonly header: RpcHeader;
  /** One msgpack value, not decoded yet. */
  readonly body: RawBody;
}

export function encodeRequest(seq: number | bigint, method: string, args: Value): Uint8Array {
  const w = new Writer(256).map(2).str('Seq').int(seq).str('ServiceMethod').str(method);
  return w.value(args).take();
}

/** What a request asks, without the number it has: the same text for the same question. */
export function questionIn(request: Uint8Array): string {
  const at = 5; // where the number begins: behind the map's byte and the four of "Seq"
  const descriptor = request[at]!;
  const numberBytes = descriptor < 0xcc ? 1 : 1 + (1 << (descriptor - 0xcc)); // uint 8 to 64
  return Buffer.from(request.buffer, request.byteOffset, request.length).toString('latin1', at + numberBytes);
}

/** In pieces, to be sent one after another. */
export function encodeReply(request: RpcHeader, result: Value): readonly Uint8Array[] {
  return withResult(replyHeader(request, ''), result);
}

export function encodeErrorReply(request: RpcHeader, error: string): readonly Uint8Array[] {
  return [replyHeader(request, error).map(0).take()];
}

function replyHeader(request: RpcHeader, error: string): Writer {
  const w = new Writer(256).map(3).str('Error').str(error).str('Seq').int(request.seq);
  return w.str('ServiceMethod').str(request.method);
}

/** The body's value. Throws RpcWireError `malformed`, whose message is msgpack's. */
export function decodeBody(body: RawBody, binaryKeys?: ReadonlySet<string>): Value {
  return guarded(() => decode(body.bytes, binaryKeys === undefined ? {} : { binaryKeys }));
}

/**
 * Cuts what a stream brings into messages. Feed it, then take messages until there are none.
 * A message may have `bytesMax` bytes, and is refused as soon as it is sure to have more. It is held, and taken, as it came.
 */
export class MessageReader {
  readonly #bytesMax: number;
  readonly #scanner = new ValueScanner();
  readonly #fed = new ByteQueue(); // not looked at
  readonly #begun = new ByteQueue(); // the beginning of the current message, looked at
  #begunBytes = 0;
  #piece: Uint8Array = nothing; // being looked at
  #start = 0; // of the current message in the piece
  #at = 0; // looked at up to here
  #headerEnd: number | undefined; // once it is known, counted from the start of the message
  #bufferedBytes = 0;

  constructor(o: { readonly bytesMax: number }) {
    this.#bytesMax = o.bytesMax;
  }

  /** Fed and not taken. */
  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  feed(bytes: Uint8Array): void {
    this.#bufferedBytes += bytes.length;
    if (this.#at === this.#piece.length && this.#fed.isEmpty) this.#look(bytes);
    else this.#fed.push(bytes);
  }

  /** The next whole message, if there is one. Throws RpcWireError: the stream is out of step and must be closed. */
  next(): RawMessage | undefined {
    for (;;) {
      if (this.#at === this.#piece.length) {
        if (this.#fed.isEmpty) break;
        this.#look(this.#fed.shift());
      }
      const valueEnd = this.#scanner.scan(this.#piece, this.#at);
      this.#at = valueEnd ?? this.#piece.length;
      const messageBytes = this.#begunBytes + this.#at - this.#start;
      if (messageBytes + this.#scanner.bytesDue > this.#bytesMax)
        throw new RpcWireError('too_large', `a message of more than ${this.#bytesMax} bytes`);
      if (valueEnd === undefined) continue;
      if (this.#headerEnd !== undefined) return this.#take(this.#headerEnd);
      this.#headerEnd = messageBytes;
    }
    this.#setAside(); // half a message waits long, perhaps: it must not keep a much larger chunk alive
    return undefined;
  }

  /** Goes on with this piece; what the one before had of the current message is kept. */
  #look(piece: Uint8Array): void {
    this.#setAside();
    this.#piece = piece;
    this.#start = 0;
    this.#at = 0;
  }

  #setAside(): void {
    const rest = this.#piece.subarray(this.#start);
    if (rest.length > 0) this.#begun.push(rest);
    this.#begunBytes += rest.length;
    this.#piece = nothing;
    this.#start = 0;
    this.#at = 0;
  }

  #take(headerBytes: number): RawMessage {
    const pieces: Uint8Array[] = [];
    while (!this.#begun.isEmpty) pieces.push(this.#begun.shift());
    pieces.push(this.#piece.subarray(this.#start, this.#at));
    this.#bufferedBytes -= this.#begunBytes + this.#at - this.#start;
    this.#begunBytes = 0;
    this.#start = this.#at;
    this.#headerEnd = undefined;
    const header = cutOff(pieces, headerBytes);
    return { header: guarded(() => decodeHeader(header)), body: new RawBody(pieces) };
  }
}

/** Takes the first `length` bytes away from `pieces`. */
function cutOff(pieces: Uint8Array[], length: number): Uint8Array {
  const taken: Uint8Array[] = [];
  for (let missing = length; missing > 0; ) {
    const first = pieces[0]!;
    const part = first.subarray(0, missing);
    taken.push(part);
    missing -= part.length;
    if (part.length === first.length) pieces.shift();
    else pieces[0] = first.subarray(part.length);
  }
  return taken.length === 1 ? taken[0]! : Buffer.concat(taken);
}

const nothing = new Uint8Array(0);

/** Unknown keys are passed over and missing ones are empty, as Go does. */
function decodeHeader(bytes: Uint8Array): RpcHeader {
  const r = new Reader(bytes);
  let seq: number | bigint = 0;
  let method = '';
  let error = '';
  for (let left = r.map(); left > 0; left -= 1) {
    const key = r.key();
    if (r.nil()) continue;
    if (key === 'Seq') seq = r.int();
    else if (key === 'ServiceMethod') method = r.str();
    else if (key === 'Error') error = r.str();
    else r.skip();
  }
  return { seq, method, error };
}

function guarded<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof MsgpackError) throw new RpcWireError('malformed', error.message, { cause: error });
    throw error;
  }
}
