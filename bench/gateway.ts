/**
 * gateway.ts: what it costs to send connections on by their server name: our relay, HAProxy and Envoy, in one run.
 *
 * Each proxy is a process on one core; clients and the server behind are on the other. What counts is the proxy's own CPU
 * time, so a slow client does no harm. Bulk is measured in many short rounds, all proxies by turns, because a machine
 * changes its pace; HAProxy stands there twice, copying as everybody does, and splicing in the kernel. Memory is that of
 * two processes each, because one may not have the descriptors of 10,000 relayed connections.
 * run.mjs finds and installs the other two.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { clientHello } from './lib/client-hello.ts';
import { openFilesMax, pin, rssKiB, threadSeconds } from './lib/cpu.ts';
import { type Latencies, median, percentiles, printTable, round } from './lib/measure.ts';
import { openEnvoys, openGateway, openHaproxy, type Relayer, sni } from './lib/proxies.ts';

const host = '127.0.0.1';
const hello = await clientHello(sni);
const seconds = 4;
const connectors = 32;
/** By number: what is compared is how well the code is compiled in the long run, not how soon. */
const warmConnections = 20_000;
const streams = 4;
const chunkBytes = 262_144;
/** In each round; long enough for what a new connection costs not to show. */
const streamBytes = 128 * 1_024 * 1_024;
const bulkRounds = 15;
const pings = 20_000;
const idleConnections = 10_000;
const idleProcesses = 2;

interface Result {
  readonly newPerCpuSecond: number;
  readonly newPerSecond: number;
  readonly pingPong: Latencies;
  /** In each round; bits per second of CPU, and per second. */
  readonly bulk: readonly { readonly perCpuSecond: number; readonly perSecond: number }[];
}

