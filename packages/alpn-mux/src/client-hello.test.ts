import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { helloWireBytesMax, type Peek, peekClientHello } from './client-hello.ts';

interface Vector {
  id: string;
  how: string;
  decidedAt: number | null;
  expect: {
    result: 'tls' | 'need_more' | 'not_tls' | 'invalid' | 'too_large';
    reason?: string;
    records?: number;
    sni?: string | null;
    alpn?: string[];
    legacyVersion?: string;
    versions?: string[];
    ech?: boolean;
  };
  hex: string;
}
const file = new URL('../test/vectors/clienthello.json', import.meta.url);
const { vectors } = JSON.parse(readFileSync(file, 'utf8')) as { vectors: Vector[] };
const bytesOf = (v: Vector): Buffer => Buffer.from(v.hex, 'hex');

function expected(v: Vector, bytes: Buffer): Peek {
  const e = v.expect;
  switch (e.result) {
    case 'need_more':
      return { kind: 'needMore' };
    case 'not_tls':
      return { kind: 'notTls', typeByte: bytes[0] as number };
    case 'too_large':
      return { kind: 'tooLarge' };
    case 'invalid':
      return { kind: 'invalid', reason: e.reason as Extract<Peek, { kind: 'invalid' }>['reason'] };
    case 'tls':
      return {
        kind: 'hello',
        sni: e.sni ?? undefined,
        alpn: e.alpn ?? [],
        ech: e.ech === true,
        bytes: v.decidedAt as number,
        records: e.records as number,
        legacyVersion: Number.parseInt(e.legacyVersion as string, 16),
        versions: (e.versions ?? []).map((x) => Number.parseInt(x, 16)),
      };
  }
}

test('client hello: the collection holds 55 samples', () => {
  expect(vectors).toHaveLength(55);
});

describe('client hello: verdict', () => {
  for (const v of vectors) {
    test(`${v.id}: ${v.expect.result} (${v.how})`, () => {
      const bytes = bytesOf(v);
      expect(peekClientHello(bytes)).toStrictEqual(expected(v, bytes));
    });
  }
});

describe('client hello: no prefix decides early, no suffix changes the verdict', () => {
  for (const v of vectors) {
    test(v.id, () => {
      const bytes = bytesOf(v);
      const decidedAt = v.decidedAt ?? bytes.length + 1;
      for (let end = 0; end < decidedAt && end <= bytes.length; end++) {
        expect(peekClientHello(bytes.subarray(0, end)).kind, `prefix of ${end}`).toBe('needMore');
      }
      const verdict = expected(v, bytes);
      for (let end = decidedAt; end <= bytes.length; end++) {
        const peek = peekClientHello(bytes.subarray(0, end));
        if (peek.kind !== verdict.kind) expect.fail(`prefix of ${end}: ${peek.kind}, not ${verdict.kind}`);
      }
    });
  }
});

/** The same handshake message, cut into records of these sizes. */
function recut(message: Buffer, sizes: readonly number[]): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0, i = 0; at < message.length; i++) {
    const part = message.subarray(at, at + (sizes[i % sizes.length] as number));
    parts.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 0xff]), part);
    at += part.length;
  }
  return Buffer.concat(parts);
}
const baseline = bytesOf(vectors.find((v) => v.id === 'crafted-baseline') as Vector);

test('client hello: the name survives every way to cut the message into records', () => {
  const message = baseline.subarray(5);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 8 }), (sizes) => {
      const wire = recut(message, sizes);
      expect(peekClientHello(wire)).toMatchObject({ sni: 'n1.server.dc1.consul', bytes: wire.length });
      expect(peekClientHello(wire.subarray(0, -1))).toEqual({ kind: 'needMore' });
    }),
  );
});

test('client hello: a flipped byte anywhere gives some verdict and never throws', () => {
  fc.assert(
    fc.property(fc.nat(baseline.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const bytes = Buffer.from(baseline);
      bytes[at] = (bytes[at] as number) ^ flip;
      expect(['needMore', 'notTls', 'invalid', 'tooLarge', 'hello']).toContain(peekClientHello(bytes).kind);
    }),
    { numRuns: 2000 },
  );
});

test('client hello: a later record that is no handshake record is a fault, seen at its first byte', () => {
  const split = recut(baseline.subarray(5), [50]);
  const bytes = Buffer.concat([split.subarray(0, 55), Buffer.from([23])]);
  expect(peekClientHello(bytes)).toEqual({ kind: 'invalid', reason: 'content_type' });
  expect(peekClientHello(bytes.subarray(0, 55))).toEqual({ kind: 'needMore' });
});

test('client hello: one-byte records are given up on at the wire limit, not at six times the hello limit', () => {
  const header = Buffer.from([1, 0, 0x3f, 0x00]);
  const wire = recut(Buffer.concat([header, Buffer.alloc(0x3f00)]), [1]);
  expect(peekClientHello(wire.subarray(0, helloWireBytesMax - 1))).toEqual({ kind: 'needMore' });
  expect(peekClientHello(wire.subarray(0, helloWireBytesMax))).toEqual({ kind: 'tooLarge' });
  expect(peekClientHello(wire)).toEqual({ kind: 'tooLarge' });
});
