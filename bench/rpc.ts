/**
 * rpc.ts: what a call to another datacenter costs: below HTTP, through no gateway, one and two, beside bare TLS with as many
 * bytes; as a read over HTTP, beside Consul where CONSUL_BIN names one, with our gateways in both; and a handshake, beside
 * a bare tls.Server with the same certificates.
 *
 * Servers' CPU time counts, of both sides. On a busy machine the best of FED_BENCH_ROUNDS rounds (default 1) is told.
 */
import { alpn, dialAlpn, serverSni } from '@fed/alpn-mux';
import { openRpcPool } from '@fed/rpc';
import type { Site } from '../interop/consul/mixed.ts';
import { openBareTls } from './lib/bare-tls.ts';
import { openBaseline } from './lib/child.ts';
import { cpuSeconds } from './lib/cpu.ts';
import { type Credentials, makeCredentials } from './lib/credentials.ts';
import { httpReads, openPair, type Reads, type Size, sizes } from './lib/dc-reads.ts';
import { compareHandshakes, type Handshakes, handshakeRows } from './lib/handshakes.ts';
import { type Latencies, printTable, rate } from './lib/measure.ts';

const host = '127.0.0.1';
const seconds = 2;
const rounds = Number(process.env['FED_BENCH_ROUNDS'] ?? 1);
const callerCounts = [1, 32, 256];
const handshakeTurns = 10;
const bytesOf: Record<Size, number> = { small: 1_500, large: 1_126_000 };

interface Calls extends Latencies {
  readonly perSecond: number;
  /** Of everybody who takes part: caller, gateways, server. */
  readonly perCpuSecond: number;
}

interface Row<T> {
  readonly who: string;
  readonly size: Size;
  readonly callers: number;
  readonly best: T;
}

const calls: Row<Calls>[] = [];
const reads: Row<Reads>[] = [];
let shaken: readonly Handshakes[] = [];

{
  await using ours = await openPair('ours');
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
  for (const size of Object.keys(sizes) as Size[])
    for (const callers of callerCounts) {
      for (const { who, port, pids } of ways)
        calls.push({
          who,
          size,
          callers,
          best: await best(() => rpcCalls(port, pids, size, callers, credentials)),
        });
      calls.push({
        who: 'bare TLS',
        size,
        callers,
        best: await best(() => bareCalls(size, callers, credentials)),
      });
      reads.push({
        who: 'ours',
        size,
        callers,
        best: await best(() => httpReads(ours, size, callers, seconds)),
      });
    }
  await using bare = await openBaseline('tls-mutual', credentials.cert, credentials.key, credentials.ca);
  const ourPort = { port: dc1.ports.server, pid: server };
  shaken = await compareHandshakes(
    { 'bare tls.Server': bare, 'our port': ourPort },
    credentials,
    handshakeTurns,
  );
}
const consul = process.env['CONSUL_BIN'] ?? '';
if (consul !== '') {
  process.env['FED_PEER_CONSUL'] = consul;
  await using pair = await openPair('consul');
  for (const size of Object.keys(sizes) as Size[])
    for (const callers of callerCounts)
      reads.push({
        who: 'Consul',
        size,
        callers,
        best: await best(() => httpReads(pair, size, callers, seconds)),
      });
}

const byCost = (r: { readonly perSecond: number; readonly perCpuSecond: number } & Latencies): string[] => [
  String(r.perSecond),
  String(r.perCpuSecond),
  `${r.p50Ms}`,
  `${r.p99Ms}`,
];
const header = ['/s', '/CPU-s', 'p50 ms', 'p99 ms'];
printTable([
  ['calls', 'reply', 'callers', ...header],
  ...calls.map(({ who, size, callers, best }) => [who, size, String(callers), ...byCost(best)]),
]);
console.log();
printTable([
  ['reads over HTTP', 'reply', 'readers', ...header, 'failed', 'ours beside it, per CPU-s'],
  ...reads.map(({ who, size, callers, best }) => {
    const ours = reads.find((row) => row.who === 'ours' && row.size === size && row.callers === callers);
    const factor =
      who === 'ours' ? '' : `${((ours?.best.perCpuSecond ?? 0) / best.perCpuSecond).toFixed(2)}×`;
    return [who, size, String(callers), ...byCost(best), String(best.failed), factor];
  }),
]);
console.log();
printTable(handshakeRows(shaken));
console.log(JSON.stringify({ benchmark: 'rpc', rounds, seconds, calls, reads, handshakes: shaken }));

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
): Promise<Calls> {
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

async function bareCalls(size: Size, callers: number, { cert, key }: Credentials): Promise<Calls> {
  await using baseline = await openBaseline('tls-reply', cert, key, String(bytesOf[size]));
  await using bare = await openBareTls(baseline.port, callers, bytesOf[size]);
  return await counted([baseline.pid], callers, () => bare.turn());
}

async function counted(
  pids: readonly number[],
  callers: number,
  turn: () => Promise<unknown>,
): Promise<Calls> {
  await rate(0.5, callers, turn);
  const used = (): number => pids.reduce((sum, pid) => sum + cpuSeconds(pid), cpuSeconds(process.pid));
  const before = used();
  const began = performance.now();
  const measured = await rate(seconds, callers, turn);
  const turns = (measured.perSecond * (performance.now() - began)) / 1000;
  return { ...measured, perCpuSecond: Math.round(turns / (used() - before)) };
}
