/**
 * scale.ts: what a datacenter costs everybody else: formation, memory, messages and the spread of a change, by their number.
 *
 * Whole servers, as in days, so what grows here grows there. Times are virtual; memory and CPU are this process's, shared among all
 * servers. Lives here: measuring. Must not live here: faults.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type Datacenter, Federation } from './federation.ts';

export interface ScaleResult {
  readonly datacenters: number;
  /** From the start of all until everybody knows everybody and all records, in virtual milliseconds; undefined: not in ten minutes. */
  readonly formedMs: number | undefined;
  /** Of this process per server, in seconds of CPU. */
  readonly cpuSecondsPerServer: number;
  readonly rest: Rest;
  /** The same while a session to every other datacenter stands: those of router health, four minutes of five. */
  readonly restWithSessions: Rest;
  /** From a gateway's registration until another server's store has it, in virtual milliseconds, over all servers. */
  readonly spreadP50Ms: number;
  readonly spreadP99Ms: number;
}

/** Of one server, once nothing changes. */
export interface Rest {
  readonly heapMib: number;
  /** Writes and datagrams that arrived, a second. */
  readonly messagesPerSecond: number;
  readonly bytesPerSecond: number;
  /** CPU, in milliseconds a second. */
  readonly cpuMsPerSecond: number;
}

const formMsMax = 600_000;
/** Until the gateways' first health checks are known everywhere, and gossip has nothing left to tell. */
const settleMs = 60_000;
/** By then every server has asked every datacenter whether it is there (apps/server router-health.ts). */
const sessionsMs = 190_000;
const restMs = 30_000;
const changes = 2;

export async function measureScale(
  datacenters: number,
  seed: number,
  progress: (text: string) => void,
): Promise<ScaleResult> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  const heapBefore = process.memoryUsage().heapUsed;
  const cpuBefore = process.cpuUsage();
  const cpuS = (): number => {
    const { user, system } = process.cpuUsage(cpuBefore);
    return (user + system) / 1e6;
  };
  const fed = await Federation.open({ seed, datacenters, logLevel: 'error' });
  const { clock, net } = fed;
  let bytes = 0;
  net.taps = {
    arrived: (_end, chunk) => {
      bytes += chunk.length;
    },
  };
  fed.startAll();
  let formedMs: number | undefined;
  while (formedMs === undefined && clock.now() < formMsMax) {
    await clock.run(100);
    progress(
      `${datacenters} datacenters: ${(clock.now() / 1_000).toFixed(1)} s, ${cpuS().toFixed(0)} s of CPU`,
    );
    if (fed.datacenters.every((dc) => knowsAll(fed, dc))) formedMs = clock.now();
  }
  const formingS = cpuS();
  const rests = async (): Promise<Rest> => {
    collect();
    const heapMib = (process.memoryUsage().heapUsed - heapBefore) / 2 ** 20 / datacenters;
    const before = { delivered: net.delivered, bytes, cpuS: cpuS() };
    await clock.run(restMs);
    const perServerSecond = (total: number): number => total / datacenters / (restMs / 1_000);
    const rest = {
      heapMib,
      messagesPerSecond: perServerSecond(net.delivered - before.delivered),
      bytesPerSecond: perServerSecond(bytes - before.bytes),
      cpuMsPerSecond: perServerSecond((cpuS() - before.cpuS) * 1_000),
    };
    progress(`${datacenters} datacenters: at rest ${restText(rest)}`);
    return rest;
  };
  await clock.run(settleMs);
  const rest = await rests();
  const spread = await spreadOfChanges(fed);
  progress(`${datacenters} datacenters: a change is known after ${quantile(spread, 0.99).toFixed(0)} ms`);
  await clock.run(sessionsMs - clock.now());
  const restWithSessions = await rests();
  await clock.until(fed.close());
  return {
    datacenters,
    formedMs,
    cpuSecondsPerServer: formingS / datacenters,
    rest,
    restWithSessions,
    spreadP50Ms: quantile(spread, 0.5),
    spreadP99Ms: quantile(spread, 0.99),
  };
}

