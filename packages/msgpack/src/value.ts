/**
 * value.ts: any msgpack value, as this codebase holds it in memory.
 *
 * The one idea: what was read can be written again byte for byte. So whole floats stay floats (`Float`), integers
 * beyond 2^53 - 1 stay exact (bigint), nil stays apart from empty, and maps keep their order.
 */

/**
 * A float that a plain number would not bring back: a whole one (Go tells 1.0 from 1 in an `interface{}`), or one of
 * 32 bits.
 */
export class Float {
  readonly value: number;
  readonly bits: 32 | 64;

  constructor(value: number, bits: 32 | 64 = 64) {
    this.value = value;
    this.bits = bits;
  }

  toJSON(): number {
    return this.value;
  }
}

/** Map keys are always text. Objects made by `decode` have no prototype, so a key `__proto__` is only a key. */
export type Value =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | Float
  | readonly Value[]
  | { readonly [key: string]: Value };
