/**
 * stream.test.ts: a stream in pieces of any size, its limits, and who is told what.
 */
import { Writer } from '@fed/msgpack';
import { describe, expect, test } from 'vitest';
import { encodeMessage } from '../../src/wire/codec.ts';
import { compress } from '../../src/wire/compress.ts';
import { encryptedLength, encryptInto } from '../../src/wire/encrypt.ts';
import { WireError } from '../../src/wire/errors.ts';
import type { NodeState, PushPull } from '../../src/wire/message.ts';
import { encodePushPull, encodeUserStream } from '../../src/wire/push-pull.ts';
import type { WireOptions } from '../../src/wire/settings.ts';
import { createStreamCodec, type StreamPiece, type StreamRole } from '../../src/wire/stream.ts';
import { bytes, hex, load, plain, ringOf } from './go-form.ts';

const key = '000102030405060708090a0b0c0d0e0f';
const zeros = (n: number): Uint8Array => new Uint8Array(n);
const codecOf = (o: Partial<WireOptions> = {}): ReturnType<typeof createStreamCodec> =>
  createStreamCodec({ randomBytes: zeros, compress: false, ...o });
const code = (c: string): unknown => expect.objectContaining({ name: 'WireError', code: c });
const read = (stream: Uint8Array, o: Partial<WireOptions> = {}, role: StreamRole = 'acceptor'): StreamPiece =>
  codecOf(o).reader(role).feed(stream);
const ping = encodeMessage({ kind: 'ping', seqNo: 1, node: 'node-1' });

const files = [
  ...[
    'memberlist-0.2.2',
    'memberlist-0.5.0',
    'memberlist-0.6',
    'captured-serf-plain',
    'captured-serf-encrypted',
  ],
  ...['captured-consul-wan-encrypted', 'captured-label-encrypted', 'captured-mixed-versions'],
];

describe('prefixes', () => {
  for (const file of files) {
    for (const v of load(file).filter(({ kind }) => kind === 'stream')) {
      const stream = bytes(v.hex);
      const role: StreamRole = v.hex.startsWith('f4') || v.label === undefined ? 'acceptor' : 'initiator';
      const codec = codecOf({ keyring: v.key === undefined ? undefined : ringOf(v.key), label: v.label });

      test(`${file}, ${v.name}: byte by byte it wants more until the last`, () => {
        const reader = codec.reader(role);
        for (let at = 0; at < stream.length - 1; at++) {
          const piece = reader.feed(stream.subarray(at, at + 1));
          if (piece.kind !== 'needMore')
            throw new Error(`${piece.kind} after ${at + 1} of ${stream.length} bytes`);
        }
        const whole = codec.reader(role).feed(stream);
        const last = reader.feed(stream.subarray(-1));
        expect(plain(last)).toEqual(plain(whole));
        expect(last).toMatchObject({ kind: 'message', consumed: stream.length });
      });

      test(`${file}, ${v.name}: no prefix is taken for a whole one, and an end there is truncation`, () => {
        const step = Math.max(1, Math.floor(stream.length / 500));
        for (let end = 1; end < stream.length; end += step) {
          const reader = codec.reader(role);
          expect(reader.feed(stream.subarray(0, end)).kind).toBe('needMore');
          expect(reader.ended().code).toBe('truncated');
        }
      });
    }
  }
});

