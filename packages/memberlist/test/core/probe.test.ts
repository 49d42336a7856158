/**
 * probe.test.ts: probing, asking around, and what it says about ourselves. memberlist state_test.go, TestMemberList_Probe*.
 */
import { describe, expect, test } from 'vitest';
import { aliveOf, World } from './world.ts';

const probing = { probeIntervalMs: 1_000, probeTimeoutMs: 500, retransmitMult: 1 };
const ack = (seqNo: number, payload = '') =>
  ({ kind: 'ack', seqNo, payload: new Uint8Array(Buffer.from(payload)) }) as const;

/** A world that knows `names` and is about to probe the first of them with sequence number 1. */
function about(names: readonly string[], o: ConstructorParameters<typeof World>[0] = {}): World {
  // These dice leave the list as it is, and the first turn a whole interval away.
  const rng = (n: number): number => (n === probing.probeIntervalMs ? n : n - 1);
  const world = new World({ rng, ...o, config: { ...probing, ...o.config } });
  world.know(...names);
  world.drain();
  return world;
}

describe('direct', () => {
  test('an acked ping keeps the member alive, tells rtt and payload, and improves our health', () => {
    const world = about(['b']);
    world.hear({ kind: 'suspect', node: 'self', incarnation: 1, from: 'b' });
    expect(world.swim.healthScore).toBe(1);
    world.drain();
    world.run(1_000);
    const [sent] = world.heard();
    const seqNo = Number(/ping b#(\d+) from self/.exec(sent!)![1]);
    world.run(20);
    world.hear(ack(seqNo, 'coordinate'));
    expect(world.heard()).toEqual(['pingCompleted b 20 coordinate']);
    expect(world.swim.healthScore).toBe(0);
    world.run(900);
    expect(world.state('b')).toBe('alive@1');
  });

  test('a late ack is ignored', () => {
    const world = about(['b']);
    world.run(1_000);
    const seqNo = seqOf(world.heard()[0]);
    world.run(999);
    world.run(1);
    expect(world.state('b')).toBe('suspect@1');
    world.heard();
    world.hear(ack(seqNo));
    expect(world.heard()).toEqual([]);
    expect(world.state('b')).toBe('suspect@1');
  });

  test('an ack is taken from anywhere, and once', () => {
    const world = about(['b']);
    world.run(1_000);
    const seqNo = seqOf(world.heard()[0]);
    world.hear(ack(seqNo), { host: '192.0.2.7', port: 1 });
    world.hear(ack(seqNo), { host: '192.0.2.7', port: 1 });
    expect(world.heard()).toEqual(['pingCompleted b 0 ']);
  });

  test('a suspect is pinged together with the suspicion, so that it can refute', () => {
    const world = about(['b']);
    world.hear({ kind: 'suspect', node: 'b', incarnation: 1, from: 'c' });
    world.drain();
    world.run(1_000);
    expect(world.heard()[0]).toMatch(
      /^to b 10\.0\.0\.2:7946 crc: ping b#\d+ from self \+ suspect b@1 by self$/,
    );
  });

  test('one probe at a time: a tick during a probe is made up for when it ends', () => {
    const world = about(['b', 'c'], { config: { awarenessMaxMultiplier: 8, disableTcpPings: true } });
    world.hear({ kind: 'suspect', node: 'self', incarnation: 1, from: 'b' }); // score 1: probes last 2 s
    world.heard();
    world.run(2_999);
    expect(world.heard().filter((line) => line.includes(': ping '))).toHaveLength(1);
    world.run(1);
    expect(world.heard().filter((line) => line.includes(': ping '))).toHaveLength(1);
  });

  test('every member has its turn before anybody has a second one', () => {
    const world = about(['b', 'c', 'd', 'e'], { rng: (n) => n >> 1 });
    const probed: string[] = [];
    for (let turn = 0; turn < 8; turn++) {
      world.run(1_000);
      const line = world.heard().find((l) => l.includes(': ping '))!;
      probed.push(/ping (\w)#/.exec(line)![1]!);
      world.hear(ack(seqOf(line)));
      world.heard();
    }
    expect(probed.slice(0, 4).sort()).toEqual(['b', 'c', 'd', 'e']);
    expect(probed.slice(4).sort()).toEqual(['b', 'c', 'd', 'e']);
  });

  test('with nobody to probe nothing is sent', () => {
    const world = new World({ config: probing });
    world.run(5_000);
    expect(world.heard()).toEqual([]);
  });
});

describe('indirect', () => {
  test('silence: others are asked, a stream is tried, and then the member is suspect', () => {
    const world = about(['b', 'c', 'd']);
    world.run(1_000);
    const seqNo = seqOf(world.heard()[0]);
    world.run(499);
    expect(world.heard()).toEqual([]);
    world.run(1);
    expect(world.heard().sort()).toEqual([
      `tcpPing b until ${world.now + 500}`,
      `to c 10.0.0.3:7946: indirectPing b#${seqNo} nack from self`,
      `to d 10.0.0.4:7946: indirectPing b#${seqNo} nack from self`,
      'unanswered b', // for the transport, whose connection may be dead
    ]);
    world.run(500);
    expect(world.state('b')).toBe('suspect@1');
  });

  test('an ack through a helper is enough, and is no round-trip time', () => {
    const world = about(['b', 'c']);
    world.run(1_000);
    const seqNo = seqOf(world.heard()[0]);
    world.run(600);
    world.heard();
    world.hear(ack(seqNo));
    expect(world.heard()).toEqual([]);
    world.run(400);
    expect(world.state('b')).toBe('alive@1');
  });

  test('a packet that surely did not arrive is not waited for', () => {
    const world = about(['b', 'c']);
    world.run(1_000);
    const seqNo = seqOf(world.heard()[0]);
    world.step({ kind: 'probeSendFailed', seqNo });
    expect(world.heard().sort()).toEqual([
      `tcpPing b until ${world.now + 1_000}`,
      `to c 10.0.0.3:7946: indirectPing b#${seqNo} nack from self`,
    ]);
    world.run(500);
    expect(world.heard()).toEqual([]); // asked once, not again at the timeout
  });

  test('the failure of another packet says nothing about the probe', () => {
    const world = about(['b', 'c']);
    world.run(1_000);
    world.heard();
    world.step({ kind: 'probeSendFailed', seqNo: 12_345 });
    expect(world.heard()).toEqual([]);
  });

  test('success over TCP alone is accepted, with a warning', () => {
    const world = about(['b', 'c']);
    world.run(1_000);
    const seqNo = seqOf(world.heard()[0]);
    world.run(700);
    world.step({ kind: 'tcpPingDone', seqNo, contacted: true });
    world.run(299);
    world.heard();
    world.run(1);
    expect(world.heard()).toContain('noted tcp_only');
    expect(world.state('b')).toBe('alive@1');
  });

  test.each([
    ['switched off', { disableTcpPings: true }],
    ['switched off for this member', { disableTcpPingsForNode: (name: string) => name === 'b' }],
  ])('no TCP ping when %s', (_, config) => {
    const world = about(['b'], { config });
    world.run(1_500);
    expect(world.heard().filter((line) => line.startsWith('tcpPing'))).toEqual([]);
  });

  test('no TCP ping when the transport says so, or to protocols before 3', () => {
    const refusing = about(['b'], { policy: { tcpPingsDisabled: ({ name }) => name === 'b' } });
    refusing.run(1_500);
    expect(refusing.heard().filter((line) => line.startsWith('tcpPing'))).toEqual([]);
    const old = about([]);
    old.hear(aliveOf('b', { vsn: Uint8Array.of(1, 2, 2, 0, 0, 0) }));
    old.run(1_500);
    expect(old.heard().filter((line) => line.startsWith('tcpPing'))).toEqual([]);
  });

  test('no more helpers than indirectChecks, and never the target or ourselves', () => {
    const world = about(['b', 'c', 'd', 'e', 'f', 'g'], { rng: (n) => n >> 1 });
    world.run(1_500);
    const asked = world.heard().filter((line) => line.includes('indirectPing'));
    expect(asked).toHaveLength(3);
    const target = /indirectPing (\w)#/.exec(asked[0]!)![1];
    for (const line of asked)
      expect(line.startsWith(`to ${target} `) || line.startsWith('to self')).toBe(false);
  });
});

describe('awareness', () => {
  test('all helpers nack: the trouble is not ours', () => {
    const world = about(['b', 'c', 'd']);
    world.run(1_000);
    const seqNo = seqOf(world.heard()[0]);
    world.run(600);
    world.hear({ kind: 'nack', seqNo });
    world.hear({ kind: 'nack', seqNo });
    world.run(400);
    expect(world.state('b')).toBe('suspect@1');
    expect(world.swim.healthScore).toBe(0);
  });

  test('each missing nack counts', () => {
    const world = about(['b', 'c', 'd']);
    world.run(2_000);
    expect(world.swim.healthScore).toBe(2);
  });

  test('helpers that cannot nack: a failure costs one', () => {
    const world = about(['b']);
    world.hear(aliveOf('c', { vsn: Uint8Array.of(1, 3, 2, 0, 0, 0) }));
    world.hear(aliveOf('d', { vsn: Uint8Array.of(1, 3, 2, 0, 0, 0) }));
    world.run(2_000);
    expect(world.state('b')).toBe('suspect@1');
    expect(world.swim.healthScore).toBe(1);
  });

  test('a bad score stretches the probe, not the wait for the direct ack', () => {
    const world = about(['b', 'c'], { config: { disableTcpPings: true } });
    world.hear({ kind: 'suspect', node: 'self', incarnation: 1, from: 'b' });
    world.run(1_000);
    world.heard();
    world.run(500);
    expect(world.heard().filter((line) => line.includes('indirectPing'))).toHaveLength(1);
    world.run(1_400);
    expect(world.state('b')).toBe('alive@1');
    world.run(100);
    expect(world.state('b')).toBe('suspect@1');
  });
});

function seqOf(line: string | undefined): number {
  return Number(/ping \w+#(\d+)/.exec(line ?? '')?.[1]);
}
