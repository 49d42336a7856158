import { expect, test } from 'vitest';
import { Doubts } from './doubts.ts';
import type { Route } from './router.ts';

function world(o: { readonly datacenter: string; readonly knows: Route['kind'] }) {
  const told: string[] = [];
  const route = { kind: o.knows, servers: [] } as unknown as Route;
  const doubts = new Doubts({ datacenter: o.datacenter, primary: 'dc1', router: { route: () => route } });
  const listening = doubts.listen((datacenter) => told.push(datacenter));
  return { doubts, told, listening };
}

test.each(['dc1', 'dc2'])('doubts: in %s, a server that gossip calls alive did not answer', (datacenter) => {
  const { doubts, told, listening } = world({ datacenter, knows: 'server' });
  doubts.unanswered('dc3');
  expect(told).toEqual(['dc3']);
  listening[Symbol.dispose]();
  doubts.unanswered('dc3');
  expect(told).toEqual(['dc3']);
});

test('doubts: that no gateway led there counts in the primary only', () => {
  const primary = world({ datacenter: 'dc1', knows: 'server' });
  const secondary = world({ datacenter: 'dc2', knows: 'server' });
  primary.doubts.unreached('dc3');
  secondary.doubts.unreached('dc3');
  expect([primary.told, secondary.told]).toEqual([['dc3'], []]);
});

test.each(['unreachable', 'unknown'] as const)('doubts: gossip calls nobody there alive (%s)', (knows) => {
  const { doubts, told } = world({ datacenter: 'dc1', knows });
  doubts.unanswered('dc3');
  doubts.unreached('dc3');
  expect(told).toEqual([]);
});
