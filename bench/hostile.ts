/**
 * hostile.ts: whether clients of a server notice who else is at its port: their p99 with and without each kind of attack.
 *
 * A reader asks a thousand times a second, whether he is answered or not; meanwhile another process visits the server's port at a
 * stated rate. Four seconds with, after four without, of all kinds in random order, again and again, so that the machine's moods
 * fall on all alike; windows.ts says what is compared. The server's main thread has a core of its own; attackers share the reader's
 * one, and yield to him at once: what they cost themselves is not our matter. Ends with 1 if an attack surely costs others more than
 * a tenth, or one of the attackers shows in no counter.
 */
import { rmSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { alpn, dialAlpn, TlsIdentity } from '@fed/alpn-mux';
import { openRpcPool } from '@fed/rpc';
import { temporaryFolder } from '@fed/tooling/federation';
import { type AgentProcess, openOurs } from './lib/agents.ts';
import { type Attacker, openAttacker } from './lib/attacker.ts';
import { openFilesMax, pin, prefer } from './lib/cpu.ts';
import { type DoorCredentials, doorAt, doorCredentials, oldCa } from './lib/door-credentials.ts';
import { HttpReader } from './lib/http-load.ts';
import { type Latencies, printTable, turns } from './lib/measure.ts';
import { openPacedReader } from './lib/paced-reader.ts';
import { dice } from './lib/paired.ts';
import { type Door, strangersAt } from './lib/strangers.ts';
import { Judge, times } from './lib/windows.ts';

const host = '127.0.0.1';
const path = '/v1/catalog/nodes';
const readEveryMs = 1;
const windowMs = 4_000;
/** What is compiled late is compiled now. */
const warmReaders = 8;
const warmSeconds = 10;
const warmWindows = 4;
const rounds = Number(process.env['ROUNDS'] ?? 6);
/** A second, from one address: ten times what a well-behaved server does in its worst minute. */
const strangersPerSecond = 100;
/**
 * Who is let in, for he is no attacker or may be a gateway's client: each costs a handshake of about a millisecond, friend or foe, and
 * ten a second of whomever double a p99 of half a millisecond.
 */
const letInPerSecond = 1;
/** Before a window: whoever begins to fail is let in ten times at once, and then once a second, and it is those that come for good. */
const leadMs = 1_000;
/** The attacker holds one end, the server the other, each in a process with the same limit. */
const idleMax = Math.min(10_000, 100 * Math.floor((openFilesMax(32_768) * 0.8) / 100));
const idleWindows = 10;
const silenceTries = 5;
/** Counters of those who were sent away, before or after they were let in. */
const offences: ReadonlySet<string> = new Set([
  'fed.door.refused',
  'fed.rpc.server.peer_faults',
  'fed.rpc.server.calls_refused',
]);
/** `attacks`, `idle`, or a part of an attack's name: nothing else. */
const { ONLY: only = '' } = process.env;
const seed = Number(process.env['SEED'] ?? 1);

const folder = temporaryFolder('fed-bench-hostile');
try {
  const credentials = await doorCredentials(await oldCa(folder));
  await using server = await openOurs(folder);
  await using attacker = await openAttacker(server.serverPort, credentials);
  await using good = goodClient(server.serverPort, credentials);
  await good.ask();
  await using reader = openPacedReader(server.url + path);
  const apart = pin(server.pid, 0, 'main') && pin(attacker.pid, 1) && pin(reader.pid, 1);
  await warm(new URL(server.url + path));
  const first = prefer(server.pid, 'before') && prefer(reader.pid, 'before') && prefer(attacker.pid, 'after');
  console.log(
    `windows of ${windowMs / 1_000} s, ${rounds} of each attack; seed ${seed}; ` +
      `cores of their own: ${apart ? 'yes' : 'no'}; before others on the machine: ${first ? 'yes' : 'no'}`,
  );
  const load = (): Promise<Latencies> => reader.read({ everyMs: readEveryMs, ms: windowMs });
  for (let n = 0; n < warmWindows; n++) await reader.read({ everyMs: readEveryMs / 2, ms: windowMs });

  const door = doorAt(server.serverPort, credentials);
  const rows = only === 'idle' ? [] : await attacked({ server, attacker, door, load });
  if (only === '' || only === 'idle') rows.push(...(await crowded(attacker, load)));
  console.log(JSON.stringify({ benchmark: 'hostile', rounds, windowMs, seed, apart, rows }));
  if (rows.some((row) => row.includes('NO'))) process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

type Load = () => Promise<Latencies>;

/** A table of what others notice of each kind of attack; `NO` where it is too much. */
async function attacked(o: {
  readonly server: AgentProcess;
  readonly attacker: Attacker;
  readonly door: Door;
  readonly load: Load;
}): Promise<string[][]> {
  const { server, attacker, load } = o;
  const kinds = await strangersAt(o.door);
  const attacks = [
    ...kinds.map(({ what, answered, counter: [name] }, stranger) => ({
      what,
      stranger,
      from: `127.0.1.${stranger + 1}`,
      perSecond: answered ? letInPerSecond : strangersPerSecond,
      counted: name !== 'rpc.server.calls', // which counts everybody
    })),
    // Nobody is turned away there: it might be a gateway's.
    {
      what: 'a certificate of another CA, from the address of good clients',
      stranger: kinds.findIndex(({ counter: [, code] }) => code === 'certificate_untrusted'),
      from: host,
      perSecond: letInPerSecond,
      counted: true,
    },
  ]
    .filter(({ what }) => only === 'attacks' || what.includes(only))
    .map((attack) => ({ ...attack, windows: [] as Latencies[], came: 0 }));
  for (const { stranger, from, perSecond } of attacks)
    await attacker.attack({ stranger, from, perSecond, ms: windowMs / 4 });
  await pause(windowMs * 1.5); // who said nothing is sent away by now
  const refusedBefore = await refused(server);
  const controls: Latencies[] = [];
  const below = dice(seed);
  for (let round = 0; round < rounds; round++)
    for (const attack of shuffled(attacks, below)) {
      const { stranger, from, perSecond } = attack;
      const visited = async (perSecond: number): Promise<{ window: Latencies; came: number }> => {
        const coming = attacker.attack({ stranger, from, perSecond, ms: leadMs + windowMs });
        await pause(leadMs);
        return { window: await load(), came: await coming };
      };
      controls.push((await visited(0)).window); // nobody comes, but the process is awake as otherwise
      const { window, came } = await visited(perSecond);
      attack.windows.push(window);
      attack.came += came;
    }
  const strange = attacks.filter(({ counted }) => counted).reduce((sum, { came }) => sum + came, 0);
  let counted = 0;
  for (let tries = 0; tries < silenceTries && counted !== strange; tries++) {
    await pause(windowMs); // silence ends after five seconds
    counted = (await refused(server)) - refusedBefore;
  }
  const judge = new Judge(controls, below);
  const rows: string[][] = [
    ['attack', 'a second', 'others: p50 / p99, ms', 'p99: ratio (95 %)', 'within 10 %', 'p50: ratio (95 %)'],
    ['none', '', times(controls), '', '', ''],
    ['none, against none', '', '', judge.noise, '', ''],
    ...attacks.map(({ what, windows, came }) => [
      what,
      (came / (rounds * (leadMs + windowMs) * 1e-3)).toFixed(0),
      ...judge.cells(windows),
    ]),
  ];
  if (attacks.length > 1)
    rows.push(['any of them', '', ...judge.cells(attacks.flatMap(({ windows }) => windows))]);
  printTable(rows);
  console.log(`${strange} strangers came, ${counted} were counted`);
  if (counted !== strange) process.exitCode = 1;
  return rows;
}

/** The same for a crowd that does nothing. On, off, on, off: connecting so many takes long. */
async function crowded(attacker: Attacker, load: Load): Promise<string[][]> {
  const [on, off]: [Latencies[], Latencies[]] = [[], []];
  let open = 0;
  for (let turn = 0; turn < 2; turn++) {
    open = await attacker.hold(idleMax);
    for (let n = 0; n < idleWindows; n++) on.push(await load());
    await attacker.hold(0);
    await pause(windowMs); // they are forgotten
    for (let n = 0; n < idleWindows; n++) off.push(await load());
  }
  const judge = new Judge(off, dice(seed));
  const rows = [
    ['without them', times(off), '', '', ''],
    ['without, against without', '', judge.noise, '', ''],
    [`${open} idle connections, certified`, ...judge.cells(on)],
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

async function warm(url: URL): Promise<void> {
  using readers = new DisposableStack();
  const free = Array.from({ length: warmReaders }, () => readers.use(new HttpReader(url)));
  await turns(warmSeconds, warmReaders, async () => {
    const reader = free.pop() as HttpReader;
    await reader.turn();
    free.push(reader);
  });
}

/** Somebody with a certificate whose calls are answered, from the readers' address. */
function goodClient(
  port: number,
  { ca, own }: DoorCredentials,
): AsyncDisposable & { ask(): Promise<unknown> } {
  const tls = new TlsIdentity({ ca: [ca], cert: own.certificate, key: own.key });
  const pool = openRpcPool({
    dial: (_target, signal) =>
      dialAlpn({ via: { host, port }, sni: 'server.dc1.consul', alpn: alpn.rpcMulti, tls, signal }),
  });
  const target = { datacenter: 'dc1', node: 'n1', address: { host, port } };
  return {
    ask: () => pool.call(target, 'Status.Ping', {}, { timeoutMs: 30_000 }),
    [Symbol.asyncDispose]: () => pool[Symbol.asyncDispose](),
  };
}

function shuffled<T>(items: readonly T[], below: (n: number) => number): T[] {
  const out = [...items];
  for (let at = out.length - 1; at > 0; at--) {
    const other = below(at + 1);
    [out[at], out[other]] = [out[other] as T, out[at] as T];
  }
  return out;
}
