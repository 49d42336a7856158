/**
 * reader.ts: a cursor over msgpack bytes, as tolerant as go-msgpack 0.5.x and no more.
 *
 * Every integer width is taken where an integer is wanted, text also from str8..32, bytes also from bin and from
 * lists of small integers; nil reads as the zero value. What Go refuses (bin for text, a float or a negative number
 * for an unsigned field) is refused here too. Nothing is allocated by an announced size: an element is read before
 * it is kept. Source: go-msgpack v0.5.5, codec/msgpack.go and codec/decode.go.
 */
import { MsgpackError } from './errors.ts';
import { ShortTexts } from './short-texts.ts';
import { Float, newMap, type Value } from './value.ts';

export interface DecodeOptions {
  /** Keys whose raw values are bytes, never text (times, keys, payloads). */
  readonly binaryKeys?: ReadonlySet<string>;
  /** How deep values may nest; 64 unless told. Guards our stack. */
  readonly depthMax?: number;
}

const depthMaxDefault = 64;
const shortTexts = new ShortTexts();
const noBytes: Uint8Array = new Uint8Array(0);
const fatalUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export class Reader {
  /** The next unread byte. */
  offset: number;
  readonly #bytes: Buffer;
  readonly #end: number;

  constructor(bytes: Uint8Array, offset = 0, end: number = bytes.length) {
    this.#bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.offset = offset;
    this.#end = end;
  }

  /** The next descriptor byte, not consumed. */
  peek(): number {
    if (this.offset >= this.#end) throw truncated();
    return this.#bytes[this.offset] as number;
  }

  isNil(): boolean {
    return this.peek() === 0xc0;
  }

  /** Consumes a nil if it is next, and tells whether it was. */
  nil(): boolean {
    if (this.peek() !== 0xc0) return false;
    this.offset++;
    return true;
  }

  /** Number of entries of a map; -1 for nil. */
  map(): number {
    return this.#container(0x80, 0xde, 'map');
  }

  /** Number of items of a list; -1 for nil. */
  array(): number {
    return this.#container(0x90, 0xdc, 'list');
  }

  /** Any integer, exact: a bigint beyond 2^53 - 1 either way. */
  int(): number | bigint {
    const d = this.#u8();
    if (d < 0x80) return d;
    if (d >= 0xe0) return d - 0x100;
    switch (d) {
      case 0xcc:
        return this.#u8();
      case 0xcd:
        return this.#bytes.readUInt16BE(this.#take(2));
      case 0xce:
        return this.#bytes.readUInt32BE(this.#take(4));
      case 0xcf:
        return exact(this.#bytes.readBigUInt64BE(this.#take(8)));
      case 0xd0:
        return this.#bytes.readInt8(this.#take(1));
      case 0xd1:
        return this.#bytes.readInt16BE(this.#take(2));
      case 0xd2:
        return this.#bytes.readInt32BE(this.#take(4));
      case 0xd3:
        return exact(this.#bytes.readBigInt64BE(this.#take(8)));
      case 0xc0:
        return 0;
    }
    this.offset--;
    throw this.#wrong('an integer');
  }

  /** An integer from 0 to `max`, in whatever width it came. */
  uint(max: number = Number.MAX_SAFE_INTEGER): number {
    const value = this.int();
    if (typeof value === 'bigint' || value < 0 || value > max)
      throw new MsgpackError('out_of_range', `${value} is not between 0 and ${max}`);
    return value;
  }

  bool(): boolean {
    const d = this.#u8();
    if (d === 0xc3 || d === 1) return true;
    if (d === 0xc2 || d === 0 || d === 0xc0) return false;
    this.offset--;
    throw this.#wrong('a bool');
  }

  /** A float; integers are taken too. */
  float(): number {
    const d = this.peek();
    if (d === 0xcb) {
      this.offset++;
      return this.#bytes.readDoubleBE(this.#take(8));
    }
    if (d === 0xca) {
      this.offset++;
      return this.#bytes.readFloatBE(this.#take(4));
    }
    return Number(this.int());
  }

  /** Raw, bin, or a list of integers below 256. A view into the input where possible, not a copy; nil is empty. */
  bytes(): Uint8Array {
    const d = this.peek();
    if (d === 0xc0) {
      this.offset++;
      return noBytes;
    }
    if ((d & 0xf0) === 0x90 || d === 0xdc || d === 0xdd) {
      const size = this.array();
      const out: number[] = [];
      for (let i = 0; i < size; i++) out.push(this.uint(255));
      return Uint8Array.from(out);
    }
    const size = this.#rawSize(true);
    const at = this.#take(size);
    return this.#bytes.subarray(at, at + size);
  }

  /** Text from the raw family (str8 included); bin is refused as Go refuses it; nil is ''. */
  str(): string {
    if (this.nil()) return '';
    const size = this.#rawSize(false);
    const at = this.#take(size);
    return this.#bytes.toString('utf8', at, at + size);
  }

  /** A map key. The same as `str`, quick for the short ASCII keys of structs. */
  key(): string {
    const d = this.peek();
    if ((d & 0xe0) !== 0xa0) return this.str();
    const size = d & 0x1f;
    this.offset++;
    const at = this.#take(size);
    return shortTexts.at(this.#bytes, at, size) ?? this.#bytes.toString('utf8', at, at + size);
  }

  /** Steps over one value of any type, ext included. */
  skip(depthMax: number = depthMaxDefault): void {
    if (depthMax <= 0) throw tooDeep();
    const d = this.#u8();
    if (d < 0x80 || d >= 0xe0 || d === 0xc0 || d === 0xc2 || d === 0xc3) return;
    const fixed = fixedSizes[d];
    if (d < 0x90) this.#skipMany((d & 0x0f) * 2, depthMax);
    else if (d < 0xa0) this.#skipMany(d & 0x0f, depthMax);
    else if (d < 0xc0) this.#take(d & 0x1f);
    else if (fixed !== undefined) this.#take(fixed);
    else if (d === 0xc4 || d === 0xd9) this.#take(this.#u8());
    else if (d === 0xc5 || d === 0xda) this.#take(this.#bytes.readUInt16BE(this.#take(2)));
    else if (d === 0xc6 || d === 0xdb) this.#take(this.#bytes.readUInt32BE(this.#take(4)));
    else if (d === 0xc7) this.#take(this.#u8() + 1);
    else if (d === 0xc8) this.#take(this.#bytes.readUInt16BE(this.#take(2)) + 1);
    else if (d === 0xc9) this.#take(this.#bytes.readUInt32BE(this.#take(4)) + 1);
    else if (d === 0xdc) this.#skipMany(this.#bytes.readUInt16BE(this.#take(2)), depthMax);
    else if (d === 0xdd) this.#skipMany(this.#bytes.readUInt32BE(this.#take(4)), depthMax);
    else if (d === 0xde) this.#skipMany(this.#bytes.readUInt16BE(this.#take(2)) * 2, depthMax);
    else if (d === 0xdf) this.#skipMany(this.#bytes.readUInt32BE(this.#take(4)) * 2, depthMax);
    else throw new MsgpackError('malformed', `0x${d.toString(16)} starts no msgpack value`);
  }

  /** One value of any type; see `decode`. */
  value(options: DecodeOptions = {}): Value {
    return this.#any(options.binaryKeys, false, options.depthMax ?? depthMaxDefault);
  }

  #any(binaryKeys: ReadonlySet<string> | undefined, binary: boolean, depth: number): Value {
    if (depth <= 0) throw tooDeep();
    const d = this.peek();
    if (d < 0x80 || d >= 0xe0) return this.int();
    if (d < 0x90 || d === 0xde || d === 0xdf) {
      const size = this.map();
      const out = newMap();
      for (let i = 0; i < size; i++) {
        const key = this.key();
        out[key] = this.#any(binaryKeys, binaryKeys?.has(key) ?? false, depth - 1);
      }
      return out;
    }
    if (d < 0xa0 || d === 0xdc || d === 0xdd) {
      const size = this.array();
      const out: Value[] = [];
      for (let i = 0; i < size; i++) out.push(this.#any(binaryKeys, binary, depth - 1));
      return out;
    }
    if (d < 0xc0 || (d >= 0xd9 && d <= 0xdb)) return this.#rawValue(binary);
    switch (d) {
      case 0xc0:
        this.offset++;
        return null;
      case 0xc2:
      case 0xc3:
        this.offset++;
        return d === 0xc3;
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return copy(this.bytes());
      case 0xca:
        return new Float(this.float(), 32);
      case 0xcb: {
        const value = this.float();
        return Number.isSafeInteger(value) ? new Float(value) : value;
      }
    }
    if (d >= 0xcc && d <= 0xd3) return this.int();
    throw new MsgpackError(
      'wrong_type',
      `0x${d.toString(16)}: extension types have no place in this dialect`,
    );
  }

  #rawValue(binary: boolean): Value {
    const size = this.#rawSize(false);
    const at = this.#take(size);
    if (binary) return copy(this.#bytes.subarray(at, at + size));
    const short = size < 32 ? shortTexts.at(this.#bytes, at, size) : undefined;
    if (short !== undefined) return short;
    const view = this.#bytes.subarray(at, at + size);
    try {
      return fatalUtf8.decode(view);
    } catch {
      return copy(view); // not text: kept as the bytes it is
    }
  }

  #rawSize(binToo: boolean): number {
    const d = this.#u8();
    if (d >= 0xa0 && d < 0xc0) return d & 0x1f;
    if (d === 0xda || (binToo && d === 0xc5)) return this.#bytes.readUInt16BE(this.#take(2));
    if (d === 0xd9 || (binToo && d === 0xc4)) return this.#u8();
    if (d === 0xdb || (binToo && d === 0xc6)) return this.#bytes.readUInt32BE(this.#take(4));
    this.offset--;
    throw this.#wrong(binToo ? 'bytes' : 'text');
  }

  #container(fix: number, wide: number, what: string): number {
    const d = this.#u8();
    if ((d & 0xf0) === fix) return d & 0x0f;
    if (d === wide) return this.#bytes.readUInt16BE(this.#take(2));
    if (d === wide + 1) return this.#bytes.readUInt32BE(this.#take(4));
    if (d === 0xc0) return -1;
    this.offset--;
    throw this.#wrong(`a ${what}`);
  }

  #skipMany(count: number, depthMax: number): void {
    for (let i = 0; i < count; i++) this.skip(depthMax - 1);
  }

  #u8(): number {
    if (this.offset >= this.#end) throw truncated();
    return this.#bytes[this.offset++] as number;
  }

  /** Consumes `size` bytes and says where they start. */
  #take(size: number): number {
    const at = this.offset;
    if (size > this.#end - at) throw truncated();
    this.offset = at + size;
    return at;
  }

  #wrong(wanted: string): MsgpackError {
    const d = this.#bytes[this.offset] as number;
    return new MsgpackError('wrong_type', `0x${d.toString(16)} at byte ${this.offset} is not ${wanted}`);
  }
}

/** Sizes behind the descriptor byte, for the types whose size the descriptor alone decides. */
const fixedSizes: Readonly<Record<number, number>> = {
  202: 4,
  203: 8,
  204: 1,
  205: 2,
  206: 4,
  207: 8,
  208: 1,
  209: 2,
  210: 4,
  211: 8,
  212: 2,
  213: 3,
  214: 5,
  215: 9,
  216: 17,
};

function exact(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function copy(view: Uint8Array): Uint8Array {
  return new Uint8Array(view);
}

function truncated(): MsgpackError {
  return new MsgpackError('truncated', 'the bytes end in the middle of a value');
}

function tooDeep(): MsgpackError {
  return new MsgpackError('too_deep', 'values nest deeper than allowed');
}
