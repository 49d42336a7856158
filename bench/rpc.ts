/**
 * rpc.ts: what a call to another datacenter costs: below HTTP, through no gateway, one and two, beside bare TLS with as many
 * bytes; as a read over HTTP, beside Consul where CONSUL_BIN names one, with our gateways in both; and a handshake, beside
 * a bare tls.Server with the same certificates.
 *
 * Servers' CPU time counts, of both sides. Reads and handshakes are taken by turns; of calls, on a busy machine, the best of
 * FED_BENCH_ROUNDS rounds (default 1) is told. ONLY=calls|reads|handshakes measures nothing else, READS_TURNS each so often.
 */
import { alpn, dialAlpn, serverSni } from '@fed/alpn-mux';
import { openRpcPool } from '@fed/rpc';
import type { Mixed, Site } from '../interop/consul/mixed.ts';
import { openBareTls } from './lib/bare-tls.ts';
import { openBaseline } from './lib/child.ts';
import { cpuSeconds } from './lib/cpu.ts';
import { type Credentials, makeCredentials } from './lib/credentials.ts';
import { compareReads, openPair, type Reads, type Size, sizes } from './lib/dc-reads.ts';
import { compareHandshakes, handshakeRows } from './lib/handshakes.ts';
import { type Latencies, printTable, rate } from './lib/measure.ts';
import { shown } from './lib/paired.ts';

const host = '127.0.0.1';
const seconds = 2;
const rounds = Number(process.env['FED_BENCH_ROUNDS'] ?? 1);
const readsTurns = Number(process.env['READS_TURNS'] ?? 8);
const { ONLY: only = '' } = process.env;
const callerCounts = [1, 32, 256];
const handshakeTurns = 300;
const firstWarmSeconds = 8;
const warmSeconds = 2;
const bytesOf: Record<Size, number> = { small: 1_500, large: 1_126_000 };

interface Cost extends Latencies {
  readonly perSecond: number;
  /** Of everybody who takes part: caller, gateways, server. */
  readonly perCpuSecond: number;
}

interface Calls extends Cost {
  readonly who: string;
  readonly size: Size;
  readonly callers: number;
}

const wanted = (what: string): boolean => only === '' || only === what;
const each = (Object.keys(sizes) as Size[]).flatMap((size) => callerCounts.map((count) => ({ size, count })));
const result: Record<string, unknown> = { benchmark: 'rpc', rounds, seconds };
{
  await using ours = await openPair('ours');
  if (wanted('calls')) result['calls'] = await calls(ours);
  if (wanted('handshakes')) result['handshakes'] = await handshakes(ours);
  if (wanted('reads')) result['reads'] = await reads(ours);
}
console.log(JSON.stringify(result));

async function calls(ours: Mixed): Promise<readonly Calls[]> {
  const [dc1, dc2] = ours.sites as [Site, Site];
  const credentials = makeCredentials(ours.folder);
  const [server, near, far] = [dc1.server, dc1.gateway, dc2.gateway].map((p) => p?.pid as number) as [
    number,
    number,
    number,
  ];
  const ways = [
    { who: 'straight', port: dc1.ports.server, pids: [server] },
    { who: 'one gateway', port: dc1.ports.gateway, pids: [server, near] },
    { who: 'two gateways', port: dc2.ports.gateway, pids: [server, near, far] },
  ];
  const rows: Calls[] = [];
  for (const { size, count: callers } of each) {
    for (const { who, port, pids } of ways)
      rows.push({
        ...{ who, size, callers },
        ...(await best(() => rpcCalls(port, pids, size, callers, credentials))),
      });
    rows.push({
      ...{ who: 'bare TLS', size, callers },
      ...(await best(() => bareCalls(size, callers, credentials))),
    });
  }
  printTable([
    ['calls', 'reply', 'callers', '/s', '/CPU-s', 'p50 ms', 'p99 ms'],
    ...rows.map(({ who, size, callers, perSecond, perCpuSecond, p50Ms, p99Ms }) =>
      [who, size, callers, perSecond, perCpuSecond, p50Ms, p99Ms].map(String),
    ),
  ]);
  console.log();
  return rows;
}

