import { expect, test } from 'vitest';
import { lastContact, statusEndpoints } from './status.ts';

const here = { signal: new AbortController().signal };

function leaderOf(leadership: object, contactMs: number | undefined): unknown {
  const engine = { leadership: () => leadership, lastContactMs: () => contactMs, stats: () => ({}) };
  const endpoints = statusEndpoints({
    address: '10.0.0.1:8300',
    fsm: { engine } as never,
    peers: () => [],
  });
  return endpoints['Status.Leader']?.answer({}, here);
}

test('who leads: this server, the one that was heard of lately, or nobody', () => {
  const other = { leader: false, term: 3, leaderAddress: '10.0.0.2:8300' };
  expect(leaderOf({ leader: true, term: 3 }, 0)).toBe('10.0.0.1:8300');
  expect(leaderOf(other, 25)).toBe('10.0.0.2:8300');
  expect(leaderOf({ leader: false, term: 3 }, 25)).toBe('');
  // The log is not heard any more: whoever led may be gone, and we would not know.
  expect(leaderOf(other, 10_001)).toBe('');
  expect(leaderOf(other, undefined)).toBe('');
});

test('how long a leader has been silent, in the original’s words', () => {
  expect([0, 12.5, 1500, undefined].map(lastContact)).toEqual(['0', '12.5ms', '1.5s', 'never']);
});