describe('pieces', () => {
  test('what follows the message is handed back, and counted out', () => {
    const stream = Buffer.concat([encodeUserStream(bytes('0102')), bytes('ffee')]);
    const piece = read(stream);
    if (piece.kind !== 'message') throw new Error(piece.kind);
    expect([piece.consumed, hex(piece.rest)]).toEqual([stream.length - 2, 'ffee']);
    expect(piece.message).toMatchObject({ kind: 'user' });
  });

  test('empty pieces change nothing', () => {
    const reader = codecOf().reader('acceptor');
    for (const part of [zeros(0), ping.subarray(0, 3), zeros(0), ping.subarray(3, 5), zeros(0)]) {
      expect(reader.feed(part)).toEqual({ kind: 'needMore' });
    }
    expect(reader.feed(ping.subarray(5)).kind).toBe('message');
  });

  test('the pieces fed are never written to', () => {
    const first = Buffer.alloc(64, 0x55);
    first.set(ping.subarray(0, 4));
    const reader = codecOf().reader('acceptor');
    reader.feed(first.subarray(0, 4));
    reader.feed(ping.subarray(4));
    expect(hex(first.subarray(4))).toBe('55'.repeat(60));
  });

  test('a reader reads one message; after it, or after an error, it is finished', () => {
    const done = codecOf().reader('acceptor');
    done.feed(ping);
    const failed = codecOf().reader('acceptor');
    expect(() => failed.feed(bytes('63'))).toThrow(code('unknown_type'));
    for (const reader of [done, failed]) {
      expect(() => reader.feed(ping)).toThrow(expect.objectContaining({ code: 'reader_finished' }));
    }
  });

  test('a stream that ends before any byte was empty', () => {
    expect(codecOf().reader('acceptor').ended().code).toBe('empty');
  });
});

describe('labels', () => {
  const blue = { label: 'blue' };
  const labelled = codecOf(blue).seal(ping, 'initiator');

  test('the initiator writes one, the acceptor does not', () => {
    expect(hex(labelled)).toBe(`f404626c7565${hex(ping)}`);
    expect(codecOf(blue).seal(ping, 'acceptor')).toEqual(ping);
  });

  test('the acceptor checks it, the initiator expects none', () => {
    expect(read(labelled, blue).kind).toBe('message');
    expect(read(ping, blue, 'initiator').kind).toBe('message');
    expect(() => read(labelled, blue, 'initiator')).toThrow(code('unknown_type'));
  });

  test('missing, other, unexpected and broken ones are refused', () => {
    expect(() => read(ping, blue)).toThrow(code('label_mismatch'));
    expect(() => read(labelled, { label: 'green' })).toThrow(code('label_mismatch'));
    expect(() => read(labelled)).toThrow(code('label_mismatch'));
    expect(() => read(bytes('f400'), blue)).toThrow(code('label_malformed'));
    expect(() => read(bytes('f4'), blue)).not.toThrow();
  });

  test('where something in front strips them, one that arrives is refused', () => {
    const skip = { ...blue, skipInboundLabelCheck: true };
    expect(read(ping, skip).kind).toBe('message');
    expect(() => read(labelled, skip)).toThrow(code('label_unexpected'));
  });

  test('the label is authenticated even where its header is not sent', () => {
    const keyring = ringOf(key);
    const answer = codecOf({ ...blue, keyring }).seal(ping, 'acceptor');
    expect(read(answer, { ...blue, keyring }, 'initiator').kind).toBe('message');
    expect(() => read(answer, { label: 'green', keyring }, 'initiator')).toThrow(code('undecryptable'));
  });
});

