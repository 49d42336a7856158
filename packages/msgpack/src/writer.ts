/**
 * writer.ts: writes msgpack the way go-msgpack 0.5.x does.
 *
 * One raw family carries text and bytes alike (a0+n, da, db; never str8 or bin, which old peers refuse in text
 * fields), a non-negative integer takes the smallest unsigned form, a negative one the smallest signed form, and a
 * float is always 9 bytes. Source: github.com/hashicorp/go-msgpack v0.5.5, codec/msgpack.go.
 */
import { Float, type Value } from './value.ts';

const textEncoder = new TextEncoder();

/** Grows as needed. One instance may serve many messages: `take` copies out what was written and starts afresh. */
export class Writer {
  #bytes: Buffer;
  #length = 0;

  constructor(initialBytes = 256) {
    this.#bytes = Buffer.allocUnsafeSlow(initialBytes);
  }

  get length(): number {
    return this.#length;
  }

  nil(): this {
    return this.u8(0xc0);
  }

  bool(value: boolean): this {
    return this.u8(value ? 0xc3 : 0xc2);
  }

  /** Any integer from -2^63 to 2^64 - 1. A number must be a safe integer; beyond that pass a bigint. */
  int(value: number | bigint): this {
    if (typeof value === 'bigint') {
      if (value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER))
        return this.int(Number(value));
      const at = this.#room(9);
      if (value >= 0n) {
        this.#bytes[at] = 0xcf;
        this.#bytes.writeBigUInt64BE(value, at + 1);
      } else {
        this.#bytes[at] = 0xd3;
        this.#bytes.writeBigInt64BE(value, at + 1);
      }
      return this;
    }
    if (!Number.isSafeInteger(value)) throw new RangeError(`not an integer that msgpack can hold: ${value}`);
    return value >= 0 ? this.#unsigned(value) : this.#negative(value);
  }

  float64(value: number): this {
    const at = this.#room(9);
    this.#bytes[at] = 0xcb;
    this.#bytes.writeDoubleBE(value, at + 1);
    return this;
  }

  float32(value: number): this {
    const at = this.#room(5);
    this.#bytes[at] = 0xca;
    this.#bytes.writeFloatBE(value, at + 1);
    return this;
  }

  str(text: string): this {
    // Short ASCII, which is nearly every key and name, is written in place without asking for its size first.
    const units = text.length;
    if (units < 32) {
      const at = this.#room(1 + units);
      let i = 0;
      for (; i < units; i++) {
        const code = text.charCodeAt(i);
        if (code > 0x7f) break;
        this.#bytes[at + 1 + i] = code;
      }
      if (i === units) {
        this.#bytes[at] = 0xa0 | units;
        return this;
      }
      this.#length = at;
    }
    const size = Buffer.byteLength(text);
    this.#rawHeader(size);
    const at = this.#room(size);
    textEncoder.encodeInto(text, this.#bytes.subarray(at, at + size));
    return this;
  }

  raw(bytes: Uint8Array): this {
    this.#rawHeader(bytes.length);
    return this.verbatim(bytes);
  }

  map(size: number): this {
    return this.#container(size, 0x80, 0xde);
  }

  array(size: number): this {
    return this.#container(size, 0x90, 0xdc);
  }

  /** Any value. Map keys go out in the object's own order; a whole number goes out as an integer (see `Float`). */
  value(value: Value): this {
    return this.#any(value, false);
  }

  /** As `value`, with the keys of every map sorted bytewise, as Go writes structs. */
  sorted(value: Value): this {
    return this.#any(value, true);
  }

  /** Bytes that are already encoded, or need no encoding: appended as they are. */
  verbatim(bytes: Uint8Array): this {
    const at = this.#room(bytes.length);
    this.#bytes.set(bytes, at);
    return this;
  }

  /** One plain byte, such as the type byte in front of a message. */
  u8(byte: number): this {
    const at = this.#room(1);
    this.#bytes[at] = byte;
    return this;
  }

  /** A copy of all that was written; the writer is empty again. */
  take(): Uint8Array {
    const out = Buffer.allocUnsafeSlow(this.#length);
    this.#bytes.copy(out, 0, 0, this.#length);
    this.#length = 0;
    return out;
  }

  #any(value: Value, sort: boolean): this {
    switch (typeof value) {
      case 'boolean':
        return this.bool(value);
      case 'string':
        return this.str(value);
      case 'bigint':
        return this.int(value);
      case 'number':
        return Number.isSafeInteger(value) && !Object.is(value, -0) ? this.int(value) : this.float64(value);
      case 'object': {
        if (value === null) return this.nil();
        if (value instanceof Uint8Array) return this.raw(value);
        if (value instanceof Float)
          return value.bits === 32 ? this.float32(value.value) : this.float64(value.value);
        if (Array.isArray(value)) {
          this.array(value.length);
          for (const item of value) this.#any(item, sort);
          return this;
        }
        const map = value as { readonly [key: string]: Value };
        const keys = Object.keys(map);
        if (sort) keys.sort(bytewise);
        this.map(keys.length);
        for (const key of keys) {
          this.str(key);
          this.#any(map[key] as Value, sort);
        }
        return this;
      }
    }
    throw new TypeError(`msgpack has no form for a ${typeof value}`);
  }

  #unsigned(value: number): this {
    if (value < 0x80) return this.u8(value);
    if (value < 0x100) {
      const at = this.#room(2);
      this.#bytes[at] = 0xcc;
      this.#bytes[at + 1] = value;
    } else if (value < 0x10000) {
      const at = this.#room(3);
      this.#bytes[at] = 0xcd;
      this.#bytes.writeUInt16BE(value, at + 1);
    } else if (value < 0x1_0000_0000) {
      const at = this.#room(5);
      this.#bytes[at] = 0xce;
      this.#bytes.writeUInt32BE(value, at + 1);
    } else {
      const at = this.#room(9);
      this.#bytes[at] = 0xcf;
      this.#bytes.writeUInt32BE(Math.floor(value / 0x1_0000_0000), at + 1);
      this.#bytes.writeUInt32BE(value % 0x1_0000_0000, at + 5);
    }
    return this;
  }

  #negative(value: number): this {
    if (value >= -32) return this.u8(value & 0xff);
    if (value >= -0x80) {
      const at = this.#room(2);
      this.#bytes[at] = 0xd0;
      this.#bytes.writeInt8(value, at + 1);
    } else if (value >= -0x8000) {
      const at = this.#room(3);
      this.#bytes[at] = 0xd1;
      this.#bytes.writeInt16BE(value, at + 1);
    } else if (value >= -0x8000_0000) {
      const at = this.#room(5);
      this.#bytes[at] = 0xd2;
      this.#bytes.writeInt32BE(value, at + 1);
    } else {
      const at = this.#room(9);
      this.#bytes[at] = 0xd3;
      this.#bytes.writeBigInt64BE(BigInt(value), at + 1);
    }
    return this;
  }

  #rawHeader(size: number): void {
    if (size < 32) {
      this.u8(0xa0 | size);
    } else if (size < 0x10000) {
      const at = this.#room(3);
      this.#bytes[at] = 0xda;
      this.#bytes.writeUInt16BE(size, at + 1);
    } else {
      const at = this.#room(5);
      this.#bytes[at] = 0xdb;
      this.#bytes.writeUInt32BE(size, at + 1);
    }
  }

  #container(size: number, fix: number, wide: number): this {
    if (size < 16) return this.u8(fix | size);
    if (size < 0x10000) {
      const at = this.#room(3);
      this.#bytes[at] = wide;
      this.#bytes.writeUInt16BE(size, at + 1);
    } else {
      const at = this.#room(5);
      this.#bytes[at] = wide + 1;
      this.#bytes.writeUInt32BE(size, at + 1);
    }
    return this;
  }

  /** Makes room for `size` more bytes, counts them as written, and says where they start. */
  #room(size: number): number {
    const at = this.#length;
    const end = at + size;
    if (end > this.#bytes.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(end, this.#bytes.length * 2));
      this.#bytes.copy(grown, 0, 0, at);
      this.#bytes = grown;
    }
    this.#length = end;
    return at;
  }
}

function bytewise(a: string, b: string): number {
  // UTF-16 order differs from byte order only for surrogates, which no Go field name has.
  return a < b ? -1 : a > b ? 1 : 0;
}
