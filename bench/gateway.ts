/**
 * gateway.ts: what it costs to send connections on by their server name: our relay, HAProxy and Envoy, in one run.
 *
 * Each proxy is a process on one core; clients and the server behind are on the other. What counts is the proxy's own CPU
 * time, so a slow client does no harm. Ours and Envoy are started as an operator would, in a federation of two
 * datacenters; then everything else is stopped (a gateway keeps its last configuration), and the server of this
 * benchmark takes the place of dc2's gateway. HAProxy's configuration is below. run.mjs finds and installs the other two.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type DataPlane, Federation } from '@fed/tooling/federation';
import { clientHello } from './lib/client-hello.ts';
import { cpuSeconds, openFilesMax, pin, rssKiB } from './lib/cpu.ts';
import { type Latencies, percentiles, printTable, round } from './lib/measure.ts';

const host = '127.0.0.1';
const sni = 'server.dc2.consul';
const hello = await clientHello(sni);
const seconds = 4;
const connectors = 32;
const streams = 4;
const bulkBytes = 262_144;
const rounds = 20_000;

interface Proxy extends AsyncDisposable {
  readonly name: string;
  readonly pid: number;
  readonly port: number;
  /** Where it sends connections. */
  readonly backendPort: number;
}

interface Result {
  readonly newPerCpuSecond: number;
  readonly newPerSecond: number;
  readonly gbitPerCpuSecond: number;
  readonly gbitPerSecond: number;
  readonly pingPong: Latencies;
  readonly idleKiB: number;
  readonly rssMiB: number;
}

/** A proxy has two files for each; ours admits no more than 0.45 connections per file. */
const idleConnections = Math.min(10_000, 100 * Math.floor((openFilesMax(32_768) * 0.42) / 100));

