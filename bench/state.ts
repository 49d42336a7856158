/**
 * state.ts: what keeping state costs: appends that survive a power cut, applying, waiting, reading over HTTP, starting again.
 *
 * Appends stand beside bare writes with fdatasync to a file in the same folder, reads beside a Consul server when CONSUL_BIN
 * names one. Restarts are timed after FED_BENCH_RECORDS records (default 1,000,000) with the snapshots a server takes, and
 * with a tenth of them and no snapshot at all.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { Agent, get } from 'node:http';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import {
  type Command,
  type EngineHooks,
  embeddedLog,
  encodeCommand,
  type Fsm,
  type LogEngine,
  newCheck,
  newRegisterRequest,
  newService,
  openFsm,
} from '@fed/fsm';
import { temporaryFolder } from '@fed/tooling/federation';
import { type AgentProcess, openConsul, openOurs } from './lib/agents.ts';
import { percentiles, printTable, rate, round } from './lib/measure.ts';

const seconds = 3;
const waiters = 10_000;
const restartRecords = Number(process.env['FED_BENCH_RECORDS'] ?? 1_000_000);
setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

const folder = temporaryFolder('fed-bench-state');
try {
  const appends = [];
  for (const writers of [1, 32, 256])
    appends.push({ writers, ours: await ourAppends(writers), bare: await bareAppends(writers) });
  const applies = await appliesPerSecond();
  const memory = await memoryPerThousandServices();
  const parked = await parkedQueries();
  const restarts = {
    withSnapshots: await restartTime(restartRecords, true),
    withoutSnapshots: await restartTime(restartRecords / 10, false),
  };
  const reads = await httpReads();

  printTable([
    ['', 'ours', 'baseline in the same run'],
    ...appends.map(({ writers, ours, bare }) => [
      `appends/s with fsync, ${writers} writers`,
      `${ours.perSecond} (p50 ${ours.p50Ms} ms, p99 ${ours.p99Ms} ms)`,
      `bare write of ${writers} + fdatasync: ${bare.perSecond} (ours is ${round(ours.perSecond / bare.perSecond)}×)`,
    ]),
    ['applies/s, no disk', String(applies), ''],
    ['memory per 1,000 services with a check each', `${memory} KiB of heap`, ''],
    [
      `${waiters} parked queries, of which 10 concern a write`,
      `${parked.bytesEach} bytes each; the 10 are awake after p50 ${parked.wake.p50Ms} ms, p99 ${parked.wake.p99Ms} ms`,
      `the write alone: p50 ${parked.write.p50Ms} ms`,
    ],
    ...Object.values(restarts).map((r) => [
      `start after ${r.records} records, ${r.toReplay} of them since the last snapshot (${r.mebibytes} MiB)`,
      `${r.ms} ms`,
      `reading the same bytes: ${r.readMs} ms`,
    ]),
    ...Object.entries(reads).map(([who, r]) => [
      `HTTP reads/s of one service, ${who}`,
      `${r.perSecond} (p50 ${r.p50Ms} ms, p99 ${r.p99Ms} ms)`,
      `${r.perCpuSecond} per CPU-second of the server`,
    ]),
  ]);
  const cores = availableParallelism();
  console.log(
    JSON.stringify({ benchmark: 'state', cores, appends, applies, memory, parked, restarts, reads }),
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** A service instance with its check on one of a hundred nodes: what a catalog is made of. */
function registration(number: number, output = ''): Command {
  const Node = `node-${number % 100}`;
  const ID = `service-${number}`;
  return {
    type: 'register',
    request: newRegisterRequest({
      Node,
      Address: '192.0.2.1',
      Service: newService({
        ID,
        Service: `web-${number % 1000}`,
        Port: 80,
        Tags: ['a'],
        Meta: { version: '1' },
      }),
      Checks: [newCheck({ CheckID: ID, Node, ServiceID: ID, Status: 'passing', Output: output })],
    }),
  };
}

