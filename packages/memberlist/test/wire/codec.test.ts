/**
 * codec.test.ts: what Go tolerates in a message, and what it refuses.
 */
import { Writer } from '@fed/msgpack';
import { describe, expect, test } from 'vitest';
import { decodeMessage, encodeMessage } from '../../src/wire/codec.ts';
import type { Message } from '../../src/wire/message.ts';
import { bytes, hex } from './go-form.ts';

const u8 = (...values: number[]): Uint8Array => Uint8Array.of(...values);
const none = new Uint8Array(0);

/** One of each, with every field its own value. */
const samples: readonly Message[] = [
  { kind: 'ping', seqNo: 1, node: 'a', sourceAddr: u8(10, 0, 0, 1), sourcePort: 7946, sourceNode: 'b' },
  {
    kind: 'indirectPing',
    seqNo: 2,
    target: u8(10, 0, 0, 2),
    port: 7947,
    node: 'c',
    nack: true,
    sourceAddr: u8(10, 0, 0, 3),
    sourcePort: 7948,
    sourceNode: 'd',
  },
  { kind: 'ack', seqNo: 3, payload: u8(1, 2) },
  { kind: 'nack', seqNo: 4 },
  { kind: 'suspect', incarnation: 5, node: 'e', from: 'f' },
  { kind: 'dead', incarnation: 6, node: 'g', from: 'h' },
  {
    kind: 'alive',
    incarnation: 7,
    node: 'i',
    addr: u8(10, 0, 0, 4),
    port: 7949,
    meta: u8(3, 4),
    vsn: u8(1, 5, 2, 2, 5, 4),
  },
  { kind: 'err', error: 'j' },
];

const typeOf = (m: Message): number => encodeMessage(m)[0]!;

/** Fields in the order Go declares them, as [name, write]. */
function fieldsOf(m: Message): [string, (w: Writer) => void][] {
  const int = (n: number) => (w: Writer) => w.int(n);
  const str = (s: string) => (w: Writer) => w.str(s);
  const raw = (b: Uint8Array) => (w: Writer) => w.raw(b);
  const source = (p: Message & { kind: 'ping' | 'indirectPing' }): [string, (w: Writer) => void][] => [
    ['SourceAddr', raw(p.sourceAddr!)],
    ['SourcePort', int(p.sourcePort!)],
    ['SourceNode', str(p.sourceNode!)],
  ];
  switch (m.kind) {
    case 'ping':
      return [['SeqNo', int(m.seqNo)], ['Node', str(m.node)], ...source(m)];
    case 'indirectPing':
      return [
        ['SeqNo', int(m.seqNo)],
        ['Target', raw(m.target)],
        ['Port', int(m.port)],
        ['Node', str(m.node)],
        ['Nack', (w) => w.bool(m.nack)],
        ...source(m),
      ];
    case 'ack':
      return [
        ['SeqNo', int(m.seqNo)],
        ['Payload', raw(m.payload)],
      ];
    case 'nack':
      return [['SeqNo', int(m.seqNo)]];
    case 'suspect':
    case 'dead':
      return [
        ['Incarnation', int(m.incarnation)],
        ['Node', str(m.node)],
        ['From', str(m.from)],
      ];
    case 'alive':
      return [
        ['Incarnation', int(m.incarnation)],
        ['Node', str(m.node)],
        ['Addr', raw(m.addr)],
        ['Port', int(m.port)],
        ['Meta', raw(m.meta)],
        ['Vsn', raw(m.vsn)],
      ];
    case 'err':
      return [['Error', str(m.error)]];
    case 'user':
      return [];
  }
}

/** The same value with views turned into plain arrays, whatever class of bytes they are. */
function plain(m: Message): unknown {
  return Object.fromEntries(
    Object.entries(m).map(([field, value]) => [field, value instanceof Uint8Array ? [...value] : value]),
  );
}

const zero: Readonly<Record<string, unknown>> = {
  ping: { kind: 'ping', seqNo: 0, node: '' },
  indirectPing: { kind: 'indirectPing', seqNo: 0, target: [], port: 0, node: '', nack: false },
  ack: { kind: 'ack', seqNo: 0, payload: [] },
  nack: { kind: 'nack', seqNo: 0 },
  suspect: { kind: 'suspect', incarnation: 0, node: '', from: '' },
  dead: { kind: 'dead', incarnation: 0, node: '', from: '' },
  alive: { kind: 'alive', incarnation: 0, node: '', addr: [], port: 0, meta: [], vsn: [] },
  err: { kind: 'err', error: '' },
};

