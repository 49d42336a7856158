/**
 * value-scanner.ts: where does a msgpack value end?
 *
 * net/rpc puts values one after the other with no length in front, so the end of a message is known only by walking it.
 * This walks bytes as they come and never goes back: a large body costs its length once, not once per chunk.
 * Lives here: sizes of msgpack types. Must not live here: their meaning; memory beyond the stack of open containers.
 * Source: msgpack spec; go-msgpack 0.5.5 msgpack.go (descriptors).
 */
import { RpcWireError } from './errors.ts';

/** Containers inside containers. Consul's deepest reply needs about ten. */
const depthMax = 128;

type LengthOf = 'raw' | 'ext' | 'array' | 'map';

export class ValueScanner {
  readonly #left: number[] = [1]; // values still missing in each open container, innermost last
  #skip = 0; // bytes of the current value still to pass over
  #lengthBytes = 0; // bytes of a length field still to read
  #length = 0;
  #lengthOf: LengthOf = 'raw';

  /** Bytes that are certain to follow before the value can end. */
  get bytesDue(): number {
    return this.#skip;
  }

  /**
   * Walks `bytes` from `at`. Answers where the value ends, or undefined if it goes on behind these bytes. After an end
   * the scanner stands at the beginning of the next value. Throws RpcWireError `malformed`.
   */
  scan(bytes: Uint8Array, at: number): number | undefined {
    let offset = at;
    for (;;) {
      if (this.#skip > 0) {
        const passed = Math.min(this.#skip, bytes.length - offset);
        this.#skip -= passed;
        offset += passed;
        if (this.#skip > 0) return undefined;
        if (this.#ended()) return offset;
      }
      if (offset === bytes.length) return undefined;
      const byte = bytes[offset]!;
      offset += 1;
      if (this.#lengthBytes > 0 ? this.#lengthByte(byte) : this.#descriptor(byte)) return offset;
    }
  }

  /** Whether the whole value ended with this byte. */
  #lengthByte(byte: number): boolean {
    this.#length = this.#length * 256 + byte;
    this.#lengthBytes -= 1;
    if (this.#lengthBytes > 0) return false;
    switch (this.#lengthOf) {
      case 'raw':
        return this.#pass(this.#length);
      case 'ext':
        return this.#pass(this.#length + 1); // one byte of type
      case 'array':
        return this.#enter(this.#length);
      case 'map':
        return this.#enter(this.#length * 2);
    }
  }

  #descriptor(byte: number): boolean {
    if (byte <= 0x7f || byte >= 0xe0) return this.#ended(); // small integers
    if (byte <= 0x8f) return this.#enter((byte & 0x0f) * 2);
    if (byte <= 0x9f) return this.#enter(byte & 0x0f);
    if (byte <= 0xbf) return this.#pass(byte & 0x1f);
    if (byte === 0xc1) throw new RpcWireError('malformed', 'byte c1 begins no msgpack value');
    if (byte <= 0xc3) return this.#ended(); // nil, false, true
    if (byte <= 0xc6) return this.#await('raw', 1 << (byte - 0xc4)); // bin
    if (byte <= 0xc9) return this.#await('ext', 1 << (byte - 0xc7));
    if (byte === 0xca) return this.#pass(4);
    if (byte === 0xcb) return this.#pass(8);
    if (byte <= 0xcf) return this.#pass(1 << (byte - 0xcc)); // uint
    if (byte <= 0xd3) return this.#pass(1 << (byte - 0xd0)); // int
    if (byte <= 0xd8) return this.#pass(1 + (1 << (byte - 0xd4))); // fixext
    if (byte <= 0xdb) return this.#await('raw', 1 << (byte - 0xd9));
    if (byte <= 0xdd) return this.#await('array', 2 << (byte - 0xdc));
    return this.#await('map', 2 << (byte - 0xde));
  }

  #await(what: LengthOf, lengthBytes: number): false {
    this.#lengthOf = what;
    this.#lengthBytes = lengthBytes;
    this.#length = 0;
    return false;
  }

  #pass(bytes: number): boolean {
    if (bytes === 0) return this.#ended();
    this.#skip = bytes;
    return false;
  }

  #enter(values: number): boolean {
    if (values === 0) return this.#ended();
    if (this.#left.length > depthMax)
      throw new RpcWireError('malformed', `more than ${depthMax} containers inside each other`);
    this.#left.push(values);
    return false;
  }

  /** A value has ended, and with it perhaps its container, and so on outwards. */
  #ended(): boolean {
    for (let depth = this.#left.length - 1; ; depth -= 1) {
      this.#left[depth]! -= 1;
      if (this.#left[depth]! > 0) return false;
      if (depth === 0) {
        this.#left[0] = 1;
        return true;
      }
      this.#left.pop();
    }
  }
}
