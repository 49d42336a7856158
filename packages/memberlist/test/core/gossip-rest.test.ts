/**
 * gossip-rest.test.ts: a member with nothing to tell sleeps through its gossip turns, and is on time when it has news.
 */
import { expect, test } from 'vitest';
import { lan } from '../../src/config.ts';
import type { Policy } from '../../src/core/event.ts';
import { Swim } from '../../src/core/swim.ts';
import { createPacketCodec } from '../../src/wire/packet.ts';

const startedAt = 1_000;
const staggerMs = 70;
const from = { host: '10.0.0.2', port: 7946 };
const vsn = Uint8Array.of(1, 5, 2, 0, 0, 0);
const meta = new Uint8Array(0);

function open(policy: Policy): Swim {
  const config = { ...lan, probeIntervalMs: 0, pushPullIntervalMs: 0, queueCheckIntervalMs: 0 };
  const room = createPacketCodec({ randomBytes: (n) => new Uint8Array(n) });
  const addr = Uint8Array.of(10, 0, 0, 1);
  const rng = { below: (n: number) => Math.min(n - 1, staggerMs) };
  const swim = new Swim({ name: 'a', addr, port: 7946, meta, vsn, config, rng, room, policy }, startedAt);
  swim.step({ kind: 'deadline' }, startedAt);
  return swim;
}

/** Steps from deadline to deadline until there is none by `end`; returns when packets were sent. */
function run(swim: Swim, end: number): number[] {
  const sent: number[] = [];
  for (let at = swim.deadline(); at !== undefined && at <= end; at = swim.deadline())
    if (swim.step({ kind: 'deadline' }, at).some((effect) => effect.kind === 'send')) sent.push(at);
  return sent;
}

function hearOfB(swim: Swim, at: number): void {
  const addr = Uint8Array.of(10, 0, 0, 2);
  const message = { kind: 'alive', incarnation: 1, node: 'b', addr, port: 7946, meta, vsn } as const;
  swim.step({ kind: 'message', message, from }, at);
}

test('when all is told there is no deadline; news are told at the next beat, and at each one after', () => {
  const swim = open({});
  hearOfB(swim, startedAt + 1);
  const { gossipIntervalMs } = lan;
  const first = startedAt + staggerMs;
  const told = run(swim, 100_000);
  expect(told[0]).toBe(first);
  expect(swim.deadline()).toBeUndefined();

  const at = first + 250 * gossipIntervalMs + 1;
  swim.step({ kind: 'updateMeta', meta: Uint8Array.of(1), ticket: 1 }, at);
  const again = run(swim, 1_000_000);
  const beats = again.map((when) => (when - first) / gossipIntervalMs);
  expect(beats).toEqual(beats.map((_, i) => 251 + i));
  expect(beats.length).toBeGreaterThan(1);
});

test('a layer above that says that it has none lets us sleep, and wakes us for the next beat', () => {
  let waiting: Uint8Array[] = [];
  const swim = open({ broadcasts: () => waiting.splice(0), hasBroadcasts: () => waiting.length > 0 });
  hearOfB(swim, startedAt + 1);
  run(swim, 100_000);
  expect(swim.deadline()).toBeUndefined();

  const first = startedAt + staggerMs;
  waiting = [Uint8Array.of(1)];
  swim.step({ kind: 'wake' }, first + 999 * lan.gossipIntervalMs + 5);
  expect(run(swim, 1_000_000)).toEqual([first + 1_000 * lan.gossipIntervalMs]);
  expect(swim.deadline()).toBeUndefined();
});

test('a layer above that may have news is asked at every turn', () => {
  let asked = 0;
  const swim = open({
    broadcasts: () => {
      asked++;
      return [];
    },
  });
  hearOfB(swim, startedAt + 1);
  run(swim, startedAt + staggerMs + 20 * lan.gossipIntervalMs);
  expect(asked).toBe(21);
});