function knowsAll(fed: Federation, { server }: Datacenter): boolean {
  const { running } = server;
  if (running === undefined) return false;
  const count = fed.datacenters.length;
  const { rows } = running.rooms.fsm.store.federationStates();
  if (rows.length < count || rows.some(({ MeshGateways }) => (MeshGateways ?? []).length === 0)) return false;
  const alive = running.rooms.wan.members().filter(({ status }) => status === 'alive');
  return alive.length === count;
}

/** A new gateway in some datacenter, seen by everybody else: how long each took to have it. */
async function spreadOfChanges(fed: Federation): Promise<readonly number[]> {
  const { clock, rng, datacenters } = fed;
  const took: number[] = [];
  for (let change = 0; change < changes; change++) {
    const dc = rng.pick(datacenters.slice(1));
    const gateway = fed.addGateway(dc);
    const waiting = new Set(datacenters);
    let registeredAt: number | undefined;
    const watches = datacenters.map((other) => {
      const { fsm } = other.server.running!.rooms;
      return fsm.watch(
        (store) => store.federationState(dc.name).row,
        (row) => {
          const has = row?.MeshGateways?.some(({ Service }) => Service.ID === gateway.id) ?? false;
          if (!has || registeredAt === undefined || !waiting.delete(other)) return;
          took.push(clock.now() - registeredAt);
        },
      );
    });
    const own = dc.server.running!.rooms.fsm;
    watches.push(
      own.watch(
        (store) => store.serviceKind('mesh-gateway').rows,
        (rows) => {
          if (rows.some(({ Service }) => Service.ID === gateway.id)) registeredAt ??= clock.now();
        },
      ),
    );
    gateway.start();
    await clock.run(30_000, () => waiting.size === 0);
    for (const _ of waiting) took.push(Number.POSITIVE_INFINITY);
    for (const watch of watches) watch[Symbol.dispose]();
    await clock.run(5_000);
  }
  return took;
}

function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}

const restText = (r: Rest): string =>
  [
    `${r.heapMib.toFixed(2)} MiB`.padEnd(11),
    r.messagesPerSecond.toFixed(2).padEnd(12),
    r.bytesPerSecond.toFixed(0).padEnd(9),
    `${r.cpuMsPerSecond.toFixed(2)} ms`.padEnd(10),
  ].join('');

/** Prints a row for each size, and how the figures grow from the smallest to the largest. */
export async function runScale(
  sizes: readonly number[],
  seed: number,
  progress: (text: string) => void,
): Promise<boolean> {
  const restHead = 'heap       messages/s  bytes/s  CPU/s     ';
  console.log(`${''.padEnd(44)}${'a server at rest'.padEnd(42)}… with a session to every datacenter`);
  console.log(
    `datacenters  formed   CPU, a server        ${restHead}${restHead}change known to all others: p50, p99`,
  );
  const results: ScaleResult[] = [];
  for (const size of sizes) {
    const r = await measureScale(size, seed, progress);
    progress('');
    results.push(r);
    const cells = [
      String(size).padEnd(13),
      `${r.formedMs === undefined ? 'never' : `${(r.formedMs / 1_000).toFixed(1)} s`}`.padEnd(9),
      `${r.cpuSecondsPerServer.toFixed(2)} s to form`.padEnd(22),
      restText(r.rest),
      restText(r.restWithSessions),
      `${r.spreadP50Ms.toFixed(0)}, ${r.spreadP99Ms.toFixed(0)} ms`,
    ];
    console.log(cells.join(''));
  }
  const [first, last] = [results[0], results.at(-1)];
  if (first !== undefined && last !== undefined && first !== last) {
    const perDatacenter = (of: (r: Rest) => number, which: 'rest' | 'restWithSessions'): string =>
      ((of(last[which]) - of(first[which])) / (last.datacenters - first.datacenters)).toPrecision(2);
    for (const which of ['rest', 'restWithSessions'] as const)
      console.log(
        `each further datacenter costs every server${which === 'rest' ? '' : ', with sessions,'} ${perDatacenter((r) => r.messagesPerSecond, which)} messages/s, ${perDatacenter((r) => r.bytesPerSecond, which)} bytes/s, ${perDatacenter((r) => r.heapMib * 1_024, which)} KiB`,
      );
  }
  return results.every((r) => r.formedMs !== undefined && Number.isFinite(r.spreadP99Ms));
}