describe('encryption', () => {
  const keyring = ringOf(key);

  test('in the clear to a member with keys is refused, unless it does not verify', () => {
    expect(() => read(ping, { keyring })).toThrow(code('encryption_missing'));
    expect(read(ping, { keyring, verifyIncoming: false }).kind).toBe('message');
  });

  test('encrypted to a member without keys is refused at the first byte', () => {
    expect(() => read(bytes('0a'))).toThrow(code('encryption_not_configured'));
  });

  test('encrypted with a key that is not ours is refused, even without verification', () => {
    const stream = codecOf({ keyring: ringOf('f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff') }).seal(ping, 'initiator');
    expect(() => read(stream, { keyring, verifyIncoming: false })).toThrow(code('undecryptable'));
  });

  test('a length up to 20 MiB is waited for, one byte more is refused at once', () => {
    expect(read(bytes('0a01400000'), { keyring })).toEqual({ kind: 'needMore' });
    expect(() => read(bytes('0a01400001'), { keyring })).toThrow(code('encryption_too_large'));
  });

  test('the five bytes in front are authenticated', () => {
    const stream = codecOf({ keyring }).seal(ping, 'initiator');
    const moved = Buffer.concat([stream, zeros(1)]);
    moved.writeUInt32BE(moved.length - 5, 1);
    expect(() => read(moved, { keyring })).toThrow(code('undecryptable'));
  });

  test('inside an envelope everything must be there', () => {
    const inside = (text: Uint8Array): Uint8Array => codecOf({ keyring }).seal(text, 'initiator');
    expect(() => read(inside(ping.subarray(0, -1)), { keyring })).toThrow(code('truncated'));
    expect(() => read(inside(compress(ping).subarray(0, -1)), { keyring })).toThrow(
      code('compression_malformed'),
    );
    expect(() => read(inside(encodeUserStream(zeros(9)).subarray(0, -1)), { keyring })).toThrow(
      code('truncated'),
    );
    expect(read(inside(Buffer.concat([ping, bytes('c1')])), { keyring })).toMatchObject({ kind: 'message' });
  });

  test('an empty envelope, and one inside another, are refused', () => {
    const ring = keyring!;
    const empty = Buffer.alloc(5 + encryptedLength(1, 0));
    empty[0] = 10;
    empty.writeUInt32BE(empty.length - 5, 1);
    const envelope = {
      version: 1,
      key: ring.ring[0]!,
      nonce: zeros(12),
      associated: empty.subarray(0, 5),
    } as const;
    encryptInto(envelope, zeros(0), zeros(0), empty, 5);
    expect(() => read(empty, { keyring })).toThrow(code('empty'));
    const twice = codecOf({ keyring }).seal(codecOf({ keyring }).seal(ping, 'acceptor'), 'initiator');
    expect(() => read(twice, { keyring })).toThrow(code('unknown_type'));
  });
});

describe('compression', () => {
  test('one level is unwrapped, a second is refused', () => {
    expect(read(compress(ping))).toMatchObject({ message: { kind: 'ping', node: 'node-1' } });
    expect(() => read(compress(compress(ping)))).toThrow(code('unknown_type'));
  });

  test('an unknown algorithm, broken data and nothing inside are refused', () => {
    expect(() => read(bytes('0982a4416c676f07a3427566a101'))).toThrow(code('compression_algorithm'));
    expect(() => read(bytes('0982a4416c676f00a3427566a2ffff'))).toThrow(code('compression_malformed'));
    expect(() => read(bytes('0901'))).toThrow(code('compression_malformed'));
    expect(() => read(compress(zeros(0)))).toThrow(code('empty'));
  });

  test('40 MiB may come out, not more', () => {
    const limit = 40 * 1024 * 1024;
    const user = encodeUserStream(bytes('01'));
    const message = zeros(limit + 1);
    message.set(user);
    expect(() => read(compress(message))).toThrow(code('compression_too_large'));
    expect(read(compress(message.subarray(0, limit)))).toMatchObject({ message: { kind: 'user' } });
  });

  test('more than 20 MiB of compressed bytes are refused, and no more are collected', () => {
    const reader = codecOf().reader('acceptor');
    reader.feed(bytes('0982a4416c676f00a3427566dbffffffff'));
    const mebibyte = zeros(1024 * 1024);
    let fed = 0;
    expect(() => {
      for (; fed < 64; fed++) reader.feed(mebibyte);
    }).toThrow(code('compression_too_large'));
    expect(fed).toBe(20);
  });

  test('a compress message of endless other fields is refused after 256 bytes', () => {
    const reader = codecOf().reader('acceptor');
    reader.feed(bytes('09dfffffffff'));
    expect(() => {
      for (let fed = 0; fed < 100; fed++) reader.feed(Buffer.alloc(999, bytes('a178c0')));
    }).toThrow(code('compression_too_large'));
  });
});

