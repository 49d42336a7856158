/**
 * reply-memory.ts: the last reply to a question, as the bytes it was and the value they stand for.
 *
 * Most reads are asked again before anything has changed, and then the same bytes come back. To compare them costs a small
 * part of decoding them, and whoever shows the value sees the same object and may keep what he made of it. Every
 * question is asked and answered all the same: nothing is told from here that has not just arrived.
 * Lives here: what is kept, and for how long. Must not live here: calls.
 */
import type { Value } from '@fed/msgpack';
import type { RawBody } from './raw-body.ts';

/** Questions longer than this are no reads. */
const questionBytesMax = 2_048;

interface Known {
  readonly body: Uint8Array;
  readonly binaryKeys: ReadonlySet<string> | undefined;
  /** Made when the same bytes come a second time, and frozen: it has many owners. */
  value?: Value;
}

export class ReplyMemory {
  readonly #bytesMax: number;
  readonly #known = new Map<string, Known>(); // least recently told first
  #bytes = 0;

  /** Holds at most `bytesMax` bytes of questions and replies, and values made of no more than that. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The value of `body`, by `decode` unless it is known. `question` names everything the reply depends on. */
  valueOf(
    question: string,
    body: RawBody,
    binaryKeys: ReadonlySet<string> | undefined,
    decode: () => Value,
  ): Value {
    const known = this.#known.get(question);
    if (known !== undefined) this.#known.delete(question);
    if (known !== undefined && known.binaryKeys === binaryKeys && body.equals(known.body)) {
      this.#known.set(question, known); // told last
      known.value ??= frozen(decode());
      return known.value;
    }
    if (known !== undefined) this.#bytes -= cost(question, known.body);
    const value = decode();
    this.#keep(question, { body: body.bytes, binaryKeys });
    return value;
  }

  #keep(question: string, reply: Known): void {
    const bytes = cost(question, reply.body);
    if (question.length > questionBytesMax || bytes > this.#bytesMax) return;
    this.#known.set(question, reply);
    this.#bytes += bytes;
    for (const [oldest, { body }] of this.#known) {
      if (this.#bytes <= this.#bytesMax) return;
      this.#known.delete(oldest);
      this.#bytes -= cost(oldest, body);
    }
  }
}

function cost(question: string, body: Uint8Array): number {
  return question.length + body.length;
}

/** Byte strings cannot be frozen; nobody writes into those of a reply. */
function frozen(value: Value): Value {
  if (value === null || typeof value !== 'object' || ArrayBuffer.isView(value)) return value;
  for (const inner of Object.values(value)) frozen(inner as Value);
  return Object.freeze(value);
}
