/**
 * members.test.ts: members on real UDP and TCP sockets of this machine.
 */
import { describe, expect, test } from 'vitest';
import { Keyring, MemberlistError } from '../../src/index.ts';
import { names, Scene } from './observed.ts';

const key = (fill: number): Uint8Array => new Uint8Array(16).fill(fill);
const killed = { probeIntervalMs: 40, probeTimeoutMs: 20 };

describe.each([
  ['in the clear', () => ({})],
  ['encrypted, compressed and labelled', () => ({ keyring: new Keyring([], key(1)), label: 'test' })],
])('two members, %s', (_, secrets) => {
  test('join: both know both, and the first event is the own join', async () => {
    await using scene = new Scene();
    const a = await scene.member('a', secrets());
    const b = await scene.member('b', secrets());
    expect(await b.list.join([a.at])).toEqual({ joined: 1, errors: [] });
    await Promise.all([a.saw('join b alive'), b.saw('join a alive'), a.saw('join a alive')]);
    expect([names(a.list), names(b.list)]).toEqual([
      ['a', 'b'],
      ['a', 'b'],
    ]);
    expect([a.list.numEstimated, b.list.numEstimated]).toEqual([2, 2]);
  });

  test('meta: given at the start, and updated', async () => {
    await using scene = new Scene();
    let meta = 'one';
    const a = await scene.member('a', secrets());
    const b = await scene.member('b', { ...secrets(), hooks: { meta: () => Buffer.from(meta) } });
    await b.list.join([a.at]);
    await a.saw('join b alive');
    expect(Buffer.from(a.list.member('b')!.meta).toString()).toBe('one');
    meta = 'two';
    await b.list.updateMeta();
    await a.saw('update b alive');
    expect(Buffer.from(a.list.member('b')!.meta).toString()).toBe('two');
    expect(a.list.member('b')!.incarnation).toBe(2);
  });

  test('user messages: by packet and by stream, both ways', async () => {
    await using scene = new Scene();
    const a = await scene.member('a', secrets());
    const b = await scene.member('b', secrets());
    await b.list.join([a.at]);
    await a.saw('join b alive');
    a.list.sendBestEffort(a.list.member('b')!, Buffer.from('a packet'));
    b.list.sendBestEffort(b.list.member('a')!, Buffer.from('a packet back'));
    const large = 'x'.repeat(1_000_000);
    await a.list.sendReliable(a.list.member('b')!, Buffer.from(large));
    await b.list.sendReliable(b.list.member('a')!, Buffer.from('a stream back'));
    await Promise.all([
      b.saw('user a packet'),
      a.saw('user a packet back'),
      b.saw(`user ${large}`),
      a.saw('user a stream back'),
    ]);
  });

  test('leave: seen as left, by both', async () => {
    await using scene = new Scene();
    const a = await scene.member('a', secrets());
    const b = await scene.member('b', secrets());
    await b.list.join([a.at]);
    await a.saw('join b alive');
    await b.list.leave({ timeoutMs: 10_000 });
    await Promise.all([a.saw('leave b left'), b.saw('leave b left')]);
    expect([names(a.list), names(b.list)]).toEqual([['a'], ['a']]);
    expect(b.list.local().state).toBe('left');
  });

  test('kill: found out by probing', async () => {
    await using scene = new Scene();
    const a = await scene.member('a', { ...secrets(), config: killed });
    const b = await scene.member('b', { ...secrets(), config: killed });
    await b.list.join([a.at]);
    await a.saw('join b alive');
    await b.list[Symbol.asyncDispose]();
    await a.saw('leave b dead');
    expect(names(a.list)).toEqual(['a']);
  });
});

test('five members: joined in a chain, all know all; one leaves, one is killed, the rest agree', async () => {
  await using scene = new Scene();
  // Gossip reaches everybody with high probability only; push/pulls make it certain.
  const config = { ...killed, pushPullIntervalMs: 100 };
  const all = [await scene.member('n0', { config })];
  for (const n of [1, 2, 3, 4]) {
    const next = await scene.member(`n${n}`, { config });
    await next.list.join([all[n - 1]!.at]);
    all.push(next);
  }
  const everybody = ['n0', 'n1', 'n2', 'n3', 'n4'];
  await Promise.all(all.flatMap((m) => everybody.map((name) => m.saw(`join ${name} alive`))));
  await all[4]!.list.leave({ timeoutMs: 10_000 });
  await Promise.all(all.map((m) => m.saw('leave n4 left')));
  await all[4]!.list[Symbol.asyncDispose]();
  await all[3]!.list[Symbol.asyncDispose]();
  const rest = all.slice(0, 3);
  await Promise.all(rest.map((m) => m.saw('leave n3 dead')));
  for (const m of rest) expect(names(m.list)).not.toContain('n3');
});