/** A value of a kind no field has, nested, with a bin and an ext in it: [{"x": 1.5}, bin, ext]. */
const odd = bytes('9381a178cb3ff8000000000000c40201ffd5070102');

for (const m of samples) {
  const type = typeOf(m);
  const fields = fieldsOf(m);
  const reads = (body: (w: Writer) => void): unknown => {
    const w = new Writer().u8(type);
    body(w);
    return plain(decodeMessage(w.take()));
  };

  describe(m.kind, () => {
    test('comes back as it was', () => {
      expect(plain(decodeMessage(encodeMessage(m)))).toEqual(plain(m));
    });

    test('keys may come in any order, in a map of any width', () => {
      expect(
        reads((w) => {
          w.map(fields.length);
          for (const [name, write] of fields.toReversed()) write(w.str(name));
        }),
      ).toEqual(plain(m));
      for (const header of [
        `de00${fields.length.toString(16).padStart(2, '0')}`,
        `df${fields.length.toString(16).padStart(8, '0')}`,
      ]) {
        expect(
          reads((w) => {
            w.verbatim(bytes(header));
            for (const [name, write] of fields) write(w.str(name));
          }),
        ).toEqual(plain(m));
      }
    });

    test('unknown keys are skipped, whatever their values; case matters', () => {
      expect(
        reads((w) => {
          w.map(fields.length * 2);
          for (const [name, write] of fields) {
            w.str(name.toLowerCase()).verbatim(odd);
            write(w.str(name));
          }
        }),
      ).toEqual(plain(m));
    });

    test('of duplicate keys the last counts', () => {
      expect(
        reads((w) => {
          w.map(fields.length * 2);
          for (const [name] of fields) w.str(name).nil();
          for (const [name, write] of fields) write(w.str(name));
        }),
      ).toEqual(plain(m));
    });

    test('a list stands for the fields in their declared order; surplus items are skipped', () => {
      const list = (w: Writer): void => {
        for (const [, write] of fields) write(w);
      };
      expect(reads((w) => list(w.array(fields.length)))).toEqual(plain(m));
      expect(
        reads((w) => {
          list(w.array(fields.length + 2));
          w.verbatim(odd).nil();
        }),
      ).toEqual(plain(m));
    });

    test('missing fields, nil fields and nil for the whole are zero', () => {
      expect(reads((w) => w.map(0))).toEqual(zero[m.kind]);
      expect(reads((w) => w.array(0))).toEqual(zero[m.kind]);
      expect(reads((w) => w.nil())).toEqual(zero[m.kind]);
      expect(
        reads((w) => {
          w.map(fields.length);
          for (const [name] of fields) w.str(name).nil();
        }),
      ).toEqual(zero[m.kind]);
    });

    test('bytes behind the message are ignored', () => {
      expect(plain(decodeMessage(Buffer.concat([encodeMessage(m), bytes('c1ff')])))).toEqual(plain(m));
    });

    test('no prefix of it is a message', () => {
      const whole = encodeMessage(m);
      for (let end = 1; end < whole.length; end++) {
        expect(() => decodeMessage(whole.subarray(0, end))).toThrow(
          expect.objectContaining({ name: 'WireError', code: 'truncated' }),
        );
      }
    });

    test('another type than map or list is refused', () => {
      for (const body of ['01', 'a0', 'c3', 'cb3ff8000000000000', 'c401ff', 'c1']) {
        expect(() => decodeMessage(Buffer.concat([u8(type), bytes(body)]))).toThrow(
          expect.objectContaining({ code: 'malformed' }),
        );
      }
    });

    test('a known key with a value of a foreign type fails the whole message', () => {
      for (const [name] of fields) {
        expect(() => reads((w) => w.map(1).str(name).map(0))).toThrow(
          expect.objectContaining({ code: 'malformed' }),
        );
      }
    });
  });
}