async function handshakes(ours: Mixed) {
  const { server, ports } = ours.sites[0] as Site;
  const credentials = makeCredentials(ours.folder);
  await using bare = await openBaseline('tls-mutual', credentials.cert, credentials.key, credentials.ca);
  const all = await compareHandshakes(
    { 'bare tls.Server': [bare], 'our port': [{ port: ports.server, pid: server?.pid as number }] },
    credentials,
    handshakeTurns,
  );
  printTable(handshakeRows(all));
  console.log();
  return all;
}

/** Consul's federation is open meanwhile, and idle while it is our turn. */
async function reads(ours: Mixed): Promise<readonly Reads[]> {
  const consul = process.env['CONSUL_BIN'] ?? '';
  if (consul !== '') process.env['FED_PEER_CONSUL'] = consul;
  await using theirs = consul === '' ? undefined : await openPair('consul');
  const those = { ours, ...(theirs === undefined ? {} : { Consul: theirs }) };
  const rows: Reads[] = [];
  // V8 compiles what runs often, and takes some ten thousand reads until it has: whoever is measured first would pay for it.
  for (const size of Object.keys(sizes) as Size[])
    await compareReads(those, { size, readers: 32, turns: 0, seconds, warmSeconds: firstWarmSeconds });
  for (const { size, count: readers } of each)
    rows.push(...(await compareReads(those, { size, readers, turns: readsTurns, seconds, warmSeconds })));
  printTable([
    [
      'reads over HTTP',
      'reply',
      'readers',
      '/s',
      '/CPU-s',
      'p50 ms',
      'p99 ms',
      'failed',
      'ours: /CPU-s',
      'p99',
    ],
    ...rows.map(
      ({ who, size, readers, perSecond, perCpuSecond, p50Ms, p99Ms, failed, perCpuRatio, p99Ratio }) => [
        ...[who, size, readers, perSecond, perCpuSecond, p50Ms, p99Ms, failed].map(String),
        ...(who === 'ours' ? [] : [shown(perCpuRatio), shown(p99Ratio)]),
      ],
    ),
  ]);
  console.log();
  return rows;
}

/** The round that took least CPU time a turn: what disturbs a measurement only ever adds to it. */
async function best<T extends { readonly perCpuSecond: number }>(measure: () => Promise<T>): Promise<T> {
  let found = await measure();
  for (let round = 1; round < rounds; round++) {
    const next = await measure();
    if (next.perCpuSecond > found.perCpuSecond) found = next;
  }
  return found;
}

async function rpcCalls(
  port: number,
  pids: readonly number[],
  size: Size,
  callers: number,
  { identity }: Credentials,
): Promise<Cost> {
  const sni = serverSni({ node: 'n1', datacenter: 'dc1', domain: 'consul' });
  await using pool = openRpcPool({
    dial: (_target, signal) =>
      dialAlpn({ via: { host, port }, sni, alpn: alpn.rpcMulti, tls: identity, signal }),
  });
  const target = { datacenter: 'dc1', node: 'n1', address: { host, port } };
  const args = { Datacenter: 'dc1', ServiceName: sizes[size] };
  return await counted(pids, callers, () =>
    pool.call(target, 'Health.ServiceNodes', args, { timeoutMs: 30_000 }),
  );
}

async function bareCalls(size: Size, callers: number, { cert, key }: Credentials): Promise<Cost> {
  await using baseline = await openBaseline('tls-reply', cert, key, String(bytesOf[size]));
  await using bare = await openBareTls(baseline.port, callers, bytesOf[size]);
  return await counted([baseline.pid], callers, () => bare.turn());
}

async function counted(
  pids: readonly number[],
  callers: number,
  turn: () => Promise<unknown>,
): Promise<Cost> {
  await rate(0.5, callers, turn);
  const used = (): number => pids.reduce((sum, pid) => sum + cpuSeconds(pid), cpuSeconds(process.pid));
  const before = used();
  const began = performance.now();
  const measured = await rate(seconds, callers, turn);
  const turns = (measured.perSecond * (performance.now() - began)) / 1000;
  return { ...measured, perCpuSecond: Math.round(turns / (used() - before)) };
}
