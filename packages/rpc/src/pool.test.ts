/** Which connection a call takes, what it costs, and what its caller is told when it fails. */
import { type Duplex, duplexPair } from 'node:stream';
import type { Value } from '@fed/msgpack';
import { SteppedClock } from '@fed/tooling/virtual-clock';
import { describe, expect, test } from 'vitest';
import { RpcApplicationError } from './errors.ts';
import { openRpcPool, type RpcPool, type RpcPoolOptions } from './pool.ts';
import type { RpcTarget } from './ports.ts';
import { type RpcContext, RpcRegistry } from './registry.ts';
import { type RpcConnection, serveMulti } from './server.ts';
import { encodeFrameHeader, frameFlag, frameType } from './yamux/frame.ts';

const n1: RpcTarget = { datacenter: 'dc1', node: 'n1', address: { host: '10.0.0.1', port: 8300 } };
const twin: RpcTarget = { ...n1, datacenter: 'dc2' }; // same name, same private address, another datacenter
const n2: RpcTarget = { ...n1, node: 'n2' };

/** Servers behind every target, dialled in memory, with blocking calls that the test answers. */
class World implements AsyncDisposable {
  readonly clock = new SteppedClock();
  readonly dials: RpcTarget[] = [];
  readonly servers: RpcConnection[] = [];
  readonly blocked: { answer: (value: Value) => void; context: RpcContext }[] = [];
  readonly registry = new RpcRegistry();
  readonly pool: RpcPool;
  /** What a dial does instead, while set. */
  dialInstead: ((target: RpcTarget, signal: AbortSignal) => Promise<Duplex>) | undefined;

  constructor(o: Partial<RpcPoolOptions> = {}) {
    this.registry.register({
      'Test.Echo': (args) => args,
      'Test.Fail': () => {
        throw new RpcApplicationError('No cluster leader');
      },
      'Test.Block': (_args, context) => new Promise((answer) => this.blocked.push({ answer, context })),
    });
    this.pool = openRpcPool({
      dial: (target, signal) => this.#dial(target, signal),
      clock: this.clock,
      ...o,
    });
  }

  call(
    target: RpcTarget,
    method = 'Test.Echo',
    args: Value = 'x',
    o: { signal?: AbortSignal } = {},
  ): Promise<Value> {
    return this.pool.call(target, method, args, { timeoutMs: 10_000, ...o });
  }

