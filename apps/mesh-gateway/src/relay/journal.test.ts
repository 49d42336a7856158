import { expect, test } from 'vitest';
import { closedMax, Journal, type Note } from './journal.ts';

const record = (id: number, state: Note['state']): Note => ({
  id,
  state,
  listener: 'default',
  client: '127.0.0.1:1',
  balancer: undefined,
  openedAtMs: Date.UTC(2026, 0, 1),
  closedAtMs: undefined,
  sni: undefined,
  ech: undefined,
  chain: undefined,
  cluster: undefined,
  upstream: undefined,
  upstreamLocal: undefined,
  attempts: undefined,
  outcome: undefined,
  detail: undefined,
  clientBytes: 0,
  upstreamBytes: 0,
});

test('journal: open connections as they are now, then the last 1024 closed, the latest first', () => {
  const journal = new Journal();
  let state: Note['state'] = 'hello';
  const open = journal.open(() => record(open, state));
  for (let i = 0; i < closedMax + 3; i++) {
    const id = journal.open(() => record(id, 'open'));
    journal.close(id, record(id, 'closed'));
  }
  state = 'open';
  const list = journal.list();
  expect(list).toHaveLength(closedMax + 1);
  expect(list[0], 'what is not known is not there').toEqual({
    ...{ id: open, state: 'open', listener: 'default', client: '127.0.0.1:1' },
    ...{ openedAt: '2026-01-01T00:00:00.000Z', clientBytes: 0, upstreamBytes: 0 },
  });
  expect(list[1]?.id).toBe(open + closedMax + 3);
  expect(list.at(-1)?.id).toBe(open + 4);
});

test('journal: what is forgotten leaves no trace', () => {
  const journal = new Journal();
  journal.forget(journal.open(() => record(1, 'hello')));
  expect(journal.list()).toEqual([]);
});
