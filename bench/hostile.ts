/**
 * hostile.ts: whether clients of a server notice who else is at its port: their p99 with and without each kind of attack.
 *
 * Eight clients ask a steady question, whatever the answers take; meanwhile another process visits the port at a stated rate.
 * Two seconds with, two without, of all kinds in random order, again and again, so that the machine's moods fall on all alike.
 * Windows without are compared with each other, too: that is the noise, and where it may be more than a quarter, nothing is
 * decided. p50 and p99 are those of a quiet half second, the one that a quarter are better than: an attack goes on in every half second,
 * the work of neighbours only makes some worse; beside them p99 of all calls together. Intervals are a bootstrap over half
 * seconds. The server has a core of its own; attackers share the clients' one, and yield to them: what they cost themselves is not
 * our matter. Both go before other programs of the machine, if we may. Ends with 1 if an attack surely costs others more than a tenth, or one of the attackers shows in no counter.
 */
import { rmSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { alpn, dialAlpn, TlsIdentity } from '@fed/alpn-mux';
import { openRpcPool, type RpcPool } from '@fed/rpc';
import { temporaryFolder } from '@fed/tooling/federation';
import { type AgentProcess, openOurs } from './lib/agents.ts';
import { type Attacker, openAttacker } from './lib/attacker.ts';
import { cpuSeconds, openFilesMax, pin, prefer } from './lib/cpu.ts';
import { doorAt, doorCredentials, oldCa } from './lib/door-credentials.ts';
import { printTable } from './lib/measure.ts';
import { type Block, block, dice, pooled, quiet, type Ratio, ratio, shown } from './lib/paired.ts';
import { type Door, strangersAt } from './lib/strangers.ts';

const host = '127.0.0.1';
const clients = 8;
/** On average; the moments are random, so that they do not fall in step with the attacker's. */
const betweenMs = 4;
const windowMs = 2_000;
const warmMs = 10_000;
const blockMs = 500;
const rounds = Number(process.env['ROUNDS'] ?? 6);
/** A second, from one address: ten times what a well-behaved server does in its worst minute. */
const strangersPerSecond = 100;
/** Who is answered is no attacker, and each of these costs a whole handshake: one who asks each second on a new connection. */
const answeredPerSecond = 1;
/** The attacker holds one end, the server the other, each in a process with the same limit. */
const idleMax = Math.min(10_000, 100 * Math.floor((openFilesMax(32_768) * 0.8) / 100));
const idleWindows = 6;
const silenceTries = 5;
/** Counters of those who were sent away, before or after they were let in. */
const offences: ReadonlySet<string> = new Set([
  'fed.door.refused',
  'fed.rpc.server.peer_faults',
  'fed.rpc.server.calls_refused',
]);
const [quietP50, quietP99, allP99] = [quiet(0.5), quiet(0.99), pooled(0.99)];
const toleratedRatio = 1.1;
const toleratedNoise = 1.25;
/** `attacks`, `idle`, or a part of an attack's name: nothing else. */
const { ONLY: only = '' } = process.env;
const seed = Number(process.env['SEED'] ?? 1);

const folder = temporaryFolder('fed-bench-hostile');
try {
  const credentials = await doorCredentials(await oldCa(folder));
  await using server = await openOurs(folder);
  await using attacker = await openAttacker(server.serverPort, credentials);
  const { ca, own: good } = credentials;
  const identity = new TlsIdentity({ ca: [ca], cert: good.certificate, key: good.key });
  await using pools = new AsyncDisposableStack();
  const ask = Array.from({ length: clients }, () => asking(pools.use(open(server.serverPort, identity))));
  await Promise.all(ask.map((one) => one()));
  prefer(attacker.pid, 'after');
  const first = prefer(server.pid, 'before') && prefer(process.pid, 'before');
  const own = (pid: number, core: number): boolean => pin(pid, core, 'main'); // who collects garbage beside it may go elsewhere
  const apart = [own(server.pid, 0), own(attacker.pid, 1), own(process.pid, 1)].every(Boolean); // ourselves last: it counts cores
  console.log(
    `windows of ${windowMs / 1000} s, ${rounds} of each attack; seed ${seed}; ` +
      `cores of their own: ${apart ? 'yes' : 'no'}; before others on the machine: ${first ? 'yes' : 'no'}`,
  );
  await load(ask, warmMs); // what is compiled late is compiled now

  const rows =
    only === 'idle'
      ? []
      : await attacked({ server, attacker, door: doorAt(server.serverPort, credentials), ask });
  if (only === '' || only === 'idle') rows.push(...(await crowded(attacker, ask)));
  console.log(JSON.stringify({ benchmark: 'hostile', rounds, windowMs, seed, apart, rows }));
  if (rows.some((row) => row.includes('NO'))) process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

type Ask = readonly (() => Promise<unknown>)[];

/** A table of what others notice of each kind of attack; `NO` where it is too much. */
async function attacked(o: {
  readonly server: AgentProcess;
  readonly attacker: Attacker;
  readonly door: Door;
  readonly ask: Ask;
}): Promise<string[][]> {
  const { server, attacker, ask } = o;
  const kinds = await strangersAt(o.door);
  const attacks = [
    ...kinds.map(({ what, answered, counter: [name] }, stranger) => ({
      what,
      stranger,
      from: `127.0.1.${stranger + 1}`,
      perSecond: answered ? answeredPerSecond : strangersPerSecond,
      counted: name !== 'rpc.server.calls', // which counts everybody
    })),
    // Nobody is turned away there: it might be a gateway's.
    {
      what: 'a certificate of another CA, from the address of good clients',
      stranger: kinds.findIndex(({ counter: [, code] }) => code === 'certificate_untrusted'),
      from: host,
      perSecond: answeredPerSecond,
      counted: true,
    },
  ]
    .filter(({ what }) => only === 'attacks' || what.includes(only))
    .map((attack) => ({ ...attack, blocks: [] as Block[], came: 0, cpu: 0 }));
  const refusedBefore = await refused(server);
  const controls: Block[][] = [];
  const below = dice(seed);
  let controlCpu = 0;

  for (let round = 0; round < rounds; round++)
    for (const attack of shuffled(attacks, below)) {
      const before = cpuSeconds(server.pid);
      controls.push(await load(ask, windowMs));
      controlCpu += cpuSeconds(server.pid) - before;
      const { stranger, from, perSecond } = attack;
      const used = cpuSeconds(server.pid);
      const coming = attacker.attack({ stranger, from, perSecond, ms: windowMs });
      attack.blocks.push(...(await load(ask, windowMs)));
      attack.came += await coming;
      attack.cpu += cpuSeconds(server.pid) - used;
    }
  const strange = attacks.filter(({ counted }) => counted).reduce((sum, { came }) => sum + came, 0);
  let counted = 0;
  for (let tries = 0; tries < silenceTries && counted !== strange; tries++) {
    await pause(windowMs); // silence ends after five seconds
    counted = (await refused(server)) - refusedBefore;
  }
  const without = controls.flat();
  const noise = noiseOf(controls, below);
  const perControl = controlCpu / controls.length;
  const rows: string[][] = [
    [
      'attack',
      'a second',
      'others, ms: p50 / p99 / p99 of all',
      'p99: ratio (95 %)',
      'p99 of all: ratio (95 %)',
      'within 10 %',
      'server CPU each, us',
    ],
    ['none', '', times(without), '', '', '', ''],
    ['none, against none', '', '', ...noise.map(shown), '', ''],
    ...attacks.map(({ what, blocks, came, cpu }) => [
      what,
      (came / ((rounds * windowMs) / 1000)).toFixed(0),
      times(blocks),
      ...judged(blocks, without, noise, below),
      (((cpu - rounds * perControl) / came) * 1e6).toFixed(0),
    ]),
  ];
  printTable(rows);
  console.log(`${strange} strangers came, ${counted} were counted`);
  if (counted !== strange) process.exitCode = 1;
  return rows;
}

/** The same for a crowd that does nothing. On, off, on, off: connecting so many takes long. */
async function crowded(attacker: Attacker, ask: Ask): Promise<string[][]> {
  const [on, off]: [Block[], Block[][]] = [[], []];
  let open = 0;
  for (let turn = 0; turn < 2; turn++) {
    open = await attacker.hold(idleMax);
    for (let n = 0; n < idleWindows; n++) on.push(...(await load(ask, windowMs)));
    await attacker.hold(0);
    await pause(windowMs); // they are forgotten
    for (let n = 0; n < idleWindows; n++) off.push(await load(ask, windowMs));
  }
  const below = dice(seed);
  const noise = noiseOf(off, below);
  const rows = [
    ['without them', times(off.flat()), '', '', ''],
    ['without, against without', '', ...noise.map(shown), ''],
    [`${open} idle connections, certified`, times(on), ...judged(on, off.flat(), noise, below)],
  ];
  printTable(rows);
  return rows;
}

interface Metrics {
  readonly Counters: readonly {
    readonly Name: string;
    readonly Sum: number;
    readonly Labels?: { readonly code?: string };
  }[];
}

/** Everybody who was sent away so far, before or after he was let in. */
async function refused({ url }: AgentProcess): Promise<number> {
  const answer = (await (await fetch(`${url}/v1/agent/metrics`)).json()) as Metrics;
  const theirs = answer.Counters.filter(
    ({ Name, Labels }) =>
      offences.has(Name) || (Name === 'fed.rpc.server.ended' && Labels?.code === 'peer_protocol'),
  );
  return theirs.reduce((sum, { Sum }) => sum + Sum, 0);
}

function times(blocks: readonly Block[]): string {
  return [quietP50, quietP99, allP99].map((measure) => measure(blocks).toFixed(3)).join(' / ');
}

function ratios(
  with_: readonly Block[],
  against: readonly Block[],
  below: (n: number) => number,
): [Ratio, Ratio] {
  return [ratio(with_, against, quietP99, below), ratio(with_, against, allP99, below)];
}

/** Every other window without attacks, against the rest of them. */
function noiseOf(windows: readonly Block[][], below: (n: number) => number): [Ratio, Ratio] {
  const half = (which: number): Block[] => windows.filter((_, n) => n % 2 === which).flat();
  return ratios(half(0), half(1), below);
}

function judged(
  with_: readonly Block[],
  against: readonly Block[],
  [noise]: readonly [Ratio, Ratio],
  below: (n: number) => number,
): string[] {
  const found = ratios(with_, against, below);
  const quietEnough = noise.low >= 1 / toleratedNoise && noise.high <= toleratedNoise;
  return [...found.map(shown), quietEnough ? verdict(found[0]) : 'not decided'];
}

function verdict({ low, high }: { readonly low: number; readonly high: number }): string {
  return high <= toleratedRatio ? 'yes' : low > toleratedRatio ? 'NO' : 'not decided';
}

function open(port: number, tls: TlsIdentity): RpcPool {
  return openRpcPool({
    dial: (_target, signal) =>
      dialAlpn({ via: { host, port }, sni: 'server.dc1.consul', alpn: alpn.rpcMulti, tls, signal }),
  });
}

function asking(pool: RpcPool): () => Promise<unknown> {
  const target = { datacenter: 'dc1', node: 'n1', address: { host, port: 0 } };
  return () => pool.call(target, 'Status.Ping', {}, { timeoutMs: 30_000 });
}

/** Everybody asks at random moments; latencies by block of time. */
async function load(ask: Ask, ms: number): Promise<Block[]> {
  const took: number[][] = Array.from({ length: Math.ceil(ms / blockMs) }, () => []);
  const began = performance.now();
  const answered: Promise<void>[] = [];
  await Promise.all(
    ask.map(async (one) => {
      for (;;) {
        await pause(Math.max(1, -Math.log(1 - Math.random()) * betweenMs));
        const now = performance.now();
        const into = took[Math.floor((now - began) / blockMs)];
        if (into === undefined) return;
        answered.push(
          one().then(() => {
            into.push(performance.now() - now);
          }),
        );
      }
    }),
  );
  await Promise.all(answered);
  return took.map(block);
}

function shuffled<T>(items: readonly T[], below: (n: number) => number): T[] {
  const out = [...items];
  for (let at = out.length - 1; at > 0; at--) {
    const other = below(at + 1);
    [out[at], out[other]] = [out[other] as T, out[at] as T];
  }
  return out;
}
