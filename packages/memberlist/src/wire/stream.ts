/**
 * stream.ts: one message on a connection: a push/pull, a user message, or a ping, each perhaps with one answer.
 *
 *   out:  message -> [compress, always if on] -> [encrypt: 0a, u32 length, envelope] -> [label, by the initiator only]
 *   in:   label -> 0a? wait for all of it, decrypt -> 09? expand, once -> type byte and body
 *
 * Nothing frames a message that is not encrypted, so the reader keeps what came and tries again with each piece: it has
 * three answers, "more", "this", and an error. It never allocates by an announced number.
 * memberlist net.go: `handleConn`, `readStream`, `encryptLocalState`, `decryptRemoteState`.
 * Lives here: layers of a stream, the byte feeder, limits. Must not live here: connections, deadlines, who asks whom.
 */
import { type Compressed, compress, expand, readCompressed } from './compress.ts';
import { readMessage } from './decode.ts';
import { decrypt, encryptedLength, encryptInto, nonceBytes } from './encrypt.ts';
import { WireError, WireUsageError } from './errors.ts';
import { ValueExtent } from './extent.ts';
import { acceptLabelHeader, writeLabelHeader } from './label.ts';
import type { ExpansionBudget } from './lzw.ts';
import { type Message, messageType, type PushPull, type UserMessage } from './message.ts';
import { type Found, findStruct, PushPullReader, readUserHeader } from './push-pull.ts';
import { type WireOptions, WireSettings } from './settings.ts';

/** Length an encrypted message may announce (20 MiB). memberlist `maxPushStateBytes`. */
const encryptedBytesMax = 20 * 1024 * 1024;
/** A whole message in the clear, expanded if it was compressed (40 MiB). memberlist, after 0.6.0. Guards our memory. */
const streamBytesMax = 40 * 1024 * 1024;

/** 0a and the length. */
const encryptHeaderBytes = 5;

export type StreamMessage =
  | ({ readonly kind: 'pushPull' } & PushPull)
  | Exclude<Message, { readonly kind: 'alive' | 'suspect' | 'dead' | 'indirectPing' | 'nack' }>;

/** The initiator opened the connection: it writes the label, the acceptor checks it, and answers without. */
export type StreamRole = 'initiator' | 'acceptor';

export interface StreamCodec {
  /**
   * All bytes of an encoded message (`encodeMessage` for ping, ack and err, `encodePushPull`, `encodeUserStream`) as
   * `role` writes it. @throws WireUsageError stream_too_large | empty_message
   */
  seal(message: Uint8Array, role: StreamRole): Uint8Array;
  /** For one message that `role` reads: the acceptor what it is asked, the initiator what it is answered. */
  reader(role: StreamRole): StreamReader;
}

/** @throws WireUsageError label_too_long */
export function createStreamCodec(o: WireOptions): StreamCodec {
  const settings = new WireSettings(o);
  return {
    seal: (message, role) => seal(settings, message, role),
    reader: (role) => new StreamReader(settings, role),
  };
}

const noBytes: Uint8Array = new Uint8Array(0);

function seal(settings: WireSettings, message: Uint8Array, role: StreamRole): Uint8Array {
  if (message.length === 0) throw new WireUsageError('empty_message', 'a message has at least its type byte');
  if (message.length > streamBytesMax) throw tooLargeToSend(message.length, streamBytesMax);
  const label = role === 'initiator' ? settings.labelBytes : noBytes;
  const labelOverhead = role === 'initiator' ? settings.labelOverhead : 0;
  const text = settings.compress ? compress(message) : message;
  const key = settings.outgoingKey;
  if (key === undefined) {
    if (labelOverhead === 0) return text;
    const labelled = new Uint8Array(labelOverhead + text.length);
    labelled.set(text, writeLabelHeader(label, labelled, 0));
    return labelled;
  }
  const version = settings.encryptionVersion;
  const sealedBytes = encryptedLength(version, text.length);
  if (sealedBytes > encryptedBytesMax) throw tooLargeToSend(sealedBytes, encryptedBytesMax);
  const stream = new Uint8Array(labelOverhead + encryptHeaderBytes + sealedBytes);
  const start = writeLabelHeader(label, stream, 0);
  stream[start] = messageType.encrypt;
  new DataView(stream.buffer).setUint32(start + 1, sealedBytes);
  const header = stream.subarray(start, start + encryptHeaderBytes);
  const associated = associatedOf(header, settings.labelBytes);
  const nonce = settings.randomBytes(nonceBytes);
  encryptInto({ version, key, nonce, associated }, noBytes, text, stream, start + encryptHeaderBytes);
  return stream;
}

