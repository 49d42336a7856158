import { expect, test } from 'vitest';
import { worldOf } from '../../test/scenario.ts';
import { recommended } from './profile.ts';
import { firstServerMsMax, Settling, serversKeptMs } from './settling.ts';

const world = worldOf('golden-dc1-gw1a');
const empty = { ...world, servers: [] };
const settling = () => new Settling({ profile: recommended, coalesceMs: 50 });

test('changes that follow one another closely are handed out as one, the newest, 50 ms after the first', () => {
  const s = settling();
  s.offer(empty, 0);
  s.offer(world, 49);
  expect(s.deadline()).toBe(50);
  expect(s.take(49)).toBeUndefined();
  expect(s.take(50)!.world).toBe(world);
  expect(s.take(1_000), 'once').toBeUndefined();
  expect(s.deadline()).toBeUndefined();
});

test('a change does not wait longer because more follow', () => {
  const s = settling();
  for (let now = 0; now < 50; now += 10) s.offer(world, now);
  expect(s.take(50)).toBeDefined();
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
