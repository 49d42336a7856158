/**
 * hostile.test.ts: somebody who means harm talks to a running cluster. Nobody falls, nothing grows, all of it is counted.
 *
 * The stranger has an address and knows the names; in the keyed story it has recorded packets, too. Bounds: what one
 * packet may cost (wire/packet.ts), what a member keeps for others (I5), and here: heap, before and after, in bytes.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Address, HostPort, Memberlist } from '@fed/memberlist';
import {
  createPacketCodec,
  encodeCompound,
  encodeMessage,
  encodePushPull,
  type Message,
} from '@fed/memberlist/internals';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Cluster, disagreement, type SimTransport } from '../src/index.ts';

/** What a member may keep of a whole attack of some ten megabytes. */
const keptBytesMax = 16 * 1024 * 1024;
const names = ['a', 'b', 'c'];
const randomBytes = (n: number): Uint8Array => new Uint8Array(n);
const compressing = createPacketCodec({ randomBytes });
const here: HostPort = { host: '10.6.6.6', port: 7946 };
const vsn = Uint8Array.of(1, 5, 2, 0, 0, 0);
const none = new Uint8Array(0);

let cluster: Cluster;
let stranger: SimTransport;
/** Everything that was sent to the stranger. */
let overheard: Uint8Array[];

async function begin(o: { readonly key?: Uint8Array; readonly guest?: boolean } = {}): Promise<void> {
  cluster = new Cluster({ seed: 66, ...(o.key && { key: o.key }) });
  for (const name of names) await cluster.start(name);
  for (const name of names.slice(1))
    await cluster.clock.until(cluster.get(name).join([cluster.addressOf('a')]));
  await cluster.clock.run(10_000, () => disagreement(cluster.running) === undefined);
  overheard = [];
  stranger = cluster.network.open(here);
  stranger.listen({ packet: (bytes) => overheard.push(bytes), stream: (conn) => conn.destroy() });
}

beforeEach(() => begin());
afterEach(() => cluster[Symbol.asyncDispose]());

const victim = (): Memberlist => cluster.get('a');
const at = (name: string): Address => ({ host: cluster.hostOf(name), port: 7946, name });
const drops = (code: string): number => victim().stats().drops[code] ?? 0;

async function attack(...packets: readonly Uint8Array[]): Promise<void> {
  for (const packet of packets) stranger.sendPacket(at('a'), packet);
  await cluster.clock.run(50);
}

/** All still know each other, as alive, and still notice who dies. */
async function unharmed(): Promise<void> {
  await cluster.clock.run(60_000, () => disagreement(cluster.running) === undefined);
  expect(disagreement(cluster.running)).toBeUndefined();
  expect(cluster.violations).toEqual([]);
  await cluster.kill('c');
  await cluster.clock.run(60_000, () => victim().member('c')?.state !== 'alive');
  expect(victim().member('c')?.state).not.toBe('alive');
}