  /** Lets time go by slowly enough for pings to be answered. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 30_000) {
      this.clock.advance(Math.min(left, 30_000));
      await settled();
    }
  }

  async #dial(target: RpcTarget, signal: AbortSignal): Promise<Duplex> {
    this.dials.push(target);
    if (this.dialInstead !== undefined) return this.dialInstead(target, signal);
    const [ours, theirs] = duplexPair();
    this.servers.push(serveMulti(theirs, this.registry, { clock: this.clock }));
    return ours;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pool[Symbol.asyncDispose]();
    for (const server of this.servers) await server[Symbol.asyncDispose]();
  }
}

async function settled(): Promise<void> {
  for (let n = 0; n < 30; n += 1) await new Promise((resolve) => setImmediate(resolve));
}

const refused = async (): Promise<never> => {
  throw new Error('connect ECONNREFUSED');
};

describe('sharing', () => {
  test('callers of one server share one dial and one session', async () => {
    await using world = new World();
    const answers = await Promise.all(Array.from({ length: 200 }, (_, n) => world.call(n1, 'Test.Echo', n)));
    expect(answers).toEqual(Array.from({ length: 200 }, (_, n) => n));
    expect([world.dials.length, world.pool.stats().sessions.length]).toEqual([1, 1]);
  });

  test('the same node at the same address in two datacenters is two servers', async () => {
    await using world = new World();
    await Promise.all([world.call(n1), world.call(twin), world.call(n2)]);
    expect(world.dials).toEqual([n1, twin, n2]);
  });

  test('a stream is used again after a success, closed after an error', async () => {
    await using world = new World();
    for (let n = 0; n < 5; n += 1) await world.call(n1);
    expect([world.pool.stats().sessions[0]!.streamsIdle, world.servers[0]!.stats().streams]).toEqual([1, 1]);
    await expect(world.call(n1, 'Test.Fail')).rejects.toThrow();
    await settled();
    expect([world.pool.stats().sessions[0]!.streamsIdle, world.servers[0]!.stats().streams]).toEqual([0, 0]);
  });

  test('no more idle streams are kept than allowed', async () => {
    await using world = new World({ streamsIdleMax: 3 });
    await Promise.all(Array.from({ length: 10 }, () => world.call(n1)));
    await settled();
    expect([world.pool.stats().sessions[0]!.streamsIdle, world.servers[0]!.stats().streams]).toEqual([3, 3]);
  });

  test('a session idle for two minutes is closed', async () => {
    await using world = new World();
    await world.call(n1);
    await world.pass(60_000);
    await world.call(n2);
    await world.pass(60_000);
    expect(world.pool.stats().sessions.map((s) => s.target)).toEqual([n2]);
  });

  test('a session that carries a long call outlives the idle time', async () => {
    await using world = new World();
    const call = world.pool.call(n1, 'Test.Block', null, { timeoutMs: 600_000 });
    await settled();
    await world.pass(10 * 30_000);
    world.blocked[0]!.answer('changed');
    expect(await call).toBe('changed');
    await world.pass(5 * 30_000);
    expect(world.pool.stats().sessions).toEqual([]);
  });

  test('a session without calls is hardly asked for signs of life, one with a call that waits is', async () => {
    await using world = new World({ yamux: { keepaliveMs: 2_000, restKeepaliveMs: 30_000 } });
    const bytesIn = async (ms: number): Promise<number> => {
      const sent = (): number => world.pool.stats().sessions[0]!.sentBytes;
      const before = sent();
      for (let passed = 0; passed < ms; passed += 500) {
        world.clock.advance(500);
        await settled();
      }
      return sent() - before;
    };
    await world.call(n1);
    const pingBytes = 12; // and answers to the other side’s
    expect(await bytesIn(60_000)).toBeLessThanOrEqual(4 * pingBytes);
    const waiting = world.pool.call(n1, 'Test.Block', null, { timeoutMs: 600_000 });
    await settled();
    expect(await bytesIn(60_000)).toBeGreaterThanOrEqual(24 * pingBytes);
    world.blocked[0]!.answer('changed');
    await waiting;
    expect(await bytesIn(60_000)).toBeLessThanOrEqual(5 * pingBytes);
  });

  test('the server goes away: the next call dials again, calls that run are finished', async () => {
    await using world = new World();
    const running = world.call(n1, 'Test.Block');
    await settled();
    world.servers[0]!.drain();
    await settled();
    await world.call(n1);
    expect(world.dials.length).toBe(2);
    world.blocked[0]!.answer('done');
    expect(await running).toBe('done');
    await settled();
    expect(world.pool.stats().sessions.length).toBe(1); // the old one has been closed
  });

  test('a session that died while idle costs one redial, and no error', async () => {
    await using world = new World();
    await world.call(n1);
    await world.servers[0]![Symbol.asyncDispose]();
    await settled();
    expect(await world.call(n1)).toBe('x');
    expect(world.dials.length).toBe(2);
  });
});

describe('failures', () => {
  test('an error of the remote method: code, text and prefix', async () => {
    await using world = new World();
    await expect(world.call(n1, 'Test.Fail')).rejects.toMatchObject({
      code: 'remote',
      remoteText: 'No cluster leader',
      message: 'rpc error making call: No cluster leader',
      target: n1,
    });
  });

  test('a dial that fails: code, prefix, and the cause untouched', async () => {
    await using world = new World();
    const cause = new Error('no gateway');
    world.dialInstead = () => Promise.reject(cause);
    const failure = world.call(n1);
    await expect(failure).rejects.toMatchObject({
      code: 'dial',
      message: 'rpc error getting client: failed to get conn: no gateway',
    });
    expect(await rootOf(failure)).toBe(cause);
  });

  test('timeout: the caller is told in time, and the server that nobody waits any more', async () => {
    await using world = new World();
    const call = world.call(n1, 'Test.Block');
    await settled();
    world.clock.advance(10_000);
    await expect(call).rejects.toMatchObject({
      code: 'timeout',
      message: 'rpc error making call: i/o deadline reached',
    });
    await settled();
    expect(world.blocked[0]!.context.signal.aborted).toBe(true);
    expect(world.pool.stats().sessions[0]!.calls).toBe(0);
    expect(await world.call(n1)).toBe('x');
    expect(world.dials.length).toBe(1);
  });

  test('abort: before the call, while dialling, and while waiting', async () => {
    await using world = new World();
    await expect(world.call(n1, 'Test.Echo', 1, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'aborted',
    });
    const dialling = new AbortController();
    let dialSignal: AbortSignal | undefined;
    world.dialInstead = (_target, signal) => {
      dialSignal = signal;
      return new Promise(() => {});
    };
    const first = world.call(n1, 'Test.Echo', 1, { signal: dialling.signal });
    await settled();
    dialling.abort();
    await expect(first).rejects.toMatchObject({ code: 'aborted' });
    expect(dialSignal?.aborted).toBe(true); // nobody else waited for it
    world.dialInstead = undefined;
    const waiting = new AbortController();
    const second = world.call(n1, 'Test.Block', 1, { signal: waiting.signal });
    await settled();
    waiting.abort();
    await expect(second).rejects.toMatchObject({ code: 'aborted' });
  });

  test('one caller that gives up does not end the dial others wait for', async () => {
    await using world = new World();
    const [ours, theirs] = duplexPair();
    world.servers.push(serveMulti(theirs, world.registry, { clock: world.clock }));
    let connect!: (conn: Duplex) => void;
    world.dialInstead = () =>
      new Promise((resolve) => {
        connect = resolve;
      });
    const impatient = new AbortController();
    const one = world.call(n1, 'Test.Echo', 1, { signal: impatient.signal });
    const two = world.call(n1, 'Test.Echo', 2);
    await settled();
    impatient.abort();
    await expect(one).rejects.toMatchObject({ code: 'aborted' });
    connect(ours);
    expect(await two).toBe(2);
    expect(world.dials.length).toBe(1);
  });

  test('a connection that comes too late is closed', async () => {
    await using world = new World();
    const [ours, theirs] = duplexPair();
    let connect!: (conn: Duplex) => void;
    world.dialInstead = () =>
      new Promise((resolve) => {
        connect = resolve;
      });
    const call = world.call(n1);
    await settled();
    world.clock.advance(10_000);
    await expect(call).rejects.toMatchObject({ code: 'timeout' });
    connect(ours);
    await settled();
    expect(ours.destroyed).toBe(true);
    theirs.destroy();
  });

  test('a session lost while waiting: the caller learns that the call may have happened', async () => {
    await using world = new World();
    const call = world.call(n1, 'Test.Block');
    await settled();
    await world.servers[0]![Symbol.asyncDispose]();
    await expect(call).rejects.toMatchObject({
      code: 'session_lost',
      message: 'rpc error making call: session shutdown (the peer ended the connection)',
    });
  });

  test('a stream the server ends without a reply reads as EOF, which Go peers retry on', async () => {
    await using world = new World();
    world.dialInstead = async () => {
      const [ours, theirs] = duplexPair();
      theirs.once('data', () => {
        theirs.write(encodeFrameHeader(frameType.windowUpdate, frameFlag.ack, 1, 0));
        theirs.write(encodeFrameHeader(frameType.windowUpdate, frameFlag.fin, 1, 0));
      });
      return ours;
    };
    await expect(world.call(n1)).rejects.toMatchObject({
      code: 'session_lost',
      message: 'rpc error making call: EOF',
    });
  });

  const wrong: readonly [string, string][] = [
    ['is no message', '0680'],
    ['answers another call', '83a54572726f72a0a353657163ad536572766963654d6574686f64a080'],
    ['comes twice', '83a54572726f72a0a353657101ad536572766963654d6574686f64a080'.repeat(2)],
  ];
  test.each(wrong)('a reply that %s is malformed, or at least ends its stream', async (_name, hex) => {
    await using world = new World();
    world.dialInstead = async () => {
      const [ours, theirs] = duplexPair();
      const reply = Buffer.from(hex, 'hex');
      theirs.once('data', () => {
        theirs.write(
          Buffer.concat([encodeFrameHeader(frameType.data, frameFlag.ack, 1, reply.length), reply]),
        );
      });
      return ours;
    };
    const outcome = await world.call(n1).then(
      () => 'answered',
      (error: { code: string }) => error.code,
    );
    expect(outcome).toBe(hex.length > 100 ? 'answered' : 'malformed');
    expect(world.pool.stats().sessions[0]!.streamsIdle).toBe(0);
  });

  test('drop closes sessions and gives up dials to what matches, and nothing else', async () => {
    await using world = new World();
    await Promise.all([world.call(n1), world.call(twin)]);
    const running = world.call(n1, 'Test.Block');
    await settled();
    world.dialInstead = () => new Promise(() => {});
    const dialling = world.call(n2);
    await settled();
    world.pool.drop((t) => t.datacenter === 'dc1');
    await expect(running).rejects.toMatchObject({ code: 'session_lost' });
    await expect(dialling).rejects.toMatchObject({ code: 'dial' });
    await settled();
    expect(world.pool.stats().sessions.map((s) => s.target)).toEqual([twin]);
    expect(world.pool.stats().dialling).toBe(0);
  });

  test('renew: what comes goes over a new connection, what runs ends on the old one; others are not touched', async () => {
    await using world = new World();
    await world.call(twin);
    const running = world.call(n1, 'Test.Block');
    await settled();
    world.pool.renew('dc1');
    await world.call(n1);
    await world.call(twin);
    expect(world.dials).toEqual([twin, n1, n1]);
    expect(world.pool.stats().sessions).toHaveLength(3);
    world.blocked[0]!.answer('done');
    expect(await running).toBe('done');
    await settled();
    expect(world.pool.stats().sessions).toHaveLength(2);
    world.pool.renew('dc1');
    await settled();
    expect(world.pool.stats().sessions.map((s) => s.target)).toEqual([twin]);
  });

  test('a pool that is closed ends its calls, takes no more, and leaves no timer', async () => {
    const world = new World();
    const running = world.call(n1, 'Test.Block');
    await settled();
    const ended = expect(running).rejects.toMatchObject({ code: 'session_lost' });
    await world.pool[Symbol.asyncDispose]();
    await ended;
    await expect(world.call(n1)).rejects.toMatchObject({ code: 'aborted' });
    await world[Symbol.asyncDispose]();
    expect(world.clock.armed).toBe(0);
  });
});

describe('a sick datacenter', () => {
  test('after three failed dials callers are told at once; others are not touched', async () => {
    await using world = new World();
    world.dialInstead = (target) =>
      target.datacenter === 'dc2' ? refused() : Promise.reject(new Error('wrong'));
    for (let n = 0; n < 3; n += 1) await expect(world.call(twin)).rejects.toMatchObject({ code: 'dial' });
    await expect(world.call(twin)).rejects.toMatchObject({
      code: 'dial',
      message:
        'rpc error getting client: failed to get conn: connect ECONNREFUSED (not dialled again for 500 ms)',
    });
    expect(world.dials.length).toBe(3);
    world.dialInstead = undefined;
    expect(await world.call(n1)).toBe('x');
  });

  test('half-open: one call dials, and its answer heals the datacenter', async () => {
    await using world = new World();
    world.dialInstead = refused;
    for (let n = 0; n < 3; n += 1) await expect(world.call(n1)).rejects.toThrow();
    world.clock.advance(500);
    world.dialInstead = undefined;
    expect(await world.call(n1)).toBe('x');
    expect(world.pool.stats().datacenters).toEqual([
      { datacenter: 'dc1', calls: 0, failures: 0, failingFast: false },
    ]);
  });

  test('news of a way makes the next call dial at once', async () => {
    await using world = new World();
    world.dialInstead = refused;
    for (let n = 0; n < 4; n += 1) await expect(world.call(n1)).rejects.toThrow();
    world.dialInstead = undefined;
    world.pool.forgive('dc1');
    expect(await world.call(n1)).toBe('x');
  });

  test('a server that accepts connections and refuses us in them counts as a failure', async () => {
    await using world = new World();
    world.dialInstead = async () => {
      const [ours, theirs] = duplexPair();
      theirs.once('data', () => ours.destroy(new Error('bad certificate')));
      return ours;
    };
    for (let n = 0; n < 3; n += 1) {
      await expect(world.call(n1, 'Test.Block')).rejects.toMatchObject({ code: 'session_lost' });
      await settled();
    }
    expect(world.pool.stats().datacenters[0]).toMatchObject({ failures: 3, failingFast: true });
  });

  test('dials nobody waited long enough for count too', async () => {
    await using world = new World();
    world.dialInstead = () => new Promise(() => {});
    for (let n = 0; n < 3; n += 1) {
      const call = world.call(n1);
      await settled();
      world.clock.advance(10_000);
      await expect(call).rejects.toMatchObject({ code: 'timeout' });
    }
    expect(world.pool.stats().datacenters[0]!.failures).toBe(3);
  });

  test('calls that never end fill their own datacenter only', async () => {
    await using world = new World({ datacenterCallsMax: 5 });
    const stuck = Array.from({ length: 5 }, () => world.call(twin, 'Test.Block').catch(() => 'ended'));
    await settled();
    await expect(world.call(twin)).rejects.toMatchObject({ code: 'busy' });
    expect(await world.call(n1)).toBe('x');
    for (const { answer } of world.blocked) answer('done');
    expect(await Promise.all(stuck)).toEqual(Array(5).fill('done'));
    expect(await world.call(twin)).toBe('x');
  });
});

/** The innermost cause of a rejection. */
async function rootOf(failure: Promise<unknown>): Promise<unknown> {
  let error: unknown = await failure.catch((e: unknown) => e);
  while (error instanceof Error && error.cause !== undefined) error = error.cause;
  return error;
}
