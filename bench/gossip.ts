/**
 * gossip.ts: @fed/memberlist beside hashicorp/memberlist, given the same bytes in the same run, each on one core.
 *
 * Messages are encoded and decoded one by one; packets are fed to a member of a cluster of 100 and of 1,000 and answered,
 * in the clear and encrypted; members that have nothing to do, with a serf on top and without, are left alone all at the
 * same time, and the processor time they take is added up. Goals: messages decoded per second at least Go's; idle processor time at most 1.5 times Go's. Without Go our own
 * numbers are printed and the comparison is skipped, loudly.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { Keyring, lan } from '@fed/memberlist';
import { createPacketCodec, encodeMessage, type Message } from '@fed/memberlist/internals';
import { buildGo } from './lib/go-gossip.ts';
import type { CodecAnswer, IdleAnswer, PacketsAnswer, Request } from './lib/gossip-load.ts';
import { printTable, round } from './lib/measure.ts';

const idleMembers = 32;
const idleSeconds = 20;
const idleRounds = 3;
const idleGoal = 1.5;
const key = '000102030405060708090a0b0c0d0e0f';

const addr = Uint8Array.of(10, 0, 0, 2);
const vsn = Uint8Array.of(1, 5, 2, 0, 0, 0);
/** As long as the tags of a Consul server. */
const meta = Uint8Array.from({ length: 180 }, (_, i) => 97 + ((i * i + 3 * i) % 26));
const source = { sourceAddr: addr, sourcePort: 7946, sourceNode: 'n0' };
const messages: readonly Message[] = [
  { kind: 'ping', seqNo: 70_000, node: 'bench', ...source },
  { kind: 'indirectPing', seqNo: 70_000, target: addr, port: 7946, node: 'node-1', nack: true, ...source },
  { kind: 'ack', seqNo: 70_000, payload: new Uint8Array(130).fill(1) },
  { kind: 'nack', seqNo: 70_000 },
  { kind: 'suspect', incarnation: 7, node: 'node-1', from: 'node-2' },
  { kind: 'dead', incarnation: 7, node: 'node-1', from: 'node-2' },
  { kind: 'alive', incarnation: 7, node: 'node-1', addr, port: 7946, meta, vsn },
];

