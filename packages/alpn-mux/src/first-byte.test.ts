import { describe, expect, test } from 'vitest';
import { judgeFirstByte } from './first-byte.ts';

/** byte: [bare and lax, bare and verify_incoming, inside the TLS of byte 3]; D dispatch, N native TLS, T type-3 TLS. */
const table: Record<string, [string, string, string]> = {
  '0': ['D', 'plain_refused', 'D'],
  '1': ['D', 'plain_refused', 'D'],
  '2': ['type_byte_unknown', 'plain_refused', 'type_byte_unknown'],
  '3': ['T', 'T', 'tls_nested'],
  '4': ['D', 'plain_refused', 'D'],
  '5': ['D', 'plain_refused', 'D'],
  '6': ['type_byte_unhandled', 'plain_refused', 'type_byte_unhandled'],
  '7': ['type_byte_unhandled', 'type_byte_unhandled', 'tls_nested'],
  '8': ['D', 'plain_refused', 'D'],
  '9': ['type_byte_unhandled', 'plain_refused', 'type_byte_unhandled'],
  '10': ['not_tls', 'not_tls', 'type_byte_unknown'],
  '20': ['not_tls', 'not_tls', 'type_byte_unknown'],
  '22': ['N', 'N', 'type_byte_unknown'],
  '71': ['not_tls', 'not_tls', 'type_byte_unknown'],
  '255': ['not_tls', 'not_tls', 'type_byte_unknown'],
};
function letter(...args: Parameters<typeof judgeFirstByte>): string {
  const verdict = judgeFirstByte(...args);
  return verdict.kind === 'refuse'
    ? verdict.code
    : { dispatch: 'D', nativeTls: 'N', typeByteTls: 'T' }[verdict.kind];
}

describe('first byte', () => {
  for (const [byte, [lax, strict, inside]] of Object.entries(table)) {
    test(`${byte}: ${lax} in the open, ${strict} with verify_incoming, ${inside} inside TLS`, () => {
      expect(letter(+byte, 'bare', { tlsCapable: true, verifyIncoming: false })).toBe(lax);
      expect(letter(+byte, 'bare', { tlsCapable: true, verifyIncoming: true })).toBe(strict);
      expect(letter(+byte, 'insideTls', { tlsCapable: true, verifyIncoming: true })).toBe(inside);
    });
  }
  test('a dispatched byte keeps its number', () => {
    expect(judgeFirstByte(5, 'bare', { tlsCapable: false, verifyIncoming: false })).toEqual({
      kind: 'dispatch',
      typeByte: 5,
    });
  });
  test.each([3, 22])('%i without a certificate of our own cannot become TLS', (byte) => {
    expect(letter(byte, 'bare', { tlsCapable: false, verifyIncoming: false })).toBe('tls_unavailable');
  });
});
