import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  decode,
  encode,
  Float,
  goTimeFromRfc3339,
  goTimeToRfc3339,
  Reader,
  type Value,
} from '../src/index.ts';

interface GossipVector {
  readonly name: string;
  readonly goType: string;
  readonly kind: 'encode' | 'decode';
  readonly ok?: boolean;
  readonly hex?: string;
  readonly hexHead?: string;
  readonly length?: number;
  readonly decoded: unknown;
}

const gossip = (version: string): readonly GossipVector[] =>
  JSON.parse(readFileSync(new URL(`vectors/msgpack-${version}.json`, import.meta.url), 'utf8')).vectors;

const old = gossip('0.5.5');
const newer = new Map(gossip('2.1.5').map((v) => [v.name, v]));

describe('encode: what go-msgpack 0.5.5 writes comes back byte for byte after a decode', () => {
  for (const v of old.filter((v) => v.kind === 'encode'))
    test(v.name, () => expect(hex(encode(decode(bytes(whole(v)))))).toBe(whole(v)));
});

describe('encode: what go-msgpack 1.1.5 and 2.1.5 write reads as the same values', () => {
  for (const version of ['1.1.5', '2.1.5'])
    for (const v of gossip(version).filter((v) => v.kind === 'encode' && v.decoded !== null))
      test(`${version} ${v.name}`, () => {
        const from05 = old.find((o) => o.name === v.name);
        if (v.goType === 'time.Time') return expect(decode(bytes(whole(v)))).toBeDefined();
        expect(decode(bytes(whole(v)))).toEqual(decode(bytes(whole(from05!))));
      });
});

// The structs of the decode vectors, fields in declaration order.
type Kind = 'u32' | 'u16' | 'int' | 'str' | 'bytes' | 'bool' | 'float' | 'floats';
const structs: Record<string, readonly (readonly [string, Kind])[]> = {
  ping: [
    ['SeqNo', 'u32'],
    ['Node', 'str'],
    ['SourceAddr', 'bytes'],
    ['SourcePort', 'u16'],
    ['SourceNode', 'str'],
  ],
  alive: [
    ['Incarnation', 'u32'],
    ['Node', 'str'],
    ['Addr', 'bytes'],
    ['Port', 'u16'],
    ['Meta', 'bytes'],
    ['Vsn', 'bytes'],
  ],
  ind: [
    ['SeqNo', 'u32'],
    ['Target', 'bytes'],
    ['Port', 'u16'],
    ['Node', 'str'],
    ['Nack', 'bool'],
    ['SourceAddr', 'bytes'],
    ['SourcePort', 'u16'],
    ['SourceNode', 'str'],
  ],
  hdr: [
    ['Nodes', 'int'],
    ['UserStateLen', 'int'],
    ['Join', 'bool'],
  ],
  coord: [
    ['Vec', 'floats'],
    ['Error', 'float'],
    ['Adjustment', 'float'],
    ['Height', 'float'],
  ],
};

function readField(r: Reader, kind: Kind): unknown {
  switch (kind) {
    case 'u32':
      return r.uint(0xffff_ffff);
    case 'u16':
      return r.uint(0xffff);
    case 'int':
      return r.int();
    case 'str':
      return r.str();
    case 'bytes':
      return hex(r.bytes());
    case 'bool':
      return r.bool();
    case 'float':
      return r.float();
    case 'floats':
      return Array.from({ length: Math.max(0, r.array()) }, () => r.float());
  }
}

function readStruct(r: Reader, fields: readonly (readonly [string, Kind])[]): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  const d = r.peek();
  if ((d & 0xf0) === 0x90 || d === 0xdc || d === 0xdd) {
    const size = r.array();
    for (let i = 0; i < size; i++) {
      const field = fields[i];
      if (field === undefined) r.skip();
      else out[field[0]] = readField(r, field[1]);
    }
    return out;
  }
  const size = r.map();
  for (let i = 0; i < size; i++) {
    const key = r.key();
    const field = fields.find(([name]) => name === key);
    if (field === undefined) r.skip();
    else out[key] = readField(r, field[1]);
  }
  return out;
}

