import { expect, test } from 'vitest';
import type { Reach } from './reach.ts';
import { Router } from './router.ts';
import { followRoutes, othersAlive } from './wan-members.ts';

const server = (datacenter: string) => ({
  name: 'n1',
  datacenter,
  id: '',
  host: '10.0.0.1',
  port: 8300,
  tls: true,
  federationStates: true,
  build: '1.9.8',
  alone: true,
});

/** dc1 is the primary; dc2 is alive, dc3 has failed, dc4 was never seen. */
function world(datacenter: string) {
  const router = new Router({ below: () => 0 });
  router.seen(server('dc1'), true);
  router.seen(server('dc2'), true);
  router.seen(server('dc3'), false);
  const done: string[] = [];
  const note =
    (what: string) =>
    (to: string): void =>
      void done.push(`${what} ${to}`);
  const follow = (...changed: string[]): readonly string[] => {
    done.length = 0;
    followRoutes(changed, {
      datacenter,
      primary: 'dc1',
      router,
      transport: { dropDatacenter: note('drop') },
      pool: { forgive: note('forgive'), renew: note('renew') },
      reach: { want: note('meet') } as unknown as Reach,
    });
    return done.filter((line) => line.startsWith('meet'));
  };
  return { router, follow, done };
}

test('routes: secondaries meet the primary, and each other only if gossip has not', () => {
  const { follow } = world('dc5');
  expect(follow('dc1', 'dc2', 'dc3', 'dc4')).toEqual(['meet dc1', 'meet dc3', 'meet dc4']);
});

test('routes: the primary meets everybody', () => {
  const { follow } = world('dc1');
  expect(follow('dc2', 'dc3', 'dc4')).toEqual(['meet dc2', 'meet dc3', 'meet dc4']);
});

test('routes: whatever clung to the old way is let go, met or not', () => {
  const { follow, done } = world('dc5');
  follow('dc2');
  expect(done).toEqual(['drop dc2', 'renew dc2', 'forgive dc2']);
});

test('others alive: those of other datacenters, by the names gossip has for them', () => {
  const { router } = world('dc5');
  expect(othersAlive('dc1', router)).toEqual([{ name: 'n1.dc2', datacenter: 'dc2' }]);
});