function liveBytes(): number {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  gc();
  gc(); // array buffers of the first are swept by now
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

const ping = encodeMessage({ kind: 'ping', seqNo: 1, node: 'a' });
const alive = (node: string, o: Partial<Extract<Message, { kind: 'alive' }>> = {}): Uint8Array =>
  encodeMessage({
    kind: 'alive',
    incarnation: 1,
    node,
    addr: Uint8Array.of(10, 6, 0, 1),
    port: 1,
    meta: none,
    vsn,
    ...o,
  });

describe('packets', () => {
  test('a compound of compounds of compounds ends at the eighth layer', async () => {
    let onion: Uint8Array = ping;
    for (let layer = 0; layer < 100; layer++) onion = encodeCompound([onion]);
    await attack(onion);
    expect(drops('too_deep')).toBe(1);
    await unharmed();
  });

  test('a compound that branches at every layer ends at 4096 parts', async () => {
    let tree: Uint8Array = encodeMessage({ kind: 'nack', seqNo: 1 });
    for (let layer = 0; layer < 3; layer++) tree = encodeCompound(Array.from({ length: 17 }, () => tree));
    const before = victim().stats().packetsOut;
    await attack(tree);
    expect(drops('too_large')).toBeGreaterThan(0);
    expect(victim().stats().packetsOut - before).toBeLessThan(10);
    await unharmed();
  });

  test('a bomb of zeros goes off at 256 KiB, however it is wrapped', async () => {
    const zeros = encodeMessage({ kind: 'user', payload: new Uint8Array(4 * 1024 * 1024) });
    const bomb = compressing.seal([zeros], { crc: false });
    expect(bomb.length).toBeLessThan(65_507);
    const before = liveBytes();
    await attack(...Array.from({ length: 50 }, () => bomb), encodeCompound([bomb, bomb, ping]));
    expect(drops('compression_too_large')).toBe(52);
    expect(liveBytes() - before).toBeLessThan(keptBytesMax);
    await unharmed();
  });

  test('a value that nests is stepped over to a depth of 64, and no deeper', async () => {
    const nested = Buffer.alloc(60_000, 0x91);
    const strange = Buffer.concat([Buffer.of(0x00, 0x82, 0xa3), Buffer.from('xyz'), nested, Buffer.of(0xc0)]);
    await attack(strange);
    expect(drops('too_deep')).toBe(1);
    await unharmed();
  });

  test('lengths and counts that lie, types that do not exist, numbers that do not fit', async () => {
    await attack(
      Buffer.of(0x07, 0xff, 0x00), // 255 parts, one byte of lengths
      Buffer.of(0x02, 0xdf, 0xff, 0xff, 0xff, 0xff), // an ack of four thousand million fields
      Buffer.of(0x04, 0x81, 0xa4, 0x4e, 0x6f, 0x64, 0x65, 0xdb, 0xff, 0xff, 0xff, 0xff), // a name of 4 GiB
      Buffer.of(0x00, 0x81, 0xa5, 0x53, 0x65, 0x71, 0x4e, 0x6f, 0xff), // seqNo -1
      Buffer.of(0x63),
      Buffer.of(0x0c, 1, 2, 3, 4, 0x00),
      Buffer.of(0xf4, 0x05, 0x67),
      Buffer.alloc(0),
    );
    const counted = ['truncated', 'out_of_range', 'unknown_type', 'crc_mismatch', 'label_malformed', 'empty'];
    expect(counted.map((code) => [code, drops(code)])).toEqual([
      ['truncated', 3],
      ['out_of_range', 1],
      ['unknown_type', 1],
      ['crc_mismatch', 1],
      ['label_malformed', 1],
      ['empty', 1],
    ]);
    await unharmed();
  });

  test('members made of nonsense do not enter', async () => {
    await attack(
      alive('short', { addr: Uint8Array.of(1) }),
      alive('long', { addr: new Uint8Array(60) }),
      alive('backwards', { vsn: Uint8Array.of(5, 1, 2, 0, 0, 0) }),
      alive('b', { incarnation: 1_000 }), // b lives elsewhere: a conflict, not a move
    );
    expect([drops('bad_address'), drops('bad_versions')]).toEqual([2, 1]);
    expect(cluster.logged.get('conflict')).toBe(1);
    expect(
      victim()
        .all()
        .map(({ name }) => name)
        .sort(),
    ).toEqual(names);
    await unharmed();
  });

  test('names and metas longer than any member has do not enter, neither as its own nor as an accuser', async () => {
    const before = liveBytes();
    const long = 'x'.repeat(60_000);
    for (let i = 0; i < 300; i++)
      await attack(alive(`${i}${long}`), alive(`${i}`, { meta: Buffer.from(long) }));
    await attack(encodeMessage({ kind: 'suspect', incarnation: 1, node: 'b', from: long }));
    await attack(encodeMessage({ kind: 'dead', incarnation: 1, node: 'b', from: long }));
    expect(drops('too_long')).toBe(602);
    expect(victim().numEstimated).toBe(names.length);
    expect(liveBytes() - before).toBeLessThan(keptBytesMax);
    await unharmed();
  });

  test('more news than the inbox holds are dropped, the ping behind them is answered', async () => {
    const said = encodeMessage({ kind: 'user', payload: Buffer.from('!') });
    const shout = encodeCompound(Array.from({ length: 127 }, () => said));
    await attack(encodeCompound([...Array.from({ length: 20 }, () => shout), ping]));
    expect(drops('inbox_full')).toBe(20 * 127 - cluster.config.handoffQueueDepth);
    expect(overheard.length).toBe(1);
    await unharmed();
  });

  test('favours asked of us end at 4096 at a time', async () => {
    const before = liveBytes();
    const favours = Array.from({ length: 6_000 }, (_, seqNo) =>
      encodeMessage({
        kind: 'indirectPing',
        seqNo,
        target: Uint8Array.of(10, 7, 7, 7),
        port: 1,
        node: 'x',
        nack: false,
      }),
    );
    for (let i = 0; i < favours.length; i += 100)
      stranger.sendPacket(at('a'), encodeCompound(favours.slice(i, i + 100)));
    await cluster.clock.run(10);
    expect(drops('relays_full')).toBe(6_000 - 4_096);
    await cluster.clock.run(1_000);
    expect(liveBytes() - before).toBeLessThan(keptBytesMax);
    await unharmed();
  });

  test('every prefix of a good packet, and every packet with one bit turned', async () => {
    const packet = compressing.seal([ping, alive('b'), alive('c'), alive('b'), alive('c')], { crc: true });
    const spoiled: Uint8Array[] = [];
    for (let end = 0; end < packet.length; end++) spoiled.push(packet.slice(0, end));
    for (let bit = 0; bit < 8 * packet.length; bit++) {
      const turned = Uint8Array.from(packet);
      turned[bit >> 3]! ^= 1 << (bit & 7);
      spoiled.push(turned);
    }
    await attack(...spoiled);
    const counted = Object.values(victim().stats().drops).reduce((sum, n) => sum + n, 0);
    expect(counted).toBeGreaterThanOrEqual(spoiled.length - 16); // of the type byte some turns are other types
    await unharmed();
  });
});

describe('lies and replays', () => {
  test('slander is refuted each time, and the slandered stay', async () => {
    for (let round = 0; round < 20; round++)
      await attack(
        encodeMessage({ kind: 'suspect', incarnation: 1, node: 'a', from: `x${round}` }),
        encodeMessage({ kind: 'suspect', incarnation: 1, node: 'b', from: 'b' }),
        encodeMessage({ kind: 'dead', incarnation: 1, node: 'c', from: 'x' }),
      );
    await unharmed();
  });

  test('what was said once means nothing the second time, with keys or without', async () => {
    await cluster[Symbol.asyncDispose]();
    await begin({ key: new Uint8Array(16).fill(7) });
    // One of them is tricked into talking to the stranger: a name at its address, sealed by nobody but a real member.
    cluster.get('b').sendBestEffort({ ...here, name: 'x' }, Buffer.from('to you alone'));
    await cluster.clock.run(100);
    const [recorded] = overheard;
    const heard = victim().stats().packetsIn;
    await attack(...Array.from({ length: 1_000 }, () => recorded!));
    expect(victim().stats().packetsIn - heard).toBeGreaterThanOrEqual(1_000);
    expect(
      victim()
        .members()
        .map(({ name }) => name)
        .sort(),
    ).toEqual(names);

    // Without the key nothing can be made anew, nor an old packet changed.
    const changed = Uint8Array.from(recorded!);
    changed[changed.length - 1]! ^= 1;
    await attack(changed, ping, alive('evil'));
    expect(drops('undecryptable') + drops('encryption_version') + drops('encryption_too_short')).toBe(3);
    await unharmed();
  });

  test('an old alive said again does not bring an old meta back', async () => {
    let meta: Uint8Array = Buffer.from('old');
    const d = await cluster.start('d', { meta: () => meta });
    await cluster.clock.until(d.join([cluster.addressOf('a')]));
    const { incarnation, addr, port } = d.local();
    const old = alive('d', { incarnation, addr, port, meta });
    meta = Buffer.from('new');
    await cluster.clock.until(d.updateMeta());
    for (let i = 0; i < 100; i++) await attack(old);
    expect(Buffer.from(victim().member('d')!.meta).toString()).toBe('new');
    await unharmed();
  });
});

describe('streams', () => {
  async function say(bytes: Uint8Array): Promise<void> {
    const stream = await cluster.clock.until(stranger.dialStream(at('a'), { timeoutMs: 1_000 }));
    stream.resume();
    stream.write(bytes);
    await cluster.clock.run(100);
  }

  test('a bomb of 48 MiB goes off at 40, and what it took is given back', async () => {
    const bomb = compressing.seal([Buffer.alloc(48 * 1024 * 1024)], { crc: false });
    expect(bomb.length).toBeLessThan(128 * 1024);
    const before = liveBytes();
    await say(bomb);
    expect(drops('compression_too_large')).toBe(1);
    await cluster.clock.run(30_000);
    expect(liveBytes() - before).toBeLessThan(keptBytesMax);
    await unharmed();
  });

  test('a push/pull that announces millions is refused before it arrives', async () => {
    const table = Buffer.from(encodePushPull({ join: true, nodes: [], userState: none }));
    const lie = Buffer.from(
      table.toString('latin1').replace('\xa5Nodes\x00', '\xa5Nodes\xce\xff\xff\xff\xff'),
      'latin1',
    );
    expect(lie.length).toBeGreaterThan(table.length);
    await say(lie);
    expect(drops('too_large') + drops('out_of_range')).toBe(1);
    await unharmed();
  });

  test('who opens a thousand and says nothing occupies 512, until the timeout', async () => {
    for (let i = 0; i < 1_000; i++)
      void stranger.dialStream(at('a'), { timeoutMs: 5_000 }).then((stream) => stream.write(Buffer.of(6)));
    await cluster.clock.run(1_000);
    expect(drops('streams_full')).toBe(1_000 - 512);
    await cluster.clock.run(2 * cluster.config.tcpTimeoutMs);
    await unharmed();
  });
});
