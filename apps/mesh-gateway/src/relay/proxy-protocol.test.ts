import { isDeepStrictEqual } from 'node:util';
import { describe, expect, test } from 'vitest';
import { clientHello } from '../../test/client-hello.ts';
import { dice, seed } from '../../test/dice.ts';
import { blockBytesMax, ProxyHeaderReader, peekProxyHeader } from './proxy-protocol.ts';

const line = (text: string): Buffer => Buffer.from(`${text}\r\n`, 'latin1');
const signature = '0d0a0d0a000d0a515549540a';
const block = (rest: string): Buffer => Buffer.from(signature + rest.replaceAll(' ', ''), 'hex');
const v4 = block('21 11 000c c0a80001 c0a8000b dc04 01bb');
const v6 = block(`21 21 0024 20010db8${'00'.repeat(11)}01 20010db8${'00'.repeat(11)}02 dc04 01bb`);
/** With two things behind the addresses that a cloud adds: 2 + 3 and 2 + 3 bytes. */
const v4Extended = block('21 11 0018 c0a80001 c0a8000b dc04 01bb ea0003 010203 04 0003 000000');
const hello = clientHello('n1.server.dc1.consul');

describe('a header', () => {
  test.each<[string, Buffer, 1 | 2, { host: string; port: number } | undefined]>([
    ['TCP4', line('PROXY TCP4 192.168.0.1 192.168.0.11 56324 443'), 1, { host: '192.168.0.1', port: 56_324 }],
    ['TCP6', line('PROXY TCP6 2001:db8::1 2001:db8::2 56324 443'), 1, { host: '2001:db8::1', port: 56_324 }],
    [
      'the longest line there is',
      line(`PROXY UNKNOWN ${'ffff:'.repeat(7)}ffff ${'ffff:'.repeat(7)}ffff 65535 65535`),
      1,
      undefined,
    ],
    ['UNKNOWN', line('PROXY UNKNOWN'), 1, undefined],
    ['a block, IPv4', v4, 2, { host: '192.168.0.1', port: 56_324 }],
    ['a block, IPv6', v6, 2, { host: '2001:db8::1', port: 56_324 }],
    ['a block with more behind the addresses', v4Extended, 2, { host: '192.168.0.1', port: 56_324 }],
    ['LOCAL', block('20 00 0000'), 2, undefined],
    ['LOCAL with addresses', block('20 11 000c 00000000 00000000 0000 0000'), 2, undefined],
    ['a family without addresses for us', block('21 31 0003 616263'), 2, undefined],
  ])('%s: known at its last byte and not before; what follows is left', (_what, bytes, version, source) => {
    for (let end = 0; end < bytes.length; end++)
      expect(peekProxyHeader(bytes.subarray(0, end)), `${end} bytes`).toEqual({ kind: 'needMore' });
    const header = { kind: 'header', version, bytes: bytes.length, ...(source && { source }) };
    expect(peekProxyHeader(bytes)).toEqual(header);
    expect(peekProxyHeader(Buffer.concat([bytes, hello]))).toEqual(header);

    const reader = new ProxyHeaderReader();
    const all = Buffer.concat([bytes, hello]);
    for (let at = 0; at + 7 < bytes.length; at += 7)
      expect(reader.add(all.subarray(at, at + 7)).header.kind).toBe('needMore');
    const last = Math.floor((bytes.length - 1) / 7) * 7;
    expect(reader.add(all.subarray(last)).rest.equals(hello)).toBe(true);
  });
});

test.each<[string, Buffer]>([
  ['a TLS hello', hello],
  ['HTTP', Buffer.from('POST / HTTP/1.1\r\n')],
  ['a line in lower case', Buffer.from('proxy TCP4')],
  ['an empty line', Buffer.from('\r\nhello')],
])('%s is none, and is given back whole', (_what, bytes) => {
  const reader = new ProxyHeaderReader();
  expect(reader.add(bytes)).toEqual({ header: { kind: 'absent' }, rest: bytes });
});

test.each<[string, Buffer, RegExp]>([
  ['a line without end', Buffer.from(`PROXY UNKNOWN ${'x'.repeat(100)}`), /more than 107 bytes/],
  ['another family', line('PROXY UDP4 1.2.3.4 1.2.3.4 1 2'), /TCP4 or TCP6/],
  ['addresses of the other family', line('PROXY TCP4 ::1 ::1 1 2'), /two addresses/],
  ['a word too many', line('PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3'), /two ports/],
  ['two spaces', line('PROXY TCP4  1.2.3.4 1.2.3.4 1 2'), /two addresses/],
  ['a port that is none', line('PROXY TCP4 1.2.3.4 1.2.3.4 65536 2'), /port/],
  ['a port with a zero in front', line('PROXY TCP4 1.2.3.4 1.2.3.4 01 2'), /port/],
  ['another version of the block', block('31 11 000c'), /command 31/],
  ['another command', block('2f 11 000c'), /command 2f/],
  ['a block too short', block('21 11 0004 c0a80001'), /too short/],
  ['a block too long', block(`21 11 ${(blockBytesMax - 15).toString(16).padStart(4, '0')}`), /4097 bytes/],
])('%s is refused', (_what, bytes, reason) => {
  expect(peekProxyHeader(bytes)).toEqual({ kind: 'invalid', reason: expect.stringMatching(reason) });
});

test('whatever comes, a verdict is final and what is held is bounded', () => {
  const random = dice();
  const models = [v4, v6, v4Extended, line('PROXY TCP4 192.168.0.1 192.168.0.11 56324 443')];
  for (let i = 0; i < 20_000; i++) {
    const bytes = Buffer.concat([
      models[random(models.length)] as Buffer,
      Buffer.alloc(random(40), random(256)),
    ]);
    for (let bent = random(3); bent > 0; bent--) bytes[random(bytes.length)] = random(256);
    const whole = peekProxyHeader(bytes);
    for (let end = 0; end < bytes.length; end++) {
      const part = peekProxyHeader(bytes.subarray(0, end));
      if (part.kind !== 'needMore' && !isDeepStrictEqual(part, whole))
        expect(part, `seed ${seed}, ${bytes.toString('hex')}`).toEqual(whole);
    }
    if (whole.kind === 'needMore') expect(bytes.length).toBeLessThan(blockBytesMax);
  }
});
