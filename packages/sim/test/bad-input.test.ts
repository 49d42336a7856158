/**
 * bad-input.test.ts: what callers and neighbours get wrong, and by which code they learn of it. Nothing else changes.
 */
import { Keyring, KeyringError, MemberlistError } from '@fed/memberlist';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Cluster } from '../src/index.ts';

let cluster: Cluster;
beforeEach(() => {
  cluster = new Cluster({ seed: 5 });
});
afterEach(() => cluster[Symbol.asyncDispose]());

const sixteen = (byte: number): Uint8Array => new Uint8Array(16).fill(byte);
const known = (name: string): string[] =>
  cluster
    .get(name)
    .all()
    .map((member) => member.name)
    .sort();

/** `joiner` fails to join a; why, by address. */
async function joining(joiner: string): Promise<string[]> {
  const failure: unknown = await cluster.clock
    .until(cluster.get(joiner).join([cluster.addressOf('a')]))
    .catch((cause: unknown) => cause);
  expect(failure).toBeInstanceOf(MemberlistError);
  expect(failure).toMatchObject({ code: 'join_failed' });
  return (failure as MemberlistError).errors.map(({ address, cause }) => `${address} ${cause.code}`);
}

test('wrong key: the join fails per address, and the member counts what it could not open', async () => {
  const a = await cluster.start('a', {}, { keyring: new Keyring([], sixteen(1)) });
  await cluster.start('b', {}, { keyring: new Keyring([], sixteen(2)) });
  expect(await joining('b')).toEqual([`${cluster.hostOf('a')}:7946 malformed`]);
  expect(a.stats().drops).toEqual({ undecryptable: 1 });
  expect(known('a')).toEqual(['a']);
});

test('a key of the wrong size: before anything is opened', () => {
  expect(() => new Keyring([], new Uint8Array(15))).toThrow(KeyringError);
  expect(() => new Keyring([], new Uint8Array(15))).toThrow(expect.objectContaining({ code: 'key_size' }));
});

test('wrong label: the join fails per address, and the member counts the stranger', async () => {
  const a = await cluster.start('a', {}, { label: 'green' });
  await cluster.start('b', {}, { label: 'blue' });
  await cluster.start('c');
  expect(await joining('b')).toEqual([`${cluster.hostOf('a')}:7946 unreachable`]);
  expect(await joining('c')).toEqual([`${cluster.hostOf('a')}:7946 unreachable`]);
  expect(a.stats().drops).toEqual({ label_mismatch: 2 });
  expect(known('a')).toEqual(['a']);
});

test('wrong version: refused by both, nothing is merged', async () => {
  const a = await cluster.start('a', {}, { delegateVersion: { min: 2, max: 3, cur: 3 } });
  await cluster.start('b', {}, { delegateVersion: { min: 4, max: 5, cur: 5 } });
  expect(await joining('b')).toEqual([`${cluster.hostOf('a')}:7946 incompatible`]);
  expect(a.stats().drops).toEqual({ incompatible: 1 });
  expect([known('a'), known('b')]).toEqual([['a'], ['b']]);
});

test('a protocol version nobody speaks: before anything is opened', async () => {
  await expect(cluster.start('a', {}, { config: { protocolVersion: 9 } })).rejects.toMatchObject({
    name: 'MemberlistError',
    code: 'bad_config',
  });
});

test('duplicate name: the first stays, whoever sees it is told of both addresses', async () => {
  const claims: string[] = [];
  await cluster.start('a', {
    conflict: (existing, other) => claims.push(`${existing.name} ${existing.host} ${other.host}`),
  });
  const b = await cluster.start('b');
  await cluster.clock.until(b.join([cluster.addressOf('a')]));
  await cluster.clock.run(1_000);
  const second = await cluster.start('c', {}, { name: 'b' });
  await cluster.clock.until(second.join([cluster.addressOf('a')]));
  await cluster.clock.run(1_000);
  expect(claims[0]).toBe(`b ${cluster.hostOf('b')} ${cluster.hostOf('c')}`);
  expect(cluster.get('a').member('b')?.host).toBe(cluster.hostOf('b'));
});

test('join addresses that do not resolve, cannot be read or refuse: each is told, the others are still tried', async () => {
  await cluster.start('a');
  const b = await cluster.start(
    'b',
    {},
    {
      resolveHost: async (host) => {
        throw new Error(`who is ${host}?`);
      },
    },
  );
  const bad = ['nowhere.example:7946', '10.9.9.9:7946', '10.0.0.1:99999'];
  const { joined, errors } = await cluster.clock.until(b.join([...bad, cluster.addressOf('a')]));
  expect(joined).toBe(1);
  expect(errors.map(({ target, cause }) => `${target} ${cause.code}`).sort()).toEqual([
    '10.0.0.1:99999 bad_target',
    '10.9.9.9:7946 unreachable',
    'nowhere.example:7946 unresolvable',
  ]);
  expect(known('a')).toEqual(['a', 'b']);
});

test('meta of 513 bytes: refused before anything is sent', async () => {
  let meta = new Uint8Array(512);
  const a = await cluster.start('a', { meta: () => meta });
  const b = await cluster.start('b');
  await cluster.clock.until(b.join([cluster.addressOf('a')]));
  await cluster.clock.run(5_000);
  meta = new Uint8Array(513);
  const before = a.stats();
  await expect(a.updateMeta()).rejects.toMatchObject({ name: 'MemberlistError', code: 'meta_too_large' });
  expect(a.stats()).toEqual(before);
  expect(a.local().meta.length).toBe(512);
  await expect(cluster.start('c', { meta: () => meta })).rejects.toMatchObject({ code: 'meta_too_large' });
});

test('a payload of more than 20 MiB: refused before anything is sent', async () => {
  const a = await cluster.start('a');
  await expect(a.sendReliable(a.local(), new Uint8Array(20 * 1024 * 1024 + 1))).rejects.toMatchObject({
    code: 'payload_too_large',
  });
  expect(a.stats().streamsOut).toBe(0);
});

test('closed: every call says so; what only looks still looks', async () => {
  const a = await cluster.start('a');
  const to = a.local();
  await a[Symbol.asyncDispose]();
  const closed = { name: 'MemberlistError', code: 'closed' };
  await expect(a.join(['10.0.0.2'])).rejects.toMatchObject(closed);
  await expect(a.sync('a')).rejects.toMatchObject(closed);
  await expect(a.ping(to)).rejects.toMatchObject(closed);
  await expect(a.updateMeta()).rejects.toMatchObject(closed);
  await expect(a.leave({ timeoutMs: 1 })).rejects.toMatchObject(closed);
  await expect(a.sendReliable(to, new Uint8Array(1))).rejects.toMatchObject(closed);
  expect(() => a.sendBestEffort(to, new Uint8Array(1))).toThrow(expect.objectContaining(closed));
  expect(known('a')).toEqual(['a']);
});