function tooLargeToSend(length: number, max: number): WireUsageError {
  return new WireUsageError('stream_too_large', `no peer reads ${length} bytes in one message, only ${max}`);
}

/** The five bytes in front of an envelope, and the label even where its header is not sent. */
function associatedOf(header: Uint8Array, label: Uint8Array): Uint8Array {
  return label.length === 0 ? header : Buffer.concat([header, label]);
}

export type StreamPiece =
  | { readonly kind: 'needMore' }
  | {
      readonly kind: 'message';
      readonly message: StreamMessage;
      /** Bytes of the stream, from its beginning, that the message and its layers took. */
      readonly consumed: number;
      /** What was fed beyond it. */
      readonly rest: Uint8Array;
    };

const needMore: StreamPiece = { kind: 'needMore' };

/**
 * Reads one message from what arrives on a connection. An error ends it: the connection is to be closed, after an `err`
 * message if the error is `toldOnStreams` and we are the acceptor.
 */
export class StreamReader {
  readonly #settings: WireSettings;
  /** What has arrived: `#buffer` up to `#length`. The first piece is kept as it is, later ones are copied behind it. */
  #buffer: Uint8Array = noBytes;
  #length = 0;
  #offset = 0;
  #phase: 'label' | 'type' | 'encrypted' | 'compressed' | 'body' | 'over';
  #body: BodyReader | undefined;

  constructor(settings: WireSettings, role: StreamRole) {
    this.#settings = settings;
    this.#phase = role === 'acceptor' ? 'label' : 'type';
  }

  /**
   * Takes the next piece, of any size. It must not be changed afterwards: the message may be views into it.
   * @throws WireError for what is not a message, or not one for us; WireUsageError reader_finished
   */
  feed(piece: Uint8Array): StreamPiece {
    if (this.#phase === 'over') {
      throw new WireUsageError(
        'reader_finished',
        'this reader has given its message, or failed: use another',
      );
    }
    this.#append(piece);
    let found: Found<StreamMessage> | undefined;
    try {
      found = this.#advance();
      if (found === undefined && this.#length > streamBytesMax) {
        throw new WireError('too_large', `more than ${streamBytesMax} bytes in one message`);
      }
    } catch (cause) {
      this.#close();
      throw cause;
    }
    if (found === undefined) return needMore;
    const { value: message, end: consumed } = found;
    const rest = this.#buffer.subarray(consumed, this.#length);
    this.#close();
    return { kind: 'message', message, consumed, rest };
  }

  /** What is wrong with a stream that ends here, before its message: `empty` if nothing came, else `truncated`. */
  ended(): WireError {
    const nothing = this.#length === 0;
    this.#close();
    return nothing
      ? new WireError('empty', 'the stream ended before any message')
      : new WireError('truncated', 'the stream ended in the middle of a message');
  }

  #append(piece: Uint8Array): void {
    const length = this.#length + piece.length;
    if (this.#length === 0) {
      this.#buffer = piece;
    } else {
      if (length > this.#buffer.length) {
        const larger = new Uint8Array(Math.max(2 * length, 4096));
        larger.set(this.#buffer.subarray(0, this.#length));
        this.#buffer = larger;
      }
      this.#buffer.set(piece, this.#length);
    }
    this.#length = length;
  }