const row: NodeState = {
  name: 'node-1',
  addr: bytes('0a000001'),
  port: 7946,
  meta: bytes('6d'),
  incarnation: 1,
  state: 0,
  vsn: bytes('010502020504'),
};
const table: PushPull = {
  join: true,
  nodes: [row, { ...row, name: 'node-2', state: 3 }],
  userState: bytes('75'),
};

describe('push/pull', () => {
  const header = (nodes: string, userStateLen: string): Uint8Array =>
    bytes(`0682a54e6f646573${nodes}ac5573657253746174654c656e${userStateLen}`);

  test('comes back as it was', () => {
    const piece = read(encodePushPull(table));
    if (piece.kind !== 'message' || piece.message.kind !== 'pushPull') throw new Error(piece.kind);
    expect(plain(piece.message)).toEqual(plain({ kind: 'pushPull', ...table }));
  });

  test('a table and a user state may be empty', () => {
    const piece = read(encodePushPull({ join: false, nodes: [], userState: zeros(0) }));
    expect(piece).toMatchObject({ kind: 'message', message: { join: false, nodes: [] } });
  });

  test('up to 1048576 nodes and 20 MiB of user state are waited for, nothing beyond is', () => {
    for (const nodes of ['ce00100000', 'd200100000', 'd30000000000100000']) {
      expect(read(header(nodes, '00'))).toEqual({ kind: 'needMore' });
    }
    for (const nodes of [
      'ce00100001',
      'd200100001',
      'cf00ffffffffffffff',
      'cfffffffffffffffff',
      'ff',
      'd2ffffffff',
    ]) {
      expect(() => read(header(nodes, '00'))).toThrow(code('out_of_range'));
    }
    expect(read(header('00', 'ce01400000'))).toEqual({ kind: 'needMore' });
    for (const length of ['ce01400001', 'd201400001', 'ff', 'd3ffffffffffffffff', 'cf8000000000000000']) {
      expect(() => read(header('00', length))).toThrow(code('out_of_range'));
    }
  });

  test('a row in a state we do not know is left out, as members before 0.1.6 left out `left`', () => {
    const encoded = Buffer.from(encodePushPull(table));
    const at = encoded.lastIndexOf(Buffer.from('a5537461746503', 'hex'));
    for (const state of [0x04, 0x7f, 0xff]) {
      encoded[at + 6] = state;
      expect(read(encoded)).toMatchObject({ message: { nodes: [{ name: 'node-1' }] } });
    }
  });

  test('rows may be lists, nil, or lack fields', () => {
    const w = new Writer().verbatim(header('03', '00'));
    w.array(8).str('node-1').raw(row.addr).int(7946).raw(row.meta).int(1).int(0).raw(row.vsn).str('surplus');
    w.nil();
    w.map(1).str('Name').str('node-3');
    const piece = read(w.take());
    if (piece.kind !== 'message' || piece.message.kind !== 'pushPull') throw new Error(piece.kind);
    const empty: NodeState = {
      ...row,
      name: '',
      addr: zeros(0),
      port: 0,
      meta: zeros(0),
      incarnation: 0,
      vsn: zeros(0),
    };
    expect(plain(piece.message.nodes)).toEqual(plain([row, empty, { ...empty, name: 'node-3' }]));
  });

  test('rows own their bytes: they do not keep the stream they came with', () => {
    const stream = encodePushPull(table);
    const piece = read(stream);
    if (piece.kind !== 'message' || piece.message.kind !== 'pushPull') throw new Error(piece.kind);
    for (const node of piece.message.nodes) {
      for (const part of [node.addr, node.meta, node.vsn]) expect(part.buffer.byteLength).toBe(part.length);
    }
  });

  test('a row of more than 64 KiB is refused, in one piece or in many', () => {
    const large = encodePushPull({ ...table, nodes: [{ ...row, meta: zeros(64 * 1024) }] });
    expect(() => read(large)).toThrow(code('too_large'));
    const reader = codecOf().reader('acceptor');
    expect(() => {
      for (let at = 0; at < large.length; at += 1000) reader.feed(large.subarray(at, at + 1000));
    }).toThrow(code('too_large'));
    expect(read(encodePushPull({ ...table, nodes: [{ ...row, meta: zeros(60 * 1024) }] })).kind).toBe(
      'message',
    );
  });

  test('a message that goes on beyond 40 MiB is refused', () => {
    const reader = codecOf().reader('acceptor');
    reader.feed(header('ce00100000', '00'));
    // Rows of 60 KiB, 17 to a piece.
    const node = encodePushPull({
      join: false,
      nodes: [{ ...row, meta: zeros(60 * 1024) }],
      userState: zeros(0),
    });
    const rows = Buffer.concat(Array(17).fill(node.subarray(header('01', '00').length + 6)));
    let fed = 0;
    expect(() => {
      for (; fed < 100; fed++) reader.feed(rows);
    }).toThrow(code('too_large'));
    expect((fed * rows.length) / 1024 / 1024).toBeLessThanOrEqual(40);
  });
});