const folder = mkdtempSync(join(tmpdir(), 'fed-bench-'));
/** A tenth more than half of them, should they not be spread evenly. */
const connectionsMax = Math.ceil(idleConnections * 0.6);
const place = (name: string) => {
  const its = join(folder, name);
  mkdirSync(its);
  return { folder: its, connectionsMax };
};
const openers: Record<string, (name: string) => Promise<Relayer | undefined>> = {
  ours: (name) => openGateway('embedded', place(name)),
  haproxy: (name) => openHaproxy(place(name)),
  'haproxy, splicing': (name) => openHaproxy(place(name), { splice: true }),
  envoy: (name) => openGateway('envoy', place(name)),
};
const idleOpeners: Record<string, (name: string) => Promise<Relayer | undefined>> = {
  ours: (name) => openGateway('embedded', place(name), idleProcesses),
  haproxy: (name) => openHaproxy(place(name), { processes: idleProcesses }),
  envoy: (name) => openEnvoys(place(name), idleProcesses),
};
const asked = process.env['FED_BENCH_PROXIES']?.split(';') ?? Object.keys(openers);
openFilesMax(32_768);
const pinned = pin(process.pid, 1);
const idle: Record<string, { readonly idleKiB: number; readonly rssMiB: number }> = {};
const results: Record<string, Result> = {};
let direct: Latencies | undefined;
try {
  for (const name of asked) {
    await using proxy = await idleOpeners[name]?.(`${name}-idle`);
    if (proxy === undefined) continue;
    await using _backend = await openBackend(proxy.backendPort);
    idle[name] = await idleMemory(proxy);
  }
  await using stack = new AsyncDisposableStack();
  const proxies = new Map<string, Relayer>();
  for (const name of asked) {
    const proxy = await openers[name]?.(name);
    if (proxy === undefined) continue;
    proxies.set(name, stack.use(proxy));
    for (const pid of proxy.pids) pin(pid, 0);
    stack.use(await openBackend(proxy.backendPort));
    direct ??= await pingPong(proxy.backendPort);
  }
  const bulks = await bulkByTurns(proxies);
  for (const [name, proxy] of proxies) results[name] = await measure(proxy, bulks.get(name) ?? []);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
report();

async function measure({ pids, ports }: Relayer, bulk: Result['bulk']): Promise<Result> {
  const [pid, port] = [pids[0] as number, ports[0] as number];
  await newConnections(port, (done) => done < warmConnections);
  const connections = await charged(pid, () => {
    const until = performance.now() + seconds * 1000;
    return newConnections(port, () => performance.now() < until);
  });
  return {
    newPerCpuSecond: Math.round(connections.perCpuSecond),
    newPerSecond: Math.round(connections.perSecond),
    pingPong: await pingPong(port),
    bulk,
  };
}

/** All by turns, the other way round every other time; the first round only warms. */
async function bulkByTurns(
  proxies: ReadonlyMap<string, Relayer>,
): Promise<ReadonlyMap<string, Result['bulk']>> {
  const rounds = new Map([...proxies.keys()].map((name) => [name, [] as Result['bulk'][number][]]));
  for (let turn = 0; turn <= bulkRounds; turn++)
    for (const [name, { pids, ports }] of turn % 2 === 0 ? proxies : [...proxies].toReversed()) {
      const bits = await charged(pids[0] as number, () => bulk(ports[0] as number));
      if (turn > 0) rounds.get(name)?.push(bits);
    }
  return rounds;
}

/** How much was done per second, and per second of the proxy's CPU. */
async function charged(pid: number, work: () => Promise<number>) {
  const [cpu, began] = [threadSeconds(pid), performance.now()];
  const done = await work();
  return {
    perCpuSecond: done / (threadSeconds(pid) - cpu),
    perSecond: done / ((performance.now() - began) / 1000),
  };
}

function open(port: number, mode: 'c' | 'e' | 's'): Socket {
  const socket = connect({ host, port, noDelay: true });
  socket.on('error', (e) => {
    throw e;
  });
  socket.write(Buffer.concat([hello, Buffer.from(mode)]));
  return socket;
}

/** Hello to first byte back, then close; one after the other while `more` says so. */
async function newConnections(port: number, more: (done: number) => boolean): Promise<number> {
  let done = 0;
  await Promise.all(
    Array.from({ length: connectors }, async () => {
      while (more(done)) {
        const socket = open(port, 'c');
        await once(socket, 'data');
        socket.end();
        socket.resume();
        await once(socket, 'close');
        done += 1;
      }
    }),
  );
  return done;
}

/** Bits sent from client to server; over when the server has them all. */
async function bulk(port: number): Promise<number> {
  const chunk = Buffer.alloc(chunkBytes, 0x61);
  const done = Array.from({ length: streams }, async () => {
    const socket = open(port, 's');
    for (let left = streamBytes; left > 0; left -= chunk.length)
      if (!socket.write(chunk)) await once(socket, 'drain');
    socket.end();
    socket.resume();
    await once(socket, 'close');
  });
  await Promise.all(done);
  return 8 * streams * streamBytes;
}

async function pingPong(port: number): Promise<Latencies> {
  const socket = open(port, 'e');
  const word = Buffer.alloc(64, 0x61);
  const tookMs: number[] = [];
  for (let i = 0; i < pings; i++) {
    const began = performance.now();
    socket.write(word);
    await once(socket, 'data');
    if (i >= pings / 10) tookMs.push(performance.now() - began);
  }
  socket.destroy();
  return percentiles(tookMs);
}

async function idleMemory({ pids, ports }: Relayer): Promise<{ idleKiB: number; rssMiB: number }> {
  const rss = (): number => pids.reduce((sum, pid) => sum + rssKiB(pid), 0);
  const before = rss();
  const held: Socket[] = [];
  while (held.length < idleConnections) {
    const some = Array.from({ length: 50 }, (_, i) => open(ports[i % ports.length] as number, 'c'));
    await Promise.all(some.map((socket) => once(socket, 'data')));
    held.push(...some);
  }
  const after = rss();
  for (const socket of held) socket.destroy();
  await Promise.all(held.map((socket) => once(socket, 'close')));
  return { idleKiB: round((after - before) / idleConnections), rssMiB: Math.round(before / 1024) };
}

async function openBackend(port: number): Promise<AsyncDisposable> {
  const program = fileURLToPath(new URL('./lib/gateway-backend.ts', import.meta.url));
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', program, String(port), String(hello.length)],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  await once(child.stdout, 'data');
  pin(child.pid as number, 1);
  return {
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

function report(): void {
  const names = Object.keys(results);
  const row = (title: string, cell: (r: Result, name: string) => string): readonly string[] => [
    title,
    ...names.map((name) => cell(results[name] as Result, name)),
  ];
  const base = direct as Latencies;
  printTable([
    ['', ...names],
    row('new connections per CPU-second', (r) => `${r.newPerCpuSecond} (${r.newPerSecond}/s)`),
    row('bulk Gbit per CPU-second, median', ({ bulk }) => {
      const gbit = (of: (b: Result['bulk'][number]) => number) => round(median(bulk.map(of)) / 1e9);
      return `${gbit((b) => b.perCpuSecond)} (${gbit((b) => b.perSecond)} Gbit/s)`;
    }),
    row(
      'added to a round trip, p50 / p99',
      (r) => `${round(r.pingPong.p50Ms - base.p50Ms)} / ${round(r.pingPong.p99Ms - base.p99Ms)} ms`,
    ),
    row(`memory per idle connection of ${idleConnections}`, (_r, name) => shown(idle[name]?.idleKiB, 'KiB')),
    row(`memory of ${idleProcesses} processes before these`, (_r, name) => shown(idle[name]?.rssMiB, 'MiB')),
  ]);
  const ours = results['ours']?.bulk ?? [];
  for (const name of names.filter((n) => n !== 'ours')) {
    const ratios = ours
      .map((b, i) => b.perCpuSecond / (results[name]?.bulk[i]?.perCpuSecond ?? Number.NaN))
      .sort((a, b) => a - b);
    const at = (q: number): number => round(ratios[Math.floor(q * (ratios.length - 1))] ?? Number.NaN);
    if (ratios.length > 0)
      console.log(
        `  bulk, ours in ${name}s: ${at(0.5)} (half of ${ratios.length} rounds from ${at(0.25)} to ${at(0.75)}, all from ${at(0)} to ${at(1)})`,
      );
  }
  console.log(JSON.stringify({ benchmark: 'gateway', pinned, idleConnections, direct: base, idle, results }));
}

function shown(value: number | undefined, unit: string): string {
  return value === undefined ? '' : `${value} ${unit}`;
}
