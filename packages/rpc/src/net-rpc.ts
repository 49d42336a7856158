/**
 * net-rpc.ts: requests and replies of Go's net/rpc, in msgpack.
 *
 * A message is two values, header and body, one right after the other; nothing else marks where it ends. An error reply
 * has a body too, an empty map, because the caller reads one.
 * Lives here: writing messages, and cutting a byte stream into them. Must not live here: streams, methods, time.
 * Sources: net-rpc-msgpackrpc codec.go; Go net/rpc server.go (Request, Response, invalidRequest).
 */
import { decode, MsgpackError, Reader, type Value, Writer } from '@fed/msgpack';
import { RpcWireError } from './errors.ts';
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
  readonly body: Uint8Array;
}

export function encodeRequest(seq: number | bigint, method: string, args: Value): Uint8Array {
  const w = new Writer(256).map(2).str('Seq').int(seq).str('ServiceMethod').str(method);
  return w.value(args).take();
}

export function encodeReply(request: RpcHeader, result: Value): Uint8Array {
  return replyHeader(request, '').value(result).take();
}

export function encodeErrorReply(request: RpcHeader, error: string): Uint8Array {
  return replyHeader(request, error).map(0).take();
}

function replyHeader(request: RpcHeader, error: string): Writer {
  const w = new Writer(256).map(3).str('Error').str(error).str('Seq').int(request.seq);
  return w.str('ServiceMethod').str(request.method);
}

/** The body's value. Throws RpcWireError `malformed`, whose message is msgpack's. */
export function decodeBody(body: Uint8Array, binaryKeys?: ReadonlySet<string>): Value {
  return guarded(() => decode(body, binaryKeys === undefined ? {} : { binaryKeys }));
}

/**
 * Cuts what a stream brings into messages. Feed it, then take messages until there are none.
 * A message may have `bytesMax` bytes, and is refused as soon as it is sure to have more. Holds what has not been taken,
 * in one piece: a message that came in one chunk is a view of it, one that came in many is put together once.
 */
export class MessageReader {
  readonly #bytesMax: number;
  readonly #scanner = new ValueScanner();
  #memory: Uint8Array = new Uint8Array(0);
  #borrowed = true; // the memory is a chunk of the stream's, filled to its end: nothing is ever written to it
  #start = 0; // of the current message
  #at = 0; // walked up to here
  #end = 0; // fed up to here
  #headerEnd: number | undefined; // once it is known, counted from #start

  constructor(o: { readonly bytesMax: number }) {
    this.#bytesMax = o.bytesMax;
  }

  /** Fed and not taken. */
  get bufferedBytes(): number {
    return this.#end - this.#start;
  }

  feed(bytes: Uint8Array): void {
    if (this.bufferedBytes === 0) {
      this.#hold(bytes, true);
      return;
    }
    if (this.#memory.length - this.#end < bytes.length) this.#grow(bytes.length);
    this.#memory.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  /** The next whole message, if there is one. Throws RpcWireError: the stream is out of step and must be closed. */
  next(): RawMessage | undefined {
    while (this.#at < this.#end) {
      const valueEnd = this.#scanner.scan(this.#memory.subarray(0, this.#end), this.#at);
      this.#at = valueEnd ?? this.#end;
      if (this.#at - this.#start + this.#scanner.bytesDue > this.#bytesMax)
        throw new RpcWireError('too_large', `a message of more than ${this.#bytesMax} bytes`);
      if (valueEnd === undefined) break;
      if (this.#headerEnd !== undefined) return this.#take(this.#headerEnd);
      this.#headerEnd = valueEnd - this.#start;
    }
    this.#letGoOfLargeChunk();
    return undefined;
  }

  #take(headerBytes: number): RawMessage {
    const view = this.#memory.subarray(this.#start, this.#at);
    // Byte strings of the decoded body will be views of it, and may live long: they must not pin much more than it.
    const message = ownsItsMemory(view) ? view : new Uint8Array(view);
    this.#start = this.#at; // nothing is ever written in front of #end, so the view stays what it is
    this.#headerEnd = undefined;
    const header = guarded(() => decodeHeader(message.subarray(0, headerBytes)));
    return { header, body: message.subarray(headerBytes) };
  }

  /** Half a message waits long, perhaps: it must not keep a much larger chunk alive. */
  #letGoOfLargeChunk(): void {
    const rest = this.#memory.subarray(this.#start, this.#end);
    if (this.#borrowed && !ownsItsMemory(rest)) this.#hold(new Uint8Array(rest), false);
  }

  #grow(bytes: number): void {
    const rest = this.#memory.subarray(this.#start, this.#end);
    const memory = new Uint8Array(Math.max(2 * rest.length, rest.length + bytes));
    memory.set(rest);
    this.#hold(memory, false, rest.length);
  }

  #hold(memory: Uint8Array, borrowed: boolean, used = memory.length): void {
    this.#memory = memory;
    this.#borrowed = borrowed;
    this.#at -= this.#start;
    this.#start = 0;
    this.#end = used;
  }
}

function ownsItsMemory(view: Uint8Array): boolean {
  return view.length * 2 >= view.buffer.byteLength;
}

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
