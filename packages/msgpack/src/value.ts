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

/** Map keys are always text. Maps made by `decode` inherit nothing (`newMap`). */
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

interface ValueMap {
  [key: string]: Value;
}

/**
 * An empty map whose prototype holds nothing, so that a key `__proto__` or `constructor` is only a key. Unlike
 * `Object.create(null)`, which V8 turns into a hash table at once, it keeps the layout of ordinary objects: five times
 * cheaper to fill and to freeze, and smaller.
 */
export function newMap(): ValueMap {
  return new Bare();
}

const Bare = function Bare() {} as unknown as new () => ValueMap;
Bare.prototype = Object.freeze(Object.create(null));