test('IPv6: members meet at ::1', async () => {
  await using scene = new Scene();
  const a = await scene.member('a', { host: '::1' });
  const b = await scene.member('b', { host: '::1' });
  await b.list.join([`a/${a.at}`]);
  await Promise.all([a.saw('join b alive'), b.saw('ping a')]);
  expect(a.list.member('b')!.host).toBe('::1');
});

test('probing: the layer above learns round-trip times and payloads', async () => {
  await using scene = new Scene();
  const a = await scene.member('a');
  const b = await scene.member('b');
  await b.list.join([a.at]);
  await Promise.all([a.saw('ping b'), b.saw('ping a')]);
  const { rttMs } = await a.list.ping(a.list.member('b')!);
  expect(rttMs).toBeGreaterThan(0);
});

test('ping: nobody there is a timeout', async () => {
  await using scene = new Scene();
  const a = await scene.member('a');
  const gone = await scene.member('b');
  const [host, port] = gone.at.split(':');
  await gone.list[Symbol.asyncDispose]();
  await expect(a.list.ping({ host: host!, port: Number(port), name: 'b' })).rejects.toMatchObject({
    code: 'timeout',
  });
});

test('join: every target is tried, and every failure is told per address', async () => {
  await using scene = new Scene();
  const a = await scene.member('a');
  const gone = await scene.member('gone');
  await gone.list[Symbol.asyncDispose]();
  const b = await scene.member('b');
  const { joined, errors } = await b.list.join([gone.at, 'bad host', a.at]);
  expect(joined).toBe(1);
  expect(errors.map(({ target, address, cause }) => [target, address, cause.code]).sort()).toEqual(
    [
      ['bad host', undefined, 'bad_target'],
      [gone.at, gone.at, 'unreachable'],
    ].sort(),
  );
});

test('join: when no target works it fails, with all reasons', async () => {
  await using scene = new Scene();
  const gone = await scene.member('gone');
  await gone.list[Symbol.asyncDispose]();
  const b = await scene.member('b');
  const failure = await b.list.join([gone.at]).catch((cause: unknown) => cause);
  expect(failure).toBeInstanceOf(MemberlistError);
  expect(failure).toMatchObject({ code: 'join_failed', errors: [{ target: gone.at }] });
});

test('keys: another key keeps everybody out, in both directions', async () => {
  await using scene = new Scene();
  const a = await scene.member('a', { keyring: new Keyring([], key(1)) });
  const b = await scene.member('b', { keyring: new Keyring([], key(2)) });
  const plain = await scene.member('plain');
  for (const [joiner, target] of [
    [b, a],
    [plain, a],
    [a, plain],
  ] as const)
    await expect(joiner.list.join([target.at])).rejects.toMatchObject({
      code: 'join_failed',
      errors: [{ cause: { name: 'PeerError', code: 'malformed' } }],
    });
  expect([names(a.list), names(b.list), names(plain.list)]).toEqual([['a'], ['b'], ['plain']]);
  expect(a.list.stats().drops['undecryptable']).toBe(1);
});

test('closing: idempotent, ends what waits, and nothing works afterwards', async () => {
  await using scene = new Scene();
  const a = await scene.member('a');
  const pinging = a.list.ping({ host: '127.0.0.1', port: 1, name: 'nobody' });
  const ended = expect(pinging).rejects.toMatchObject({ code: 'closed' });
  await Promise.all([a.list[Symbol.asyncDispose](), a.list[Symbol.asyncDispose]()]);
  await ended;
  await expect(a.list.join(['127.0.0.1:1'])).rejects.toMatchObject({ code: 'closed' });
  expect(() => a.list.sendBestEffort(a.list.local(), new Uint8Array(1))).toThrow('closed');
});
