/**
 * swim.test.ts: answering, relaying, gossip, push/pull, leaving: one core against everything that can be said to it.
 */
import { describe, expect, test } from 'vitest';
import { relaysMax } from '../../src/core/relay.ts';
import { aliveOf, rowOf, World } from './world.ts';

const from = { host: '192.0.2.1', port: 4321 };
const source = { sourceAddr: Uint8Array.of(10, 0, 0, 2), sourcePort: 7946, sourceNode: 'b' };
const empty = new Uint8Array(0);

describe('ping', () => {
  test('is acked to the source it names, address and name', () => {
    const world = drained();
    world.hear({ kind: 'ping', seqNo: 7, node: 'self', ...source }, from);
    expect(world.heard()).toEqual(['to b 10.0.0.2:7946: ack #7']);
  });

  test('is acked to where it came from when it names no source', () => {
    const world = drained();
    world.hear({ kind: 'ping', seqNo: 7, node: '' }, from);
    expect(world.heard()).toEqual(['to ? 192.0.2.1:4321: ack #7']);
  });

  test('for somebody else is dropped', () => {
    const world = drained();
    world.hear({ kind: 'ping', seqNo: 7, node: 'other', ...source }, from);
    expect(world.heard()).toEqual(['dropped ping_for_another']);
  });

  test('is acked with the payload of the layer above', () => {
    const world = drained({ policy: { ackPayload: () => Buffer.from('here') } });
    world.hear({ kind: 'ping', seqNo: 7, node: 'self', ...source }, from);
    expect(world.heard()).toEqual(['to b 10.0.0.2:7946: ack #7 here']);
  });

  test('of our own ends with a round-trip time, or without one after probeTimeoutMs', () => {
    const world = drained();
    world.step({ kind: 'ping', to: { host: '10.0.0.2', port: 7946, name: 'b' }, ticket: 5 });
    const seqNo = Number(/#(\d+)/.exec(world.heard()[0]!)![1]);
    world.run(30);
    world.hear({ kind: 'ack', seqNo, payload: empty });
    expect(world.heard()).toEqual(['pong 5 30']);
    world.step({ kind: 'ping', to: { host: '10.0.0.2', port: 7946, name: 'b' }, ticket: 6 });
    world.heard();
    world.run(499);
    expect(world.heard()).toEqual([]);
    world.run(1);
    expect(world.heard()).toEqual(['pong 6 undefined']);
  });

  test('carries broadcasts as far as there is room', () => {
    const world = new World();
    world.hear(aliveOf('b'));
    world.heard();
    world.hear({ kind: 'ping', seqNo: 7, node: 'self', ...source }, from);
    expect(world.heard()).toEqual(['to b 10.0.0.2:7946: ack #7 + alive self@1 + alive b@1']);
  });
});

describe('indirect ping', () => {
  const request = {
    kind: 'indirectPing',
    seqNo: 70,
    node: 'c',
    target: Uint8Array.of(10, 0, 0, 3),
    port: 7946,
    nack: true,
    ...source,
  } as const;

  test("the target's ack is passed on under the asker's number, without payload", () => {
    const world = drained();
    world.hear(request, from);
    const [sent] = world.heard();
    expect(sent).toMatch(/^to c 10\.0\.0\.3:7946: ping c#\d+ from self$/);
    const seqNo = Number(/#(\d+)/.exec(sent!)![1]);
    world.hear({ kind: 'ack', seqNo, payload: Buffer.from('coordinate') });
    expect(world.heard()).toEqual(['to b 10.0.0.2:7946: ack #70']);
    world.run(1_000);
    expect(world.heard()).toEqual([]);
  });

  test('a silent target: a nack after probeTimeoutMs, if one was asked for', () => {
    const world = drained();
    world.hear(request, from);
    world.hear({ ...request, seqNo: 71, nack: false }, from);
    world.heard();
    world.run(499);
    expect(world.heard()).toEqual([]);
    world.run(1);
    expect(world.heard()).toEqual(['to b 10.0.0.2:7946: nack #70']);
  });

  test('port 0 means our own, as protocol 1 had none', () => {
    const world = drained();
    world.hear({ ...request, port: 0 }, from);
    expect(world.heard()[0]).toMatch(/^to c 10\.0\.0\.3:7946: ping/);
  });

  test('an address that is none is dropped', () => {
    const world = drained();
    world.hear({ ...request, target: Uint8Array.of(1, 2, 3) }, from);
    expect(world.heard()).toEqual(['dropped bad_address']);
  });

  test('only so many at a time', () => {
    const world = drained();
    for (let i = 0; i < relaysMax; i++) world.step({ kind: 'message', message: request, from });
    world.heard();
    world.hear(request, from);
    expect(world.heard()).toEqual(['dropped relays_full']);
    world.run(500);
    world.heard();
    world.hear(request, from);
    expect(world.heard()[0]).toMatch(/ping c#/);
  });
});

describe('inbox', () => {
  test('pings are answered before rumours that came earlier, news of the living before others', () => {
    const world = drained();
    const said: string[] = [];
    for (const message of [
      { kind: 'user', payload: Buffer.from('one') },
      aliveOf('b'),
      { kind: 'ping', seqNo: 1, node: 'self', ...source },
    ] as const) {
      world.step({ kind: 'message', message, from });
      said.push(...world.heard());
    }
    world.run(0);
    expect([...said, ...world.heard()]).toEqual([
      'to b 10.0.0.2:7946: ack #1',
      'join b alive',
      'userMessage one',
    ]);
  });

  test('more than handoffQueueDepth at once are dropped', () => {
    const world = drained({ config: { handoffQueueDepth: 2 } });
    for (const text of ['one', 'two', 'three'])
      world.step({ kind: 'message', message: { kind: 'user', payload: Buffer.from(text) }, from });
    world.run(0);
    expect(world.heard()).toEqual(['dropped inbox_full', 'userMessage one', 'userMessage two']);
  });
});

describe('gossip', () => {
  test('up to gossipNodes members, each telling counts, and silence when nothing is left', () => {
    const world = new World({
      config: { gossipIntervalMs: 200, gossipNodes: 3, retransmitMult: 1 },
      rng: (n) => n >> 1,
    });
    world.know('b', 'c', 'd', 'e');
    world.run(200);
    expect(world.heard().length).toBeGreaterThan(0);
    world.run(2_000);
    world.heard();
    world.run(2_000);
    expect(world.heard()).toEqual([]);
  });

  test('goes to the dead for a while, and never to those who left', () => {
    const world = new World({
      config: { gossipIntervalMs: 200, gossipToTheDeadMs: 30_000, retransmitMult: 1_000 },
    });
    world.know('b', 'c');
    world.hear({ kind: 'dead', node: 'b', incarnation: 1, from: 'x' });
    world.hear({ kind: 'dead', node: 'c', incarnation: 1, from: 'c' });
    world.heard();
    world.run(30_000);
    const early = world.heard();
    expect(early.some((line) => line.startsWith('to b'))).toBe(true);
    expect(early.some((line) => line.startsWith('to c'))).toBe(false);
    world.run(400);
    world.heard();
    world.run(2_000);
    expect(world.heard()).toEqual([]);
  });

  test('the layer above fills what is left, as user messages', () => {
    const asked: number[][] = [];
    const world = drained({
      config: { gossipIntervalMs: 200 },
      policy: {
        broadcasts: (overhead, limit) => {
          asked.push([overhead, limit]);
          return asked.length === 1 ? [Buffer.from('hello'), Buffer.from('world')] : [];
        },
      },
    });
    world.know('b');
    asked.length = 0;
    world.run(200);
    expect(world.heard()[0]).toMatch(/alive b@1 \+ user hello \+ user world$/);
    expect(asked[0]![0]).toBe(3);
    expect(asked[0]![1]).toBeLessThan(1_398);
  });
});

test('a broadcast queue that is not empty is noted every queueCheckIntervalMs', () => {
  const world = new World({ config: { queueCheckIntervalMs: 30_000 } });
  world.run(60_000);
  expect(world.heard()).toEqual(['noted broadcasts_queued', 'noted broadcasts_queued']);
  world.drain();
  world.run(60_000);
  expect(world.heard()).toEqual([]);
});

describe('push/pull', () => {
  test('every pushPullIntervalMs with one member that is alive', () => {
    const world = new World({ config: { pushPullIntervalMs: 30_000 } });
    world.know('b', 'c');
    world.hear({ kind: 'dead', node: 'b', incarnation: 1, from: 'b' });
    world.heard();
    world.run(90_000);
    expect(world.heard()).toEqual(['pushPull c', 'pushPull c', 'pushPull c']);
  });

  test('events first, then the state of the layer above', () => {
    const world = new World();
    world.step({ kind: 'remoteState', join: true, nodes: [rowOf('b')], userState: Buffer.from('state') });
    expect(world.heard()).toEqual(['join b alive', 'userState state join=true']);
  });

  test('a join may be refused as a whole, seeing the dead too', () => {
    const seen: string[] = [];
    const world = new World({
      policy: {
        refuseMerge: (members) => {
          seen.push(...members.map(({ name, state }) => `${name} ${state}`));
          return 'not you';
        },
      },
    });
    const nodes = [rowOf('b'), rowOf('c', { state: 2 })];
    world.step({ kind: 'remoteState', join: true, nodes, userState: Buffer.from('state') });
    expect(world.heard()).toEqual(['refused refused: not you']);
    expect(seen).toEqual(['b alive', 'c dead']);
    world.step({ kind: 'remoteState', join: false, nodes, userState: empty });
    expect(world.heard()).toEqual(['join b alive']);
  });

  test('versions that do not overlap refuse everything', () => {
    const world = new World();
    const nodes = [rowOf('b'), rowOf('c', { vsn: Uint8Array.of(1, 5, 9, 0, 0, 0) })];
    world.step({ kind: 'remoteState', join: false, nodes, userState: empty });
    expect(world.heard()).toEqual([
      "refused incompatible: Node 'c' protocol version (9) is incompatible: [1, 5]",
    ]);
    expect(world.state('b')).toBeUndefined();
  });

  test('port 0 means our own', () => {
    const world = new World();
    world.step({ kind: 'remoteState', join: false, nodes: [rowOf('b', { port: 0 })], userState: empty });
    expect(world.swim.member('b')?.port).toBe(7946);
  });
});

describe('who may be alive', () => {
  test('the layer above may refuse, but never ourselves', () => {
    const world = new World({ policy: { refuseAlive: ({ name }) => `${name} is a stranger` } });
    world.hear(aliveOf('b'));
    expect(world.heard()).toEqual(['dropped alive_refused']);
    expect(world.state('self')).toBe('alive@1');
  });

  test('with such a check, six version bytes are needed', () => {
    const world = new World({ policy: { refuseAlive: () => undefined } });
    world.hear(aliveOf('b', { vsn: empty }));
    expect(world.heard()).toEqual(['dropped bad_versions']);
  });

  test('networks that are not allowed stay outside, also through others', () => {
    const world = new World({ policy: { addressAllowed: (addr) => addr[3] !== 2 } });
    world.hear(aliveOf('b'));
    world.step({ kind: 'remoteState', join: false, nodes: [rowOf('b'), rowOf('c')], userState: empty });
    expect(world.heard()).toEqual([
      'dropped address_not_allowed',
      'dropped address_not_allowed',
      'join c alive',
    ]);
  });

  test('an address of neither 4 nor 16 bytes is no address', () => {
    const world = new World();
    world.hear(aliveOf('b', { addr: Uint8Array.of(1) }));
    expect(world.heard()).toEqual(['dropped bad_address']);
  });
});

describe('suspicion', () => {
  test('a suspect that stays silent is dead when its time is over', () => {
    const world = new World({ config: { probeIntervalMs: 0 } });
    world.know('b');
    world.hear({ kind: 'suspect', node: 'b', incarnation: 1, from: 'c' });
    expect(world.heard()).toEqual(['noted suspect_failed', 'leave b dead']); // no interval, no patience
  });

  test('a confirmation past the shortened deadline takes effect at once', () => {
    // Six members want two further witnesses; the wait shrinks from 24 s to 4 s.
    // Our own first probe is put off, as we would be a witness too.
    const rng = (n: number): number => (n === 1_000 ? 60_000 : 0);
    const world = new World({ config: { probeIntervalMs: 1_000 }, rng });
    world.know('b', 'c', 'd', 'e', 'f');
    world.hear({ kind: 'suspect', node: 'b', incarnation: 1, from: 'c' });
    world.run(5_000);
    expect(world.state('b')).toBe('suspect@1');
    world.hear({ kind: 'suspect', node: 'b', incarnation: 1, from: 'd' });
    world.hear({ kind: 'suspect', node: 'b', incarnation: 1, from: 'd' });
    expect(world.state('b')).toBe('suspect@1');
    world.hear({ kind: 'suspect', node: 'b', incarnation: 1, from: 'e' });
    expect(world.state('b')).toBe('dead@1');
  });

  test('an accuser who missed our refutation is told again, directly, and not too often', () => {
    const world = drained();
    world.know('b');
    world.hear({ kind: 'suspect', node: 'self', incarnation: 1, from: 'b' });
    world.heard();
    world.hear({ kind: 'suspect', node: 'self', incarnation: 1, from: 'b' });
    world.hear({ kind: 'dead', node: 'self', incarnation: 1, from: 'b' });
    expect(world.heard()).toEqual(['to b 10.0.0.2:7946 crc: alive self@2']);
    world.run(500);
    world.hear({ kind: 'dead', node: 'self', incarnation: 1, from: 'b' });
    world.hear({ kind: 'dead', node: 'self', incarnation: 1, from: 'stranger' });
    expect(world.heard()).toEqual(['to b 10.0.0.2:7946 crc: alive self@2']);
  });
});

describe('leaving and updating', () => {
  test('leave is told until it has been told enough, then settled', () => {
    const world = new World({ config: { gossipIntervalMs: 200, retransmitMult: 2 } });
    world.know('b');
    world.run(5_000);
    world.heard();
    world.step({ kind: 'leave', ticket: 1 });
    expect(world.heard()).toEqual(['leave self left']);
    world.run(1_000);
    expect(world.heard()).toEqual([
      'to b 10.0.0.2:7946 crc: dead self@1 by self',
      'settled 1',
      'to b 10.0.0.2:7946 crc: dead self@1 by self',
    ]);
    world.step({ kind: 'leave', ticket: 2 });
    expect(world.heard()).toEqual(['settled 2']);
  });

  test('alone there is nobody to tell', () => {
    const world = new World();
    world.step({ kind: 'updateMeta', meta: Buffer.from('new'), ticket: 1 });
    expect(world.heard()).toEqual(['update self alive', 'settled 1']);
    world.step({ kind: 'leave', ticket: 2 });
    expect(world.heard()).toEqual(['leave self left', 'settled 2']);
    world.step({ kind: 'updateMeta', meta: Buffer.from('newer'), ticket: 3 });
    expect(world.heard()).toEqual(['settled 3']);
  });

  test('new meta goes out under the next incarnation', () => {
    const world = drained({ config: { gossipIntervalMs: 200, retransmitMult: 1 } });
    world.know('b');
    world.run(1_000);
    world.heard();
    world.step({ kind: 'updateMeta', meta: Buffer.from('new'), ticket: 1 });
    world.run(200);
    expect(world.heard()).toEqual(['update self alive', 'settled 1', 'to b 10.0.0.2:7946 crc: alive self@2']);
  });
});

describe('forgetting', () => {
  test('the dead and the left stay for gossipToTheDeadMs and are gone after the next round', () => {
    const world = new World({ config: { probeIntervalMs: 1_000, gossipToTheDeadMs: 30_000 } });
    world.know('b', 'c');
    world.hear({ kind: 'dead', node: 'b', incarnation: 1, from: 'x' });
    world.hear({ kind: 'dead', node: 'c', incarnation: 1, from: 'c' });
    world.run(30_000);
    expect([world.state('b'), world.state('c'), world.swim.size]).toEqual(['dead@1', 'left@1', 3]);
    world.run(3_000);
    expect([world.state('b'), world.state('c'), world.swim.size]).toEqual([undefined, undefined, 1]);
  });

  test('we never forget ourselves', () => {
    const world = new World({ config: { probeIntervalMs: 1_000 } });
    world.step({ kind: 'leave', ticket: 1 });
    world.run(100_000);
    expect(world.swim.self.state).toBe('left');
  });
});

test('the same events at the same times give the same effects', () => {
  const once = (): readonly string[] => {
    let state = 42;
    const rng = (n: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return state % n;
    };
    const world = new World({
      config: { probeIntervalMs: 1_000, gossipIntervalMs: 200, pushPullIntervalMs: 5_000 },
      rng,
    });
    for (const name of 'bcdefgh') world.hear(aliveOf(name));
    world.run(60_000);
    return world.heard();
  };
  const first = once();
  expect(first.length).toBeGreaterThan(100);
  expect(once()).toEqual(first);
});

/** A world with nothing left to piggyback. */
function drained(o: ConstructorParameters<typeof World>[0] = {}): World {
  const world = new World({ ...o, config: { retransmitMult: 1, ...o.config } });
  world.drain();
  return world;
}