const folder = mkdtempSync(join(tmpdir(), 'fed-bench-'));
try {
  const goPath = built('memberlist');
  const goSerfPath = built('serf');

  const codec = await both<Record<string, CodecAnswer>>(goPath, {
    do: 'codec',
    ms: 400,
    messages: Object.fromEntries(
      messages.map((m) => [m.kind, Buffer.from(encodeMessage(m)).toString('hex')]),
    ),
  });
  const table: string[][] = [['messages/s, bytes allocated each', 'ours', 'Go', 'ours : Go']];
  for (const { kind } of messages) {
    const ours = codec.ours[kind]!;
    const theirs = codec.theirs?.[kind];
    table.push(
      row(
        `decode ${kind}`,
        ours.decodePerSecond,
        ours.decodeBytes,
        theirs?.decodePerSecond,
        theirs?.decodeBytes,
      ),
      row(
        `encode ${kind}`,
        ours.encodePerSecond,
        ours.encodeBytes,
        theirs?.encodePerSecond,
        theirs?.encodeBytes,
      ),
    );
  }
  printTable(table);

  const packets: Record<string, { ours: PacketsAnswer; theirs: PacketsAnswer | undefined }> = {};
  const packetTable: string[][] = [
    ['packets/s on one core, bytes allocated each', 'ours', 'Go', 'ours : Go'],
  ];
  for (const members of [100, 1000])
    for (const secret of ['', key]) {
      const name = `${members} members, ${secret === '' ? 'in the clear' : 'encrypted'}`;
      const both_ = await both<PacketsAnswer>(goPath, packetsFor(members, secret));
      packets[name] = both_;
      const { ours, theirs } = both_;
      packetTable.push(
        row(
          `${name}: in, each answered`,
          ours.inPerSecond,
          ours.inBytes,
          theirs?.inPerSecond,
          theirs?.inBytes,
        ),
        row(`${name}: out`, ours.outPerSecond, ours.outBytes, theirs?.outPerSecond, theirs?.outBytes),
      );
    }
  printTable(packetTable);

  const idle = Object.fromEntries(
    await Promise.all(
      [
        { name: 'memberlist', serf: false, path: goPath },
        { name: 'serf', serf: true, path: goSerfPath },
      ].map(async ({ name, serf, path }) => {
        const request: Request = {
          do: 'idle',
          members: idleMembers,
          seconds: idleSeconds,
          rounds: idleRounds,
          serf,
        };
        const [ours, theirs] = await Promise.all([
          askOurs<IdleAnswer>(request),
          askGo<IdleAnswer>(path, request),
        ]);
        return [name, { ours: perHour(ours), theirs: theirs && perHour(theirs) }] as const;
      }),
    ),
  );
  printTable([
    ['processor seconds per idle member-hour (least to most)', 'ours', 'Go', 'ours : Go'],
    ...Object.entries(idle).map(([name, { ours, theirs }]) => [
      `${idleMembers} members of ${name} in one process, UDP, lan profile`,
      ours.shown,
      theirs?.shown ?? 'skipped',
      theirs === undefined ? '' : (ours.mean / theirs.mean).toFixed(2),
    ]),
  ]);

  const decodeRatios = messages.flatMap(({ kind }) => {
    const theirs = codec.theirs?.[kind];
    return theirs === undefined ? [] : [codec.ours[kind]!.decodePerSecond / theirs.decodePerSecond];
  });
  const idleRatios = Object.values(idle).flatMap(({ ours, theirs }) =>
    theirs === undefined ? [] : [ours.mean / theirs.mean],
  );
  const slowestDecode = round(Math.min(...decodeRatios));
  const idleRatio = round(Math.max(...idleRatios));
  const goals =
    goPath === undefined || goSerfPath === undefined
      ? 'skipped: no Go'
      : { decodeAtLeastGo: slowestDecode >= 1, slowestDecode, idleWithin: idleRatio <= idleGoal, idleRatio };
  console.log(JSON.stringify({ benchmark: 'gossip', codec, packets, idle, goals }));
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** Pings with stale news of four members each, as a cluster that has settled sends them. */
function packetsFor(members: number, secret: string): Request {
  const codec = createPacketCodec({
    randomBytes: (n) => crypto.getRandomValues(new Uint8Array(n)),
    ...(secret !== '' && { keyring: new Keyring([], Buffer.from(secret, 'hex')) }),
    udpBufferBytes: lan.udpBufferBytes,
  });
  const alive = (i: number): Uint8Array =>
    encodeMessage({
      kind: 'alive',
      incarnation: 1,
      node: `n${i % members}`,
      addr: Uint8Array.of(10, 0, (i % members) >> 8, 2 + (i % members)),
      port: 7946,
      meta,
      vsn,
    });
  const hex = (parts: readonly Uint8Array[]): string =>
    Buffer.from(codec.seal(parts, { crc: false })).toString('hex');
  const news = (from: number): Uint8Array[] => [0, 1, 2, 3].map((i) => alive(from + i));
  return {
    do: 'packets',
    members,
    key: secret,
    fill: Array.from({ length: Math.ceil(members / 4) }, (_, i) => hex(news(4 * i))),
    warm: 8 * members + 5_000, // until nothing is left to tell
    count: 30_000,
    packets: Array.from({ length: 250 }, (_, i) => {
      const ping = encodeMessage({ kind: 'ping', seqNo: i, node: 'bench', ...source });
      return hex([ping, ...news(37 * i)]);
    }),
    payload: 400,
  };
}

interface PerHour {
  readonly mean: number;
  readonly shown: string;
}

function perHour({ cpuSeconds }: IdleAnswer): PerHour {
  const rounds = cpuSeconds.map((seconds) => (seconds / idleMembers / idleSeconds) * 3600);
  const mean = round(rounds.reduce((sum, seconds) => sum + seconds, 0) / rounds.length);
  return { mean, shown: `${mean} (${round(Math.min(...rounds))} to ${round(Math.max(...rounds))})` };
}

function built(library: 'memberlist' | 'serf'): string | undefined {
  const go = buildGo(library, folder);
  if ('path' in go) return go.path;
  console.error(`\n${'='.repeat(80)}\nGO SKIPPED (${library}): ${go.missing}\n${'='.repeat(80)}\n`);
  return undefined;
}

async function both<A>(
  go: string | undefined,
  request: Request,
): Promise<{ ours: A; theirs: A | undefined }> {
  return { ours: await askOurs<A>(request), theirs: await askGo<A>(go, request) };
}

async function askOurs<A>(request: Request): Promise<A> {
  const load = fileURLToPath(new URL('./lib/gossip-load.ts', import.meta.url));
  const flags = [
    '--conditions=@fed/source',
    '--disable-warning=ExperimentalWarning',
    // An idle process is measured as it is; where bytes are counted, nothing may be collected meanwhile.
    ...(request.do === 'idle' ? [] : ['--max-semi-space-size=128', '--expose-gc']),
  ];
  return ask<A>(process.execPath, [...flags, load], request);
}

async function askGo<A>(path: string | undefined, request: Request): Promise<A | undefined> {
  return path === undefined ? undefined : ask<A>(path, [], request);
}

async function ask<A>(program: string, args: readonly string[], request: Request): Promise<A> {
  const child = spawn(program, args, {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, GOMAXPROCS: '1' },
  });
  const exited = once(child, 'exit');
  child.stdin.end(JSON.stringify(request));
  const answer = await text(child.stdout);
  const [code] = (await exited) as [number | null];
  if (code !== 0) throw new Error(`${program} ended with ${code}`);
  return JSON.parse(answer) as A;
}

function row(name: string, ours: number, oursBytes: number, theirs?: number, theirsBytes?: number): string[] {
  const shown = (perSecond: number, bytes: number): string =>
    `${Math.round(perSecond).toLocaleString('en')} (${Math.round(bytes)} B)`;
  return [
    name,
    shown(ours, oursBytes),
    theirs === undefined ? 'skipped' : shown(theirs, theirsBytes ?? 0),
    theirs === undefined ? '' : (ours / theirs).toFixed(2),
  ];
}