describe('decode: odd inputs get the verdict of go-msgpack, the later release winning where the two differ', () => {
  for (const v of old.filter((v) => v.kind === 'decode' && structs[v.goType] !== undefined))
    test(v.name, () => {
      const fields = structs[v.goType]!;
      const read = () => readStruct(new Reader(bytes(whole(v))), fields);
      // Bytes of a list are taken where both take them; text is as strict as the older codec.
      if (v.ok !== true && v.name !== 'decode-empty' && newer.get(v.name)?.ok === true)
        return expect(read).toThrow(/wrong_type/);
      if (v.ok !== true) return expect(read).toThrow(/\[(wrong_type|out_of_range|truncated|malformed)\]/);
      // Go wraps an unsigned 64-bit into a signed field; a count that large is refused by whoever reads it as a count.
      if (v.name === 'decode-int-uint64-max') return expect(read()['Nodes']).toBe(2n ** 64n - 1n);
      const expected = v.decoded as Record<string, unknown>;
      const got = read();
      for (const [name, kind] of fields)
        expect([name, got[name] ?? zero(kind)]).toEqual([name, plain(expected[name], kind)]);
    });
  test('decode-pp: a list of structs is read as any value', () => {
    for (const v of old.filter((v) => v.goType === 'pp'))
      expect(() => new Reader(bytes(whole(v))).skip()).not.toThrow();
  });
});

interface RpcValue {
  readonly name: string;
  readonly goType: string;
  readonly hex?: string;
  readonly prefixHex?: string;
  readonly payloadLength?: number;
  readonly decoded: unknown;
}
const rpc: { readonly encode: readonly RpcValue[] } = JSON.parse(
  readFileSync(new URL('vectors/values.json', import.meta.url), 'utf8'),
);

describe('rpc values: what Consul 1.9.8 writes comes back byte for byte after a decode', () => {
  for (const v of rpc.encode) test(v.name, () => expect(hex(encode(decode(bytes(whole(v)))))).toBe(whole(v)));
});

describe('rpc values: Go times read as RFC 3339', () => {
  for (const v of rpc.encode.filter(
    (v) => v.goType === 'time.Time' && String((v.decoded as { $time: string }).$time).endsWith('Z'),
  ))
    test(v.name, () => {
      const text = (v.decoded as { $time: string }).$time;
      const raw = new Reader(bytes(whole(v))).bytes();
      expect(goTimeToRfc3339(raw)).toBe(text);
      expect(hex(goTimeFromRfc3339(text))).toBe(hex(raw));
    });
});

function zero(kind: Kind): unknown {
  return { u32: 0, u16: 0, int: 0, str: '', bytes: '', bool: false, float: 0, floats: [] }[kind];
}

function plain(expected: unknown, kind: Kind): unknown {
  if (expected === null || expected === undefined) return zero(kind);
  if (kind === 'bytes') return (expected as { $bytes: string }).$bytes;
  return expected;
}

/** Long raws are recorded as their first bytes and a length; the last byte shown repeats. */
function whole(v: {
  hex?: string;
  prefixHex?: string;
  payloadLength?: number;
  hexHead?: string;
  length?: number;
}): string {
  if (v.hex !== undefined) return v.hex;
  if (v.prefixHex !== undefined) return `${v.prefixHex}${'61'.repeat(v.payloadLength ?? 0)}`;
  const head = v.hexHead ?? '';
  return head + head.slice(-2).repeat((v.length ?? 0) - head.length / 2);
}

function bytes(text: string): Uint8Array {
  return Buffer.from(text, 'hex');
}

function hex(value: Uint8Array): string {
  return Buffer.from(value).toString('hex');
}

test('float: a whole float stays a float, so an echo does not turn 1.0 into 1', () => {
  const value = decode(bytes('cb3ff0000000000000'));
  expect(value).toBeInstanceOf(Float);
  expect(hex(encode(value as Value))).toBe('cb3ff0000000000000');
});
