import { helloWireBytesMax } from '@fed/alpn-mux';
import { expect, test } from 'vitest';
import { clientHello } from '../../test/client-hello.ts';
import { HelloReader } from './hello-reader.ts';

const hello = clientHello('n1.server.dc1.consul');

test('hello reader: every way to cut a hello in two gives the same name and loses no byte', () => {
  for (let cut = 1; cut < hello.length; cut++) {
    const reader = new HelloReader();
    expect(reader.add(hello.subarray(0, cut)).kind).toBe('needMore');
    expect(reader.add(hello.subarray(cut))).toMatchObject({ kind: 'hello', sni: 'n1.server.dc1.consul' });
    expect(Buffer.concat(reader.take()).equals(hello)).toBe(true);
  }
});

test('hello reader: byte by byte', () => {
  const reader = new HelloReader();
  const verdicts = [...hello].map((byte) => reader.add(Buffer.from([byte])).kind);
  expect(verdicts.slice(0, -1).every((kind) => kind === 'needMore')).toBe(true);
  expect(verdicts.at(-1)).toBe('hello');
});

test('hello reader: what comes with or after the hello is kept for the upstream', () => {
  const reader = new HelloReader();
  const early = Buffer.from('early data');
  reader.add(Buffer.concat([hello, early]));
  expect(reader.add(Buffer.from('more')).kind).toBe('hello');
  expect(reader.bytes).toBe(hello.length + early.length + 4);
  expect(Buffer.concat(reader.take()).toString('latin1')).toBe(`${hello.toString('latin1')}early datamore`);
  expect([reader.bytes, reader.take()]).toEqual([0, []]);
});

test('hello reader: a hello that never ends is given up at the limit, however large the last chunk', () => {
  const endless = Buffer.concat([Buffer.from('160301400001003ff0', 'hex'), Buffer.alloc(40_000)]);
  const reader = new HelloReader();
  expect(reader.add(endless.subarray(0, 3)).kind).toBe('needMore');
  const records = Buffer.concat(
    Array.from({ length: 7_000 }, (_, i) => Buffer.from([22, 3, 1, 0, 1, i === 0 ? 1 : i === 2 ? 0x3f : 0])),
  );
  const tiny = new HelloReader();
  expect(tiny.add(records.subarray(0, 10)).kind).toBe('needMore');
  expect(tiny.add(records.subarray(10, helloWireBytesMax - 1)).kind).toBe('needMore');
  expect(tiny.add(records.subarray(helloWireBytesMax - 1)).kind).toBe('tooLarge');
});
