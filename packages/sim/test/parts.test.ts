/**
 * parts.test.ts: the simulation's own parts: time, chance, network, checkers. What finds faults must be able to.
 */
import type { MemberChange, Memberlist } from '@fed/memberlist';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  calm,
  disagreement,
  IncarnationChecker,
  ResurrectionChecker,
  SeededRng,
  SimNetwork,
  Transcript,
  type Violation,
  VirtualClock,
} from '../src/index.ts';

describe('clock', () => {
  test('wakes in order of time, then of asking, and stands where it was told to', async () => {
    const clock = new VirtualClock();
    const woken: string[] = [];
    for (const [at, name] of [
      [20, 'c'],
      [10, 'a'],
      [10, 'b'],
      [31, 'late'],
    ] as const)
      clock.at(at, () => woken.push(`${name}@${clock.now()}`));
    await clock.run(30);
    expect([woken, clock.now()]).toEqual([['a@10', 'b@10', 'c@20'], 30]);
  });

  test('whatever is asked for, in whatever order, comes in order of time', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.record({ at: fc.nat(100), keep: fc.boolean() })), async (asked) => {
        const clock = new VirtualClock();
        const woken: number[] = [];
        for (const { at, keep } of asked) {
          const timer = clock.at(at, () => woken.push(clock.now()));
          if (!keep) timer[Symbol.dispose]();
        }
        await clock.run(100);
        expect(woken).toEqual(
          asked
            .filter(({ keep }) => keep)
            .map(({ at }) => at)
            .sort((a, b) => a - b),
        );
      }),
      { numRuns: 50 },
    );
  });

  test('what is disposed never wakes; what is past wakes at once, but not within the call', async () => {
    const clock = new VirtualClock(100);
    const woken: string[] = [];
    clock.at(110, () => woken.push('disposed'))[Symbol.dispose]();
    clock.at(50, () => woken.push('past'));
    expect(woken).toEqual([]);
    await clock.run(20);
    expect(woken).toEqual(['past']);
  });

  test('promises go on before the next wake-up', async () => {
    const clock = new VirtualClock();
    const order: string[] = [];
    clock.at(1, () => void Promise.resolve().then(async () => order.push('promise')));
    clock.at(1, () => order.push('second'));
    await clock.run(1);
    expect(order).toEqual(['promise', 'second']);
  });

  test('waiting for a promise lets time pass, but not for ever', async () => {
    const clock = new VirtualClock();
    const later = new Promise<string>((resolve) => clock.at(70, () => resolve('done')));
    expect(await clock.until(later)).toBe('done');
    expect(clock.now()).toBe(70);
    await expect(clock.until(new Promise(() => {}), 10)).rejects.toThrow('10 ms');
  });
});

test('rng: the same seed gives the same numbers, another seed others, all within bounds', () => {
  const draw = (seed: number): number[] => {
    const rng = new SeededRng(seed);
    return Array.from({ length: 1_000 }, () => rng.below(10));
  };
  expect(draw(1)).toEqual(draw(1));
  expect(draw(1)).not.toEqual(draw(2));
  expect(new Set(draw(3))).toEqual(new Set([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]));
});

describe('network', () => {
  const a = { host: '10.0.0.1', port: 1 };
  const b = { host: '10.0.0.2', port: 1 };

  function pair(faults = calm) {
    const clock = new VirtualClock();
    const network = new SimNetwork({ clock, rng: new SeededRng(7), faults });
    const [from, to] = [network.open(a), network.open(b)];
    const packets: string[] = [];
    const streams: Promise<string>[] = [];
    to.listen({
      packet: (bytes) => packets.push(Buffer.from(bytes).toString()),
      stream: (conn) =>
        streams.push(
          conn.toArray().then(
            (chunks) => Buffer.concat(chunks).toString(),
            (cause: Error) => cause.message,
          ),
        ),
    });
    return { clock, network, from, packets, streams, toB: { ...b, name: 'b' } };
  }

  test('calm: every packet arrives once, after its delay', async () => {
    const { clock, from, packets, toB } = pair();
    from.sendPacket(toB, Buffer.from('x'));
    await clock.run(0.5);
    expect(packets).toEqual([]);
    await clock.run(3);
    expect(packets).toEqual(['x']);
  });

  test('loss, duplication and send failures happen as often as they should', async () => {
    const { clock, from, packets, toB } = pair({ ...calm, loss: 0.3, duplication: 0.5, sendFailure: 0.1 });
    let failures = 0;
    for (let i = 0; i < 1_000; i++) from.sendPacket(toB, Buffer.from('x'), () => failures++);
    await clock.run(10);
    expect(failures).toBeGreaterThan(70);
    expect(failures).toBeLessThan(130);
    expect(packets.length).toBeGreaterThan(850);
    expect(packets.length).toBeLessThan(1_040);
  });

  test('a partition stops packets, stalls streams, and ends', async () => {
    const { clock, network, from, packets, streams, toB } = pair();
    const conn = await clock.until(from.dialStream(toB, { timeoutMs: 1_000 }));
    conn.write('one ');
    network.partition([a.host]);
    conn.write('two ');
    from.sendPacket(toB, Buffer.from('lost'));
    await expect(clock.until(from.dialStream(toB, { timeoutMs: 1_000 }))).rejects.toThrow('1000 ms');
    network.heal();
    conn.end('three');
    expect(await clock.until(streams[0]!)).toBe('one two three');
    expect(packets).toEqual([]);
  });

  test('a cut way carries no packets but streams, or nothing', async () => {
    const { clock, network, from, packets, toB } = pair();
    network.cut(a.host, b.host, 'packets');
    from.sendPacket(toB, Buffer.from('lost'));
    await clock.until(from.dialStream(toB, { timeoutMs: 100 }));
    network.cut(a.host, b.host, 'all');
    await expect(clock.until(from.dialStream(toB, { timeoutMs: 100 }))).rejects.toThrow('100 ms');
    network.mend(a.host, b.host);
    from.sendPacket(toB, Buffer.from('there'));
    await clock.run(10);
    expect(packets).toEqual(['there']);
  });

  test('nobody there refuses, and a closed end resets', async () => {
    const { clock, from, streams, toB } = pair();
    await expect(clock.until(from.dialStream({ ...toB, port: 9 }, { timeoutMs: 100 }))).rejects.toThrow(
      'refused',
    );
    await clock.until(from.dialStream(toB, { timeoutMs: 100 }));
    await from[Symbol.asyncDispose]();
    expect(await clock.until(streams[0]!)).toContain('connection reset');
  });
});