describe('numbers', () => {
  const seqNo = (value: string): number => {
    const m = decodeMessage(bytes(`0b81a55365714e6f${value}`));
    if (m.kind !== 'nack') throw new Error(m.kind);
    return m.seqNo;
  };

  test('an unsigned field takes every integer width, signed ones too', () => {
    for (const value of [
      '2a',
      'cc2a',
      'cd002a',
      'ce0000002a',
      'cf000000000000002a',
      'd02a',
      'd1002a',
      'd20000002a',
    ]) {
      expect(seqNo(value)).toBe(42);
    }
    expect(seqNo('d3000000000000002a')).toBe(42);
    expect(seqNo('ceffffffff')).toBe(4294967295);
  });

  test('negative, too large, float and bool are refused', () => {
    for (const value of ['ff', 'd0ff', 'd3ffffffffffffffff', 'cf0000000100000000', 'cfffffffffffffffff']) {
      expect(() => seqNo(value)).toThrow(expect.objectContaining({ code: 'out_of_range' }));
    }
    for (const value of ['ca3f800000', 'cb3ff0000000000000', 'c3', 'a131']) {
      expect(() => seqNo(value)).toThrow(expect.objectContaining({ code: 'malformed' }));
    }
  });

  test('a port has 16 bits', () => {
    const port = (value: string): Message => decodeMessage(bytes(`0481a4506f7274${value}`));
    expect(port('cdffff')).toMatchObject({ port: 65535 });
    expect(() => port('ce00010000')).toThrow(expect.objectContaining({ code: 'out_of_range' }));
  });

  test('a number that is none is our own fault, and spoils no later message', () => {
    expect(() => encodeMessage({ kind: 'nack', seqNo: Number.NaN })).toThrow(RangeError);
    expect(hex(encodeMessage({ kind: 'nack', seqNo: 42 }))).toBe('0b81a55365714e6f2a');
  });
});

describe('text and bytes', () => {
  test('text is taken from str8, str16 and str32 but not from bin', () => {
    const node = (value: string): Message => decodeMessage(bytes(`0081a44e6f6465${value}`));
    for (const value of ['a26e31', 'd9026e31', 'da00026e31', 'db000000026e31']) {
      expect(node(value)).toMatchObject({ node: 'n1' });
    }
    expect(() => node('c4026e31')).toThrow(expect.objectContaining({ code: 'malformed' }));
  });

  test('bytes are taken from raw, from bin and from a list of small integers', () => {
    const payload = (value: string): Message => decodeMessage(bytes(`0281a75061796c6f6164${value}`));
    for (const value of [
      'a201ff',
      'd90201ff',
      'da000201ff',
      'c40201ff',
      'c5000201ff',
      '9201ccff',
      'dc000201ccff',
    ]) {
      const m = payload(value);
      expect(plain(m)).toMatchObject({ payload: [1, 255] });
    }
    expect(() => payload('9201cd0100')).toThrow(expect.objectContaining({ code: 'out_of_range' }));
  });

  test('a bool is true, false, 0 or 1', () => {
    const nack = (value: string): Message => decodeMessage(bytes(`0181a44e61636b${value}`));
    for (const [value, expected] of [
      ['c2', false],
      ['c3', true],
      ['00', false],
      ['01', true],
      ['c0', false],
    ] as const) {
      expect(nack(value)).toMatchObject({ nack: expected });
    }
    for (const value of ['02', 'ff', 'a0']) {
      expect(() => nack(value)).toThrow(expect.objectContaining({ code: 'malformed' }));
    }
  });

  test('empty bytes are written as nil, and the three Source fields are left out', () => {
    const ping: Message = {
      kind: 'ping',
      seqNo: 1,
      node: '',
      sourceAddr: none,
      sourcePort: 0,
      sourceNode: '',
    };
    expect(hex(encodeMessage(ping))).toBe('0082a44e6f6465a0a55365714e6f01');
    expect(hex(encodeMessage({ kind: 'ack', seqNo: 1, payload: none }))).toBe(
      '0282a75061796c6f6164c0a55365714e6f01',
    );
  });

  test('what is read are views: nothing is copied', () => {
    const whole = encodeMessage({ kind: 'user', payload: u8(1, 2, 3) });
    const m = decodeMessage(whole);
    if (m.kind !== 'user') throw new Error(m.kind);
    expect(m.payload.buffer).toBe(whole.buffer);
  });
});

describe('types', () => {
  test('nothing is no message', () => {
    expect(() => decodeMessage(none)).toThrow(expect.objectContaining({ code: 'empty' }));
  });

  test('layers, push/pull and unknown types are no messages', () => {
    for (const type of [6, 7, 9, 10, 12, 14, 99, 244, 255]) {
      expect(() => decodeMessage(u8(type, 0x80))).toThrow(expect.objectContaining({ code: 'unknown_type' }));
    }
  });

  test('values nested without end are refused, not followed', () => {
    const deep = Buffer.concat([bytes('0081a178'), Buffer.alloc(100_000, 0x91)]);
    expect(() => decodeMessage(deep)).toThrow(expect.objectContaining({ code: 'too_deep' }));
  });
});
