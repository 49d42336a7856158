/** Every way to write an address gives the same bytes. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ipBytes } from './ip-bytes.ts';

test('IPv4 is four bytes', () => {
  expect([...ipBytes('10.0.255.1')]).toEqual([10, 0, 255, 1]);
});

test('IPv6 written in full, shortened, and with IPv4 at its end is the same sixteen bytes', () => {
  const group = fc.oneof(
    { weight: 2, arbitrary: fc.constant(0) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 0xffff }) },
  );
  fc.assert(
    fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), (groups) => {
      const bytes = groups.flatMap((g) => [g >> 8, g & 0xff]);
      const full = groups.map((g) => g.toString(16)).join(':');
      const dotted = `${full.split(':').slice(0, 6).join(':')}:${bytes.slice(12).join('.')}`;
      for (const text of [full, dotted, ...shortened(groups)]) expect([...ipBytes(text)]).toEqual(bytes);
    }),
  );
});

/** Every way to replace one run of zero groups by "::". */
function shortened(groups: readonly number[]): string[] {
  const hex = (part: readonly number[]): string => part.map((g) => g.toString(16)).join(':');
  const texts: string[] = [];
  for (let from = 0; from < 8; from += 1)
    for (let to = from + 1; to <= 8; to += 1)
      if (groups.slice(from, to).every((g) => g === 0))
        texts.push(`${hex(groups.slice(0, from))}::${hex(groups.slice(to))}`);
  return texts;
}