describe('structs', () => {
  test('one that announces more than 64 KiB is refused before it arrives', () => {
    expect(read(bytes('0081a178dafff0'))).toEqual({ kind: 'needMore' });
    expect(() => read(bytes('0081a178db00010000'))).toThrow(code('too_large'));
    for (const value of ['c6ffffffff', 'ddffffffff', 'dd00010000', 'df00008000', 'c900010000']) {
      expect(() => read(bytes(`0081a178${value}`))).toThrow(code('too_large'));
    }
  });

  test('values of every form are followed to their end, in any pieces', () => {
    const values = [
      ...[
        '00',
        '7f',
        'ff',
        'c0',
        'c2',
        'c3',
        'a161',
        'a0',
        'd90161',
        'da000161',
        'db0000000161',
        'c40161',
        'c5000161',
      ],
      ...['c60000000161', 'c7010161', 'c800010161', 'c9000000010161', 'd40161', 'd5010202', 'd60104040404'],
      ...[
        `d701${'08'.repeat(8)}`,
        `d801${'10'.repeat(16)}`,
        'ca00000000',
        `cb${'00'.repeat(8)}`,
        'cc01',
        'cd0001',
      ],
      ...[
        'ce00000001',
        `cf${'00'.repeat(8)}`,
        'd001',
        'd10001',
        'd200000001',
        `d3${'00'.repeat(8)}`,
        '90',
        '9101',
      ],
      ...[
        'dc00020102',
        'dd0000000101',
        '80',
        '81a161c0',
        'de0001a161c0',
        'df00000001a161c0',
        '9281a1619102c0',
      ],
    ];
    const stream = Buffer.concat([
      bytes('00de'),
      Uint8Array.of(0, values.length + 1),
      ...values.map((value) => bytes(`a178${value}`)),
      bytes('a44e6f6465a161'),
    ]);
    expect(plain(read(stream))).toMatchObject({
      message: { kind: 'ping', node: 'a' },
      consumed: stream.length,
    });
    const reader = codecOf().reader('acceptor');
    for (const byte of stream.subarray(0, -1)) {
      expect(reader.feed(Uint8Array.of(byte))).toEqual({ kind: 'needMore' });
    }
    expect(reader.feed(stream.subarray(-1))).toMatchObject({ consumed: stream.length });
  });

  test('a row that drips in byte by byte costs no more than one that comes at once', () => {
    // 60 thousand small values: read anew with every byte they would keep us busy for many seconds.
    const row = Buffer.concat([bytes('0081a178dd0000f000'), Buffer.alloc(60_000, 1)]);
    const reader = codecOf().reader('acceptor');
    for (let at = 0; at < row.length; at++) {
      expect(reader.feed(row.subarray(at, at + 1)).kind).toBe('needMore');
    }
  });
});

