/**
 * errors.ts: what can be wrong with bytes, by name.
 *
 * Two classes, because they end differently: a `WireError` is the peer's doing, expected in the wild, and costs it one
 * packet or one stream; a `WireUsageError` is ours: we were about to write something no peer can read.
 * Lives here: the codes, and which of them a stream's acceptor answers. Must not live here: logging, counting.
 */

/** Whether the acceptor of a stream says an `err` message before it closes. memberlist net.go, `handleConn`. */
const toldOnStreams = {
  /** Nothing at all: no bytes where a type byte must be. */
  empty: false,
  /** A type byte that may not stand where it stands. */
  unknown_type: false,
  /** The input ends inside a value. */
  truncated: false,
  /** Not msgpack, or of another shape than the message asks for. */
  malformed: false,
  /** A number outside of what its field can hold, or outside of our limits. */
  out_of_range: false,
  /** More bytes, parts or levels than we take from anybody. */
  too_large: false,
  too_deep: false,
  /** A label header that is cut short or empty. */
  label_malformed: false,
  /** Another label than ours, or none where we have one, or one where we have none. */
  label_mismatch: false,
  /** A label header although something in front of us strips them. */
  label_unexpected: false,
  /** The checksum does not match. */
  crc_mismatch: false,
  /** Encryption version above 1. */
  encryption_version: true,
  /** Shorter than version, nonce and tag. */
  encryption_too_short: true,
  /** None of our keys opens it. */
  undecryptable: true,
  /** Padding longer than the text it pads. */
  encryption_padding: true,
  /** An encrypted stream announcing more than we take. */
  encryption_too_large: true,
  /** Encrypted, and we have no keys. */
  encryption_not_configured: true,
  /** In the clear, and we insist on encryption. */
  encryption_missing: true,
  /** Another algorithm than LZW. */
  compression_algorithm: true,
  /** Not what a compressor writes. */
  compression_malformed: true,
  /** Expands beyond what we take. */
  compression_too_large: true,
} as const;

export type WireErrorCode = keyof typeof toldOnStreams;

/** The peer's fault. Nothing was changed by the bytes that caused it. Branch on `code`, never on the message. */
export class WireError extends Error {
  override readonly name = 'WireError';
  readonly code: WireErrorCode;
  /** The message without its code; for the codes that are told on streams, the text of the `err` message. */
  readonly detail: string;

  constructor(code: WireErrorCode, detail: string, options?: ErrorOptions) {
    super(`[${code}] ${detail}`, options);
    this.code = code;
    this.detail = detail;
  }

  /** Whether a stream's acceptor sends `{ kind: 'err', error: detail }` before it closes. */
  get toldOnStreams(): boolean {
    return toldOnStreams[this.code];
  }
}

/** Ours: a bug or a configuration that no peer could understand. Nothing was written. */
export class WireUsageError extends Error {
  override readonly name = 'WireUsageError';
  readonly code:
    | 'label_too_long'
    | 'nothing_to_send'
    | 'empty_message'
    | 'too_many_parts'
    | 'part_too_large'
    | 'stream_too_large'
    | 'nonce_size'
    | 'reader_finished';

  constructor(code: WireUsageError['code'], detail: string) {
    super(`[${code}] ${detail}`);
    this.code = code;
  }
}
