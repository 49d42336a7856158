/**
 * federation.ts: what a federation costs as it grows: 3, 5, 10 and 20 datacenters, a server and a gateway each, as real
 * processes on this machine. How long it takes to form, what each server then uses, how fast a change of gateways is known
 * everywhere; beside the time this machine needs to start as many processes of Node that do nothing.
 *
 * `FED_BENCH_DATACENTERS=3,5` runs these sizes instead.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { Federation, type FederationState, temporaryFolder } from '@fed/tooling/federation';
import { percentiles, printTable, round } from './lib/measure.ts';

const sizes = (process.env['FED_BENCH_DATACENTERS'] ?? '3,5,10,20').split(',').map(Number);
const formMs = 180_000;
const quietMs = 5_000;
const watchMs = 15_000;
const changes = 24;
/** A datacenter publishes once a second at most; no change is to wait for that. */
const changeEveryMs = 1_500;
const ticksPerSecond = 100; // USER_HZ, the same on all of Linux

interface Counter {
  readonly Name: string;
  readonly Count: number;
}

interface Use {
  readonly packets: number;
  readonly bytes: number;
  readonly cpuMs: number;
}

const results = [];
for (const size of sizes) results.push(await measure(size));
printTable([
  [
    'datacenters',
    'formed',
    `as many bare processes`,
    'RSS server / gateway',
    'per server: packets/s',
    'KiB/s',
    'CPU',
    'change known everywhere p50 / p99',
  ],
  ...results.map((r) => [
    String(r.datacenters),
    `${round(r.formedMs / 1000)} s`,
    `${round(r.bareMs / 1000)} s`,
    `${r.serverRssMiB} / ${r.gatewayRssMiB} MiB`,
    String(r.packetsPerSecond),
    String(r.kibPerSecond),
    `${r.cpuPercent} %`,
    `${r.change.p50Ms} / ${r.change.p99Ms} ms`,
  ]),
]);
console.log(JSON.stringify({ benchmark: 'federation', results }));

async function measure(size: number) {
  const datacenters = Array.from({ length: size }, (_, at) => `dc${at + 1}`);
  const folder = temporaryFolder('fed-bench');
  try {
    const bareMs = await startBare(2 * size);
    await using federation = await Federation.prepare({ datacenters, folder });
    const began = performance.now();
    federation.startAll();
    for (const datacenter of datacenters)
      await federation.until(`${datacenter} knows and reads all`, formMs, () =>
        knowsAll(federation, datacenter),
      );
    const formedMs = performance.now() - began;
    await pause(quietMs);
    const before = await use(federation);
    await pause(watchMs);
    const after = await use(federation);
    const perServerSecond = (key: keyof Use): number =>
      round((after[key] - before[key]) / size / (watchMs / 1000));
    const change = percentiles(await propagation(federation, datacenters));
    const mean = (values: readonly number[]): number =>
      Math.round((values.reduce((sum, value) => sum + value, 0) / values.length) * 10) / 10;
    const sites = [...federation.sites.values()];
    return {
      datacenters: size,
      formedMs: Math.round(formedMs),
      bareMs: Math.round(bareMs),
      serverRssMiB: mean(sites.map((site) => site.server?.rssMiB() ?? 0)),
      gatewayRssMiB: mean(sites.map((site) => site.gateway?.rssMiB() ?? 0)),
      packetsPerSecond: perServerSecond('packets'),
      kibPerSecond: round(perServerSecond('bytes') / 1024),
      cpuPercent: round(perServerSecond('cpuMs') / 10),
      change,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The machine's limit: so many processes of Node, started together and ended by themselves. */
async function startBare(count: number): Promise<number> {
  const began = performance.now();
  await Promise.all(
    Array.from({ length: count }, () =>
      once(spawn(process.execPath, ['-e', '0'], { stdio: 'ignore' }), 'exit'),
    ),
  );
  return performance.now() - began;
}

/** Asked of each datacenter until it is so, and not again: asking costs, too. */
async function knowsAll(federation: Federation, datacenter: string): Promise<boolean> {
  const all = [...federation.sites.keys()];
  if ((await federation.wanMembers(datacenter)).length !== all.length) return false;
  const states = await federation.federationStates(datacenter);
  if (!all.every((of) => states[of] === 1)) return false;
  const lists = await Promise.all(
    all.map((of) => federation.get<readonly unknown[]>(datacenter, `/v1/catalog/nodes?dc=${of}`)),
  );
  return lists.every((nodes) => nodes.length === 1);
}

/** What all servers together have sent to other datacenters and used so far. */
async function use(federation: Federation): Promise<Use> {
  const total = { packets: 0, bytes: 0, cpuMs: 0 };
  for (const { datacenter, server } of federation.sites.values()) {
    const { Counters } = await federation.get<{ readonly Counters: readonly Counter[] }>(
      datacenter,
      '/v1/agent/metrics',
    );
    const sum = (name: string): number =>
      Counters.filter((c) => c.Name === name).reduce((all, c) => all + c.Count, 0);
    total.packets += sum('fed.wanfed.packets_out');
    total.bytes += sum('fed.wanfed.bytes_out');
    total.cpuMs += server === undefined ? 0 : cpuMs(server.pid);
  }
  return total;
}

function cpuMs(pid: number): number {
  // The name, in brackets, may hold anything; utime and stime are the 12th and 13th field behind it.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / ticksPerSecond;
}

/** From a gateway's registration or its end to the moment each other datacenter has the new record; in ms, one per observer. */
async function propagation(federation: Federation, datacenters: readonly string[]): Promise<number[]> {
  const tookMs: number[] = [];
  const second = new Set<string>();
  for (let turn = 0; turn < changes; turn++) {
    const of = datacenters[turn % datacenters.length] as string;
    const others = datacenters.filter((datacenter) => datacenter !== of);
    const wanted = second.has(of) ? 1 : 2;
    const watches = await Promise.all(others.map((from) => watch(federation, from, of, wanted)));
    const { gatewayPort } = federation.site(of);
    if (wanted === 2) {
      // Another door to the same house: it works, so nothing but the record changes.
      await federation.put(of, '/v1/agent/service/register', {
        Kind: 'mesh-gateway',
        ID: 'second',
        Name: 'mesh-gateway',
        Address: '127.0.0.1',
        Port: gatewayPort,
        Meta: { 'consul-wan-federation': '1' },
      });
      second.add(of);
    } else {
      await federation.put(of, '/v1/agent/service/deregister/second');
      second.delete(of);
    }
    const acknowledged = performance.now();
    for (const seen of watches) tookMs.push(Math.max(0, (await seen.at) - acknowledged));
    await pause(changeEveryMs / Math.min(datacenters.length, 3));
  }
  return tookMs;
}

/** A blocking query, begun when this returns; `at` is when the record of `of` has so many gateways as `from` sees it. */
async function watch(federation: Federation, from: string, of: string, wanted: number) {
  const url = `${federation.site(from).httpUrl}/v1/internal/federation-states`;
  const list = async (index: string) => {
    const response = await fetch(`${url}?index=${index}&wait=30s`);
    const states = (await response.json()) as readonly FederationState[];
    const gateways = states.find(({ Datacenter }) => Datacenter === of)?.MeshGateways?.length ?? 0;
    return { index: response.headers.get('x-consul-index') ?? '0', gateways };
  };
  const first = await list('0');
  const until = async (): Promise<number> => {
    for (let { index, gateways } = first; ; ) {
      if (gateways === wanted) return performance.now();
      ({ index, gateways } = await list(index));
    }
  };
  return { at: until() };
}