const folder = mkdtempSync(join(tmpdir(), 'fed-bench-'));
const openers: Record<string, () => Promise<Proxy | undefined>> = {
  ours: () => openGateway('embedded'),
  haproxy: openHaproxy,
  envoy: () => openGateway('envoy'),
};
const asked = process.env['FED_BENCH_PROXIES']?.split(',') ?? Object.keys(openers);
const pinned = pin(process.pid, 1);
const results: Record<string, Result> = {};
let direct: Latencies | undefined;
try {
  for (const name of asked) {
    await using proxy = await openers[name]?.();
    if (proxy === undefined) continue;
    pin(proxy.pid, 0);
    await using _backend = await openBackend(proxy.backendPort);
    direct ??= await pingPong(proxy.backendPort);
    results[name] = await measure(proxy);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
report();

async function measure({ pid, port }: Proxy): Promise<Result> {
  const idle = await idleMemory(pid, port); // first, while no memory lies about that was used before
  await newConnections(port, 1); // warm
  const connections = await charged(pid, () => newConnections(port, seconds));
  await bulk(port, 1);
  const bits = await charged(pid, () => bulk(port, seconds));
  const latency = await pingPong(port);
  return {
    newPerCpuSecond: Math.round(connections.perCpuSecond),
    newPerSecond: Math.round(connections.perSecond),
    gbitPerCpuSecond: round(bits.perCpuSecond / 1e9),
    gbitPerSecond: round(bits.perSecond / 1e9),
    pingPong: latency,
    ...idle,
  };
}

/** How much was done per second, and per second of the proxy's CPU. */
async function charged(pid: number, work: () => Promise<number>) {
  const [cpu, began] = [cpuSeconds(pid), performance.now()];
  const done = await work();
  return {
    perCpuSecond: done / (cpuSeconds(pid) - cpu),
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

/** Hello to first byte back, then close; as many as can be done. */
async function newConnections(port: number, forSeconds: number): Promise<number> {
  const until = performance.now() + forSeconds * 1000;
  let done = 0;
  await Promise.all(
    Array.from({ length: connectors }, async () => {
      while (performance.now() < until) {
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

/** Bits sent from client to server. */
async function bulk(port: number, forSeconds: number): Promise<number> {
  const chunk = Buffer.alloc(bulkBytes, 0x61);
  const until = performance.now() + forSeconds * 1000;
  const sent = await Promise.all(
    Array.from({ length: streams }, async () => {
      const socket = open(port, 's');
      let bytes = 0;
      while (performance.now() < until) {
        bytes += chunk.length;
        if (!socket.write(chunk)) await once(socket, 'drain');
      }
      socket.destroy();
      return bytes;
    }),
  );
  return 8 * sent.reduce((a, b) => a + b, 0);
}

async function pingPong(port: number): Promise<Latencies> {
  const socket = open(port, 'e');
  const word = Buffer.alloc(64, 0x61);
  const tookMs: number[] = [];
  for (let i = 0; i < rounds; i++) {
    const began = performance.now();
    socket.write(word);
    await once(socket, 'data');
    if (i >= rounds / 10) tookMs.push(performance.now() - began);
  }
  socket.destroy();
  return percentiles(tookMs);
}

async function idleMemory(pid: number, port: number): Promise<{ idleKiB: number; rssMiB: number }> {
  const before = rssKiB(pid);
  const held: Socket[] = [];
  while (held.length < idleConnections) {
    const some = Array.from({ length: 50 }, () => open(port, 'c'));
    await Promise.all(some.map((socket) => once(socket, 'data')));
    held.push(...some);
  }
  const after = rssKiB(pid);
  for (const socket of held) socket.destroy();
  await Promise.all(held.map((socket) => once(socket, 'close')));
  return { idleKiB: round((after - before) / idleConnections), rssMiB: Math.round(before / 1024) };
}

async function openGateway(dataPlane: DataPlane): Promise<Proxy | undefined> {
  const envoyBinary = dataPlane === 'envoy' ? process.env['ENVOY_BIN'] : undefined;
  if (dataPlane === 'envoy' && envoyBinary === undefined) return undefined; // said already
  const federation = await Federation.prepare({
    datacenters: ['dc1', 'dc2'],
    folder: join(folder, dataPlane),
    dataPlane: { dc1: dataPlane },
    ...(envoyBinary !== undefined && { envoyBinary }),
  });
  try {
    federation.startAll();
    await federation.up();
    await federation.until('the federation has formed', 60_000, () => federation.formed());
    const reads = async (): Promise<boolean> =>
      (await federation.get<readonly unknown[]>('dc1', '/v1/catalog/nodes?dc=dc2')).length === 1;
    await federation.until('dc1 has a route to dc2', 30_000, reads);
    await federation.stop('dc1', 'server', 'SIGKILL');
    await federation.stop('dc2', 'gateway', 'SIGKILL');
    await federation.stop('dc2', 'server', 'SIGKILL');
    const { gateway, gatewayPort } = federation.site('dc1');
    const own = gateway?.pid as number;
    const pid =
      dataPlane === 'envoy'
        ? Number(execFileSync('ps', ['-o', 'pid=', '--ppid', String(own)], { encoding: 'utf8' }))
        : own;
    const backendPort = federation.site('dc2').gatewayPort;
    const name = dataPlane === 'envoy' ? 'envoy' : 'ours';
    return {
      name,
      pid,
      port: gatewayPort,
      backendPort,
      [Symbol.asyncDispose]: () => federation[Symbol.asyncDispose](),
    };
  } catch (e) {
    await federation[Symbol.asyncDispose]();
    throw e;
  }
}

async function openHaproxy(): Promise<Proxy | undefined> {
  const haproxy = process.env['HAPROXY_BIN'];
  if (haproxy === undefined) return undefined;
  const [port, backendPort] = [await freePort(), await freePort()];
  const file = join(folder, 'haproxy.cfg');
  writeFileSync(
    file,
    `global
  nbthread 1
  maxconn ${idleConnections + 500}
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
frontend gateway
  bind ${host}:${port} backlog 4096
  tcp-request inspect-delay 10s
  tcp-request content accept if { req_ssl_hello_type 1 }
  use_backend dc2 if { req.ssl_sni -i ${sni} }
backend dc2
  server one ${host}:${backendPort}
`,
  );
  const child = spawn(haproxy, ['-f', file, '-db'], { stdio: ['ignore', 'ignore', 'inherit'] });
  for (let up = false; !up; ) {
    if (child.exitCode !== null) throw new Error(`haproxy ended with ${child.exitCode}`);
    const socket = connect({ host, port });
    up = await new Promise((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    socket.destroy();
  }
  return {
    name: 'haproxy',
    pid: child.pid as number,
    port,
    backendPort,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
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

async function freePort(): Promise<number> {
  const { createServer } = await import('node:net');
  const server = createServer().listen(0, host);
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

function report(): void {
  const names = Object.keys(results);
  const row = (title: string, cell: (r: Result) => string): readonly string[] => [
    title,
    ...names.map((name) => cell(results[name] as Result)),
  ];
  const base = direct as Latencies;
  printTable([
    ['', ...names],
    row('new connections per CPU-second', (r) => `${r.newPerCpuSecond} (${r.newPerSecond}/s)`),
    row('bulk Gbit per CPU-second', (r) => `${r.gbitPerCpuSecond} (${r.gbitPerSecond} Gbit/s)`),
    row(
      'added to a round trip, p50 / p99',
      (r) => `${round(r.pingPong.p50Ms - base.p50Ms)} / ${round(r.pingPong.p99Ms - base.p99Ms)} ms`,
    ),
    row(`memory per idle connection of ${idleConnections}`, (r) => `${r.idleKiB} KiB`),
    row('memory before these', (r) => `${r.rssMiB} MiB`),
  ]);
  console.log(
    JSON.stringify({ benchmark: 'gateway', seconds, pinned, idleConnections, direct: base, results }),
  );
}
