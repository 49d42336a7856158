import { expect, test } from 'vitest';
import { type Refusal, Refusals } from './refusals.ts';
import { reportsPerSecondMax } from './report-limit.ts';

const remote = { host: '192.0.2.1', port: 4000 };

test('refusals: all are counted, ten of a kind per second are reported, and the next report says how many were not', () => {
  const seen: Refusal[] = [];
  const refusals = new Refusals((r) => seen.push(r));
  for (let i = 0; i < 25; i++) refusals.add('silence', remote, 'x', 100 + i);
  refusals.add('not_tls', remote, 'y', 130);
  expect(seen.map((r) => r.code)).toEqual([...Array(reportsPerSecondMax).fill('silence'), 'not_tls']);
  refusals.add('silence', remote, 'z', 1_100);
  expect(seen.at(-1)).toEqual({ code: 'silence', remote, detail: 'z', suppressed: 15 });
  refusals.add('silence', remote, 'z', 1_101);
  expect(seen.at(-1)?.suppressed).toBe(0);
  expect(refusals.counts()).toEqual({ silence: 27, not_tls: 1 });
});
