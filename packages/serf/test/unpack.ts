/**
 * unpack.ts: takes recorded packets and streams apart down to what serf put inside, independently of memberlist's code.
 */
import { createDecipheriv } from 'node:crypto';
import { Reader } from '@fed/msgpack';

export interface Inside {
  /** Payloads of user messages, in packet order. */
  readonly serf: Uint8Array[];
  /** User states of push/pulls. */
  readonly states: Uint8Array[];
  /** Payloads of acks. */
  readonly acks: Uint8Array[];
}

export function unpackPacket(bytes: Uint8Array, o: { key?: string; label?: string }): Inside {
  const inside: Inside = { serf: [], states: [], acks: [] };
  const unlabelled = o.label === undefined ? bytes : bytes.subarray(2 + bytes[1]!);
  const plain = o.key === undefined ? unlabelled : decrypt(unlabelled, o.key, Buffer.from(o.label ?? ''));
  look(plain[0] === 12 ? plain.subarray(5) : plain, inside);
  return inside;
}

export function unpackStream(bytes: Uint8Array, o: { key?: string; label?: string }): Inside {
  const inside: Inside = { serf: [], states: [], acks: [] };
  const rest = bytes[0] === 244 ? bytes.subarray(2 + bytes[1]!) : bytes;
  const aad = Buffer.concat([rest.subarray(0, 5), Buffer.from(o.label ?? '')]);
  look(rest[0] === 10 ? decrypt(rest.subarray(5), o.key!, aad) : rest, inside);
  return inside;
}

function look(bytes: Uint8Array, into: Inside): void {
  const r = new Reader(bytes, 1);
  switch (bytes[0]) {
    case 2:
      into.acks.push(field(r, 'Payload') as Uint8Array);
      return;
    case 6: {
      const header = r.value() as { Nodes: number; UserStateLen: number };
      for (let i = 0; i < header.Nodes; i++) r.skip();
      into.states.push(bytes.subarray(r.offset, r.offset + header.UserStateLen));
      return;
    }
    case 7: {
      let at = 2 + 2 * bytes[1]!;
      for (let i = 0; i < bytes[1]!; i++) {
        const size = (bytes[2 + 2 * i]! << 8) | bytes[3 + 2 * i]!;
        look(bytes.subarray(at, at + size), into);
        at += size;
      }
      return;
    }
    case 8:
      into.serf.push(bytes.subarray(1));
      return;
    case 9:
      look(decompress(field(r, 'Buf') as Uint8Array), into);
      return;
  }
}

function field(r: Reader, name: string): Uint8Array {
  let found: Uint8Array = new Uint8Array(0);
  for (let left = r.map(); left > 0; left--)
    if (r.key() === name) found = r.bytes();
    else r.skip();
  return found;
}

function decrypt(bytes: Uint8Array, key: string, aad: Uint8Array): Uint8Array {
  const end = bytes.length - 16;
  const cipher = createDecipheriv(
    `aes-${(key.length / 2) * 8}-gcm` as 'aes-256-gcm',
    Buffer.from(key, 'hex'),
    bytes.subarray(1, 13),
  );
  cipher.setAAD(aad).setAuthTag(bytes.subarray(end));
  return Buffer.concat([cipher.update(bytes.subarray(13, end)), cipher.final()]);
}

/** LZW, least significant bit first, 8 bits to begin with: clear is 256, end is 257. */
function decompress(bytes: Uint8Array): Uint8Array {
  const out: number[] = [];
  let table: number[][] = [];
  let width = 9;
  let last: number[] | undefined;
  let bits = 0;
  let held = 0;
  for (const byte of bytes) {
    held |= byte << bits;
    bits += 8;
    while (bits >= width) {
      const code = held & ((1 << width) - 1);
      held >>>= width;
      bits -= width;
      if (code === 257) return Uint8Array.from(out);
      if (code === 256) {
        table = [];
        width = 9;
        last = undefined;
        continue;
      }
      const known: number[] | undefined = code < 256 ? [code] : table[code - 258];
      const entry: number[] = known ?? [...last!, last![0]!];
      out.push(...entry);
      if (last !== undefined && table.length + 258 < 4096) table.push([...last, entry[0]!]);
      last = entry;
      if (table.length + 258 >= 1 << width && width < 12) width++;
    }
  }
  throw new Error('LZW data without its end');
}
