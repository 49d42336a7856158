/**
 * errors.ts: what can be wrong with bytes that claim to be msgpack. All of it is the peer's fault.
 */

/**
 * Bytes that cannot be read as asked. Nothing was changed by the attempt.
 * `truncated`: the input ended early; on a stream, wait for more and start over.
 */
export class MsgpackError extends Error {
  override readonly name = 'MsgpackError';
  readonly code: 'truncated' | 'malformed' | 'out_of_range' | 'wrong_type' | 'too_deep';

  constructor(code: MsgpackError['code'], detail: string) {
    super(`[${code}] ${detail}`);
    this.code = code;
  }
}
