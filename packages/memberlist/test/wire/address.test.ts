/**
 * address.test.ts: addresses and versions, as bytes and as text.
 */
import { describe, expect, test } from 'vitest';
import { addrToText, textToAddr } from '../../src/wire/address.ts';
import { decodeVsn, encodeVsn, isImpossibleVsn } from '../../src/wire/vsn.ts';
import { bytes, hex } from './go-form.ts';

describe('address', () => {
  // Bytes, and how Go prints them.
  for (const [addr, text] of [
    ['0a000001', '10.0.0.1'],
    ['ffffffff', '255.255.255.255'],
    ['00000000000000000000ffff0a000001', '10.0.0.1'],
    ['00000000000000000000000000000000', '::'],
    ['00000000000000000000000000000001', '::1'],
    ['20010db8000000000000000000000001', '2001:db8::1'],
    ['fe800000000000000000000000000000', 'fe80::'],
    ['20010db8000000010001000100010001', '2001:db8:0:1:1:1:1:1'],
    ['20010000000000010000000000000001', '2001:0:0:1::1'],
    ['20010db8000000000001000000000001', '2001:db8::1:0:0:1'],
    ['0001000200030004000500060007abcd', '1:2:3:4:5:6:7:abcd'],
  ] as const) {
    test(`${addr} prints as ${text}`, () => {
      expect(addrToText(bytes(addr))).toBe(text);
      const back = textToAddr(text)!;
      expect(addrToText(back)).toBe(text);
      const mapped = addr.startsWith('00000000000000000000ffff');
      expect(hex(back)).toBe(mapped ? addr.slice(-8) : addr);
    });
  }

  test('IPv4 inside IPv6 is read from text too', () => {
    expect(hex(textToAddr('::ffff:1.2.3.4')!)).toBe('00000000000000000000ffff01020304');
    expect(hex(textToAddr('64:ff9b::1.2.3.4')!)).toBe('0064ff9b000000000000000001020304');
    expect(hex(textToAddr('1:2:3:4:5:6:1.2.3.4')!)).toBe('00010002000300040005000601020304');
    expect(hex(textToAddr('1:2:3:4:5:6:7::')!)).toBe('00010002000300040005000600070000');
  });

  test('what is no address is none', () => {
    for (const text of [
      ...['', 'localhost', '1.2.3', '1.2.3.4.5', '1.2.3.256', '01.2.3.4', '1.2.3.4 ', '1.2.3.-4', '+1.2.3.4'],
      ...[':', ':::', '1::2::3', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', '1:2:3:4:5:6:7::8', '12345::', 'g::'],
      ...[
        'fe80::1%eth0',
        '[::1]',
        '1.2.3.4::',
        '::1.2.3',
        '1:2:3:4:5:6:7:1.2.3.4',
        ':1:2:3:4:5:6:7',
        '::1.2.3.4:5',
      ],
    ]) {
      expect([text, textToAddr(text)]).toEqual([text, undefined]);
    }
    for (const length of [0, 1, 3, 5, 15, 17]) expect(addrToText(new Uint8Array(length))).toBeUndefined();
  });
});

describe('versions', () => {
  const serf = { pMin: 1, pMax: 5, pCur: 2, dMin: 2, dMax: 5, dCur: 4 };

  test('six bytes, in order', () => {
    expect(hex(encodeVsn(serf))).toBe('010502020504');
    expect(decodeVsn(bytes('010502020504'))).toEqual(serf);
    expect(decodeVsn(bytes('01050202050463'))).toEqual(serf);
  });

  test('fewer than six are no versions', () => {
    for (const vsn of ['', '01', '0105020205']) expect(decodeVsn(bytes(vsn))).toBeUndefined();
  });

  test('a protocol range that is there and empty is impossible', () => {
    for (const vsn of ['000502', '010002', '050102', '000000000000'])
      expect(isImpossibleVsn(bytes(vsn))).toBe(true);
    for (const vsn of ['', '00', '0000', '010502', '010502020504'])
      expect(isImpossibleVsn(bytes(vsn))).toBe(false);
  });
});