describe('user messages', () => {
  const header = (length: string): Uint8Array => bytes(`0881aa557365724d73674c656e${length}`);

  test('up to 20 MiB are waited for, nothing beyond is', () => {
    expect(read(header('ce01400000'))).toEqual({ kind: 'needMore' });
    for (const length of ['ce01400001', 'ff', 'd3ffffffffffffffff', 'cfffffffffffffffff']) {
      expect(() => read(header(length))).toThrow(code('out_of_range'));
    }
  });

  test('an empty one is a message', () => {
    const piece = read(encodeUserStream(zeros(0)));
    expect(piece).toMatchObject({ kind: 'message', message: { kind: 'user' } });
  });

  test('20 MiB come through, in the pieces they come in', () => {
    const payload = Buffer.alloc(20 * 1024 * 1024, 'payload');
    const stream = codecOf().seal(encodeUserStream(payload), 'initiator');
    const reader = codecOf().reader('acceptor');
    let piece: StreamPiece = { kind: 'needMore' };
    for (let at = 0; at < stream.length; at += 65_536) {
      expect(piece.kind).toBe('needMore');
      piece = reader.feed(stream.subarray(at, at + 65_536));
    }
    if (piece.kind !== 'message' || piece.message.kind !== 'user') throw new Error(piece.kind);
    expect(Buffer.compare(piece.message.payload, payload)).toBe(0);
  });
});

describe('types', () => {
  test('ping, ack, push/pull, user and err travel on streams, nothing else does', () => {
    for (const type of [0, 2, 6, 8, 13]) expect(read(Uint8Array.of(type))).toEqual({ kind: 'needMore' });
    for (const type of [1, 3, 4, 5, 7, 11, 12, 14, 99, 255]) {
      expect(() => read(Uint8Array.of(type))).toThrow(code('unknown_type'));
    }
  });
});

describe('what the acceptor tells', () => {
  test('encryption and compression that cannot be read are told, all else closes without a word', () => {
    const told = (stream: string, o: Partial<WireOptions> = {}): boolean => {
      try {
        read(bytes(stream), o);
      } catch (e) {
        if (e instanceof WireError) return e.toldOnStreams;
        throw e;
      }
      throw new Error('was read');
    };
    const keyring = ringOf(key);
    expect(told('0a')).toBe(true);
    expect(told('00', { keyring })).toBe(true);
    expect(told('0a01400001', { keyring })).toBe(true);
    expect(told(`0a0000001d01${'00'.repeat(28)}`, { keyring })).toBe(true);
    expect(told('0a0000000102', { keyring })).toBe(true);
    expect(told('0982a4416c676f07a3427566a101')).toBe(true);
    expect(told('63')).toBe(false);
    expect(told('0001')).toBe(false);
    expect(told('f400')).toBe(false);
    expect(told('00', { label: 'blue' })).toBe(false);
  });
});

describe('seal', () => {
  test('streams are compressed even where that is longer', () => {
    const stream = codecOf({ compress: true }).seal(ping, 'initiator');
    expect(stream[0]).toBe(9);
    expect(stream.length).toBeGreaterThan(ping.length);
  });

  test('what no peer would read is not written', () => {
    const usage = (c: string): unknown => expect.objectContaining({ name: 'WireUsageError', code: c });
    expect(() => codecOf().seal(zeros(0), 'initiator')).toThrow(usage('empty_message'));
    expect(() => codecOf().seal(zeros(40 * 1024 * 1024 + 1), 'initiator')).toThrow(usage('stream_too_large'));
    const keyed = codecOf({ keyring: ringOf(key) });
    expect(() => keyed.seal(zeros(20 * 1024 * 1024 - 28), 'initiator')).toThrow(usage('stream_too_large'));
    expect(keyed.seal(zeros(20 * 1024 * 1024 - 29), 'acceptor').length).toBe(20 * 1024 * 1024 + 5);
  });
});
