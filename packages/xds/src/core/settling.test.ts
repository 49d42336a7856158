import { expect, test } from 'vitest';
import { worldOf } from '../../test/scenario.ts';
import { recommended } from './profile.ts';
import { firstServerMsMax, Settling, serversKeptMs } from './settling.ts';

const world = worldOf('golden-dc1-gw1a');
const empty = { ...world, servers: [] };
const settling = () => new Settling({ profile: recommended, coalesceMs: 50 });

test('a change after a quiet time waits 10 ms for its siblings; the newest is handed out', () => {
  const s = settling();
  s.offer(empty, 0);
  s.offer(world, 9);
  expect(s.deadline()).toBe(10);
  expect(s.take(9)).toBeUndefined();
  expect(s.take(10)!.world).toBe(world);
  expect(s.take(1_000), 'once').toBeUndefined();
  expect(s.deadline()).toBeUndefined();
});

test('in a flurry one is handed out every 50 ms; none waits longer because more follow', () => {
  const s = settling();
  const taken: number[] = [];
  for (let now = 0; now <= 200; now += 5) {
    s.offer(world, now);
    if (s.take(now) !== undefined) taken.push(now);
  }
  expect(taken).toEqual([10, 60, 110, 160]);
});

test('no server yet: waited out for 30 s, and the first server ends the wait', () => {
  const s = settling();
  s.offer(empty, 0);
  expect(s.take(50)).toBeUndefined();
  s.offer(world, 1_000);
  expect(s.take(1_050)!.world.servers).toHaveLength(3);
  const never = settling();
  never.offer(empty, 0);
  never.take(50);
  expect(never.take(firstServerMsMax)!.world.servers).toEqual([]);
});

test('a server list that goes empty: the last one is kept for 60 s, other changes go through', () => {
  const s = settling();
  s.offer(world, 0);
  s.take(50);
  s.offer({ ...empty, federationStates: [] }, 100);
  const kept = s.take(150)!;
  expect([kept.world.servers.length, kept.world.federationStates.length]).toEqual([3, 0]);
  expect(kept.notices.map((n) => n.code)).toEqual(['servers_kept']);
  expect(s.deadline()).toBe(100 + serversKeptMs);
  expect(s.take(100 + serversKeptMs)!.world.servers).toEqual([]);
});

test('a flap: the list is back before the 60 s are over, and the next flap has 60 s again', () => {
  const s = settling();
  s.offer(world, 0);
  s.take(50);
  s.offer(empty, 100);
  s.take(150);
  s.offer(world, 200);
  expect(s.take(250)!.world).toBe(world);
  s.offer(empty, 300);
  s.take(350);
  expect(s.deadline()).toBe(300 + serversKeptMs);
});

test('a gateway that does not carry server traffic waits for no server', () => {
  const s = settling();
  s.offer({ ...empty, gateway: { ...world.gateway, Meta: {} } }, 0);
  expect(s.take(50)).toBeDefined();
});