describe('checkers', () => {
  const change = (kind: 'join' | 'leave', incarnation: number): MemberChange =>
    ({ kind, member: { name: 'b', incarnation } }) as MemberChange;

  test('a resurrection without a higher incarnation is found, unless the death was forgotten', () => {
    const found: Violation[] = [];
    const checker = new ResurrectionChecker({ report: (v) => found.push(v), rememberMs: 1_000 });
    const life = {};
    checker.changed(life, 'a', change('leave', 3), 0);
    checker.changed(life, 'a', change('join', 4), 10);
    checker.changed(life, 'a', change('leave', 4), 20);
    checker.changed(life, 'a', change('join', 1), 1_020);
    checker.changed({}, 'a', change('join', 1), 1_020);
    expect(found).toEqual([]);
    checker.changed(life, 'a', change('leave', 1), 1_030);
    checker.changed(life, 'a', change('join', 1), 1_040);
    expect(found).toHaveLength(1);
  });

  test('an incarnation that goes back is found, unless the name had been gone for long', () => {
    const found: Violation[] = [];
    const checker = new IncarnationChecker({ report: (v) => found.push(v), rememberMs: 1_000 });
    let row = { name: 'b', incarnation: 3, state: 'alive' };
    const observer = { name: 'a', all: () => [row] } as unknown as Memberlist;
    checker.look(observer, 0);
    row = { ...row, state: 'dead' };
    checker.look(observer, 10);
    row = { ...row, state: 'alive', incarnation: 1 };
    checker.look(observer, 1_010);
    expect(found).toEqual([]);
    row = { ...row, incarnation: 0 };
    checker.look(observer, 1_020);
    expect(found.map(({ detail }) => detail)).toEqual(['a had b at 1, now 0']);
  });

  test('disagreement names who is wrong about whom', () => {
    const member = (name: string, known: readonly object[]): Memberlist =>
      ({
        name,
        local: () => ({ name, incarnation: 1, meta: new Uint8Array(0) }),
        members: () => known,
      }) as unknown as Memberlist;
    const row = (name: string, o: object = {}): object => ({
      name,
      state: 'alive',
      incarnation: 1,
      meta: new Uint8Array(0),
      ...o,
    });
    const both = [row('a'), row('b')];
    expect(disagreement([member('a', both), member('b', both)])).toBeUndefined();
    expect(disagreement([member('a', both), member('b', [row('b')])])).toBe('b does not know a');
    expect(disagreement([member('a', both)])).toBe('a still takes b for alive');
    expect(disagreement([member('a', [row('a', { state: 'suspect' })])])).toBe('a has a as suspect');
    expect(disagreement([member('a', [row('a', { incarnation: 0 })])])).toBe('a has a at 0, it is at 1');
    expect(disagreement([member('a', [row('a', { meta: Uint8Array.of(1) })])])).toBe(
      'a has an old meta of a',
    );
  });
});

test('transcript: one different line is another hash', () => {
  const hash = (...lines: readonly string[]): string => {
    const transcript = new Transcript();
    for (const [at, line] of lines.entries()) transcript.add(at, line);
    return transcript.hash;
  };
  expect(hash('a', 'b')).toBe(hash('a', 'b'));
  expect(hash('a', 'b')).not.toBe(hash('a', 'c'));
});

test('network: a host that stands still hears and says nothing, and makes up for it in order', async () => {
  const clock = new VirtualClock();
  const network = new SimNetwork({ clock, rng: new SeededRng(1) });
  const [a, b] = ['10.0.0.1', '10.0.0.2'].map((host) => network.open({ host, port: 1 }));
  const heard: string[] = [];
  for (const [name, end] of [
    ['a', a],
    ['b', b],
  ] as const)
    end!.listen({
      packet: (bytes) => heard.push(`${name} hears ${Buffer.from(bytes).toString()}`),
      stream: () => {},
    });
  const send = (from: typeof a, host: string, text: string): void =>
    from!.sendPacket({ host, port: 1, name: '' }, Buffer.from(text));
  network.stall('10.0.0.1');
  send(a, '10.0.0.2', 'hello');
  send(b, '10.0.0.1', 'are you there?');
  await clock.run(60_000);
  expect(heard).toEqual([]);
  network.resume('10.0.0.1');
  await clock.run(100);
  expect(heard).toEqual(['a hears are you there?', 'b hears hello']);
});