async function ourAppends(writers: number) {
  const dir = join(folder, `log-${writers}`);
  await using fsm = await openFsm({ engine: embeddedLog({ dir }) });
  let number = 0;
  return await rate(seconds, writers, () => {
    number++;
    // A few rows changed again and again: the log grows, the state does not.
    return fsm.apply(registration(number % 500, String(number)));
  });
}

/** As many records as there are writers, then one fdatasync: what the disk allows to group commit. */
async function bareAppends(writers: number) {
  const bytes = Buffer.alloc(encodeCommand(registration(1, '123456')).length + 20, 0x61);
  await using file: FileHandle = await open(join(folder, `bare-${writers}`), 'w');
  const batch = Buffer.concat(Array.from({ length: writers }, () => bytes));
  let at = 0;
  const { perSecond, ...tookMs } = await rate(seconds, 1, async () => {
    await file.write(batch, 0, batch.length, at);
    at += batch.length;
    await file.datasync();
  });
  return { perSecond: perSecond * writers, ...tookMs };
}

/** An engine with no disk under it. */
function memoryEngine(hooks: EngineHooks): Promise<LogEngine> {
  let index = 0;
  const leadership = { leader: true, term: 1 };
  const stats = { lastIndex: 0, snapshotIndex: 0, logBytes: 0, appended: 0, batches: 0, refusing: undefined };
  return Promise.resolve({
    append: (command) => {
      index++;
      return Promise.resolve({ index, result: hooks.apply(index, command) });
    },
    install: () => Promise.reject(new Error('nothing is installed here')),
    leadership: () => leadership,
    onLeadership: () => ({ [Symbol.dispose]: () => {} }),
    resign: () => Promise.resolve(),
    lastContactMs: () => 0,
    barrier: () => Promise.resolve(),
    compact: () => Promise.resolve({ index }),
    stats: () => stats,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
}

async function appliesPerSecond(): Promise<number> {
  await using fsm = await openFsm({ engine: memoryEngine });
  const entries = Array.from({ length: 20_000 }, (_, n) => encodeCommand(registration(n % 5000, String(n))));
  for (const entry of entries) await fsm.applyBytes(entry);
  const began = performance.now();
  for (let round = 0; round < 3; round++) for (const entry of entries) await fsm.applyBytes(entry);
  return Math.round((3 * entries.length) / ((performance.now() - began) / 1000));
}

async function filled(services: number): Promise<Fsm> {
  const fsm = await openFsm({ engine: memoryEngine });
  for (let n = 0; n < services; n++) await fsm.apply(registration(n));
  return fsm;
}

function heapBytes(): number {
  gc();
  gc();
  return process.memoryUsage().heapUsed;
}

async function memoryPerThousandServices(): Promise<number> {
  const before = heapBytes();
  await using fsm = await filled(20_000);
  const after = heapBytes();
  if (fsm.store.services().services.size !== 1000) throw new Error('the services are not there');
  return Math.round((after - before) / 20 / 1024);
}

/** Ten waiters for each of a thousand services; writes touch one service at a time. */
async function parkedQueries() {
  await using fsm = await filled(1000);
  /** One per waiter, as every HTTP request has its own. */
  const stops = new Set<AbortController>();
  let woken: () => void = () => {};
  const park = (service: string): void => {
    const minIndex = fsm.store.checkServiceNodes(service).index;
    const stop = new AbortController();
    stops.add(stop);
    fsm
      .query({ minIndex, waitMs: 600_000, signal: stop.signal }, (store) => {
        const { index, rows } = store.checkServiceNodes(service);
        return { index, value: rows };
      })
      .then(
        () => {
          stops.delete(stop);
          woken();
          park(service);
        },
        () => {}, // told to stop
      );
  };
  const before = heapBytes();
  for (let n = 0; n < waiters; n++) park(`web-${n % 1000}`);
  const after = heapBytes();
  if (fsm.stats().parked !== waiters) throw new Error(`${fsm.stats().parked} queries are parked`);

  const wakeMs: number[] = [];
  const writeMs: number[] = [];
  for (let n = 0; n < 300; n++) {
    let left = waiters / 1000;
    const all = new Promise<void>((resolve) => {
      woken = () => {
        left--;
        if (left === 0) resolve();
      };
    });
    const began = performance.now();
    await fsm.apply(registration(n, `change ${n}`));
    writeMs.push(performance.now() - began);
    await all;
    wakeMs.push(performance.now() - began);
  }
  woken = () => {};
  for (const stop of stops) stop.abort();
  return {
    bytesEach: Math.round((after - before) / waiters),
    wake: percentiles(wakeMs),
    write: percentiles(writeMs),
  };
}

async function restartTime(records: number, snapshots: boolean) {
  const dir = join(folder, `restart-${snapshots}`);
  const policy = snapshots ? {} : { compactAfterBytes: Number.MAX_SAFE_INTEGER };
  const entries = Array.from({ length: 20_000 }, (_, n) => encodeCommand(registration(n % 5000, String(n))));
  {
    await using fsm = await openFsm({ engine: embeddedLog({ dir, ...policy }) });
    let number = 0;
    const writer = async (): Promise<void> => {
      while (number < records) await fsm.applyBytes(entries[number++ % entries.length] as Uint8Array);
    };
    await Promise.all(Array.from({ length: 1024 }, writer));
  }
  const readBegan = performance.now();
  const bytes = Number(execFileSync('sh', ['-c', 'cat "$0"/* | wc -c', dir], { encoding: 'utf8' }));
  const readMs = Math.round(performance.now() - readBegan);
  const began = performance.now();
  await using fsm = await openFsm({ engine: embeddedLog({ dir, ...policy }) });
  const ms = Math.round(performance.now() - began);
  const { lastIndex, snapshotIndex } = fsm.engine.stats();
  return {
    records: lastIndex,
    toReplay: lastIndex - snapshotIndex,
    mebibytes: Math.round(bytes / 2 ** 20),
    ms,
    readMs,
  };
}

/** A catalog read from a server of its own process, and what it costs that process. */
async function httpReads() {
  const out: Record<string, Awaited<ReturnType<typeof readsOf>>> = {};
  {
    await using ours = await openOurs(join(folder, 'ours'));
    out['ours'] = await readsOf(ours);
  }
  const program = process.env['CONSUL_BIN'] ?? '';
  if (program === '') return out;
  await using consul = await openConsul(program, join(folder, 'consul'));
  out['Consul'] = await readsOf(consul);
  return out;
}

async function readsOf({ url, pid }: AgentProcess) {
  for (let n = 0; n < 3; n++) {
    const body = JSON.stringify({
      Name: 'web',
      ID: `web${n}`,
      Port: 80 + n,
      Tags: ['a'],
      Check: { TTL: '600s', Status: 'passing' },
    });
    const answer = await fetch(`${url}/v1/agent/service/register`, { method: 'PUT', body });
    if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
  }
  const connections = 32;
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const turn = (): Promise<void> =>
    new Promise((resolve, reject) => {
      get(`${url}/v1/health/service/web?passing`, { agent }, (response) => {
        response.resume();
        response.on('end', () =>
          response.statusCode === 200 ? resolve() : reject(new Error(`${url}: ${response.statusCode}`)),
        );
      }).on('error', reject);
    });
  await rate(2, connections, turn);
  const before = cpuSeconds(pid);
  const measured = await rate(5, connections, turn);
  const used = cpuSeconds(pid) - before;
  agent.destroy();
  return { ...measured, perCpuSecond: Math.round((measured.perSecond * 5) / used) };
}

/** What a process has used so far, of all its threads. */
function cpuSeconds(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    const ticksPerSecond = 100;
    return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
  } catch {
    const text = execFileSync('ps', ['-o', 'time=', '-p', String(pid)], { encoding: 'utf8' }).trim();
    return text.split(/[:-]/).reduce((total, part) => total * 60 + Number(part), 0);
  }
}