  #close(): void {
    this.#phase = 'over';
    this.#buffer = noBytes;
    this.#body = undefined;
  }

  #advance(): Found<StreamMessage> | undefined {
    for (;;) {
      switch (this.#phase) {
        case 'label': {
          const labelBytes = acceptLabelHeader(this.#buffer.subarray(0, this.#length), this.#settings);
          if (labelBytes === undefined) return undefined;
          this.#offset = labelBytes;
          this.#phase = 'type';
          break;
        }
        case 'type':
          if (this.#offset === this.#length) return undefined;
          this.#phase = this.#readType(this.#buffer[this.#offset]!);
          break;
        case 'encrypted':
          return this.#readEncrypted();
        case 'compressed': {
          const compressed = readCompressed(this.#buffer, this.#offset, this.#length);
          return compressed && { value: openCompressed(compressed), end: compressed.end };
        }
        case 'body':
          return this.#body?.(this.#buffer, this.#length);
        case 'over':
          return undefined;
      }
    }
  }

  #readType(type: number): 'encrypted' | 'compressed' | 'body' {
    const { keys, verifyIncoming } = this.#settings;
    if (type === messageType.encrypt) {
      if (keys.length > 0) return 'encrypted';
      throw new WireError(
        'encryption_not_configured',
        'remote state is encrypted and encryption is not configured',
      );
    }
    if (keys.length > 0 && verifyIncoming) {
      throw new WireError('encryption_missing', 'encryption is configured but remote state is not encrypted');
    }
    this.#offset++;
    if (type === messageType.compress) return 'compressed';
    this.#body = bodyReader(type, this.#offset);
    return 'body';
  }

  #readEncrypted(): Found<StreamMessage> | undefined {
    const start = this.#offset + encryptHeaderBytes;
    if (this.#length < start) return undefined;
    const view = new DataView(
      this.#buffer.buffer,
      this.#buffer.byteOffset + this.#offset,
      encryptHeaderBytes,
    );
    const sealedBytes = view.getUint32(1);
    if (sealedBytes > encryptedBytesMax) {
      throw new WireError('encryption_too_large', `remote node state is larger than limit (${sealedBytes})`);
    }
    const end = start + sealedBytes;
    if (this.#length < end) return undefined;
    const { keys, labelBytes } = this.#settings;
    const associated = associatedOf(this.#buffer.subarray(this.#offset, start), labelBytes);
    const plain = decrypt(keys, this.#buffer.subarray(start, end), associated);
    if (plain[0] !== messageType.compress) return { value: readWhole(plain), end };
    const compressed = readCompressed(plain, 1, plain.length);
    if (compressed === undefined)
      throw new WireError('compression_malformed', 'compress message is cut short');
    return { value: openCompressed(compressed), end };
  }
}

/** Only one level is unwrapped on streams. */
function openCompressed(compressed: Compressed): StreamMessage {
  const budget: ExpansionBudget = { bytesLeft: streamBytesMax };
  return readWhole(expand(compressed, budget));
}

/** A message that is all there. What follows it is ignored. */
function readWhole(message: Uint8Array): StreamMessage {
  const type = message[0];
  if (type === undefined) throw new WireError('empty', 'missing message type byte');
  const found = bodyReader(type, 1)(message, message.length);
  if (found === undefined) throw new WireError('truncated', 'a message that is shorter than it says');
  return found.value;
}

/** Reads the body from what is there so far; undefined while it is not all there. May remember how far it got. */
type BodyReader = (bytes: Uint8Array, end: number) => Found<StreamMessage> | undefined;

function bodyReader(type: number, offset: number): BodyReader {
  switch (type) {
    case messageType.pushPull: {
      const reader = new PushPullReader(offset);
      return (bytes, end) => {
        const found = reader.read(bytes, end);
        return found && { value: { kind: 'pushPull', ...found.value }, end: found.end };
      };
    }
    case messageType.user:
      return userReader(offset);
    case messageType.ping:
    case messageType.ack:
    case messageType.err: {
      const extent = new ValueExtent(offset);
      return (bytes, end) => findStruct(extent, bytes, end, (r) => readMessage(type, r) as StreamMessage);
    }
  }
  throw new WireError('unknown_type', `message type ${type} does not travel on streams`);
}

function userReader(offset: number): BodyReader {
  const extent = new ValueExtent(offset);
  let header: Found<number> | undefined;
  return (bytes, end) => {
    header ??= findStruct(extent, bytes, end, readUserHeader);
    if (header === undefined) return undefined;
    const payloadEnd = header.end + header.value;
    if (payloadEnd > end) return undefined;
    const message: UserMessage = { kind: 'user', payload: bytes.subarray(header.end, payloadEnd) };
    return { value: message, end: payloadEnd };
  };
}
