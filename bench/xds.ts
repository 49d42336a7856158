/**
 * xds.ts: how soon gateways do what the state says: 50 datacenters of 4 gateways, 5 servers of our own, one change at a time.
 *
 * A server as it is shipped, with its log on disk; states of the other datacenters are written to it by RPC, gateways are
 * xDS streams from other processes: four as ours are, and as many more that acknowledge without looking inside, because
 * on this machine they all share a processor with the server. Two changes: a remote gateway moves (endpoints only), a
 * server of ours comes or goes (cluster, endpoints, listener). Beside them, for the same change: the write's own answer,
 * and a blocking query's. The server holds a change 10 ms for its siblings, up to 50 when they come fast; a blocking
 * query does not wait.
 *
 * CPU is what the server's threads used in a window of changes less what they used in one of the same length without. The
 * server also keeps looking for the servers of datacenters that are not there, which is most of it, and varies; so
 * the difference is shown with its spread over the windows, and it may be negative.
 *
 * `FED_BENCH_GATEWAYS=4,40` connects so many gateways instead.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { openRpcPool, type RpcPool } from '@fed/rpc';
import { Federation, temporaryFolder } from '@fed/tooling/federation';
import { threadSeconds } from './lib/cpu.ts';
import { type Latencies, median, percentiles, printTable, round } from './lib/measure.ts';
import type { Wanted } from './lib/xds-gateways.ts';

const datacenters = 50;
const gatewaysEach = 4;
const servers = 5;
const counts = (process.env['FED_BENCH_GATEWAYS'] ?? '4,40').split(',').map(Number);
/** Of changes, each followed by one of rest. */
const windows = 7;
const changesEach = 20;
/** More than these acknowledge only. */
const wholeGatewaysMax = 4;
const host = '127.0.0.1';
const here = 'dc1';
const wanfed = { 'consul-wan-federation': '1' };

interface Client {
  readonly responses: number;
  readonly responseBytes: number;
}

interface Measured {
  readonly written: Latencies;
  readonly queried: Latencies;
  readonly acknowledged: Latencies;
  /** Of one gateway, per change. */
  readonly bytes: number;
  /** Of the server, per change, in each window. */
  readonly cpuMs: readonly number[];
}

const results = [];
for (const count of counts) results.push(await measure(count));
const shown = (l: Latencies): string => `${l.p50Ms} / ${l.p99Ms} ms`;
printTable([
  [
    'gateways',
    'change',
    'written p50 / p99',
    'query answered',
    'acknowledged by each',
    'sent to each',
    'CPU of a change',
  ],
  ...results.flatMap(({ gateways, whole, ...changed }) =>
    (['moved', 'serverAdded'] as const).map((what) => [
      String(gateways),
      what === 'moved' ? 'remote gateway moved' : 'server came or went',
      shown(changed[what].written),
      shown(changed[what].queried),
      shown(changed[what].acknowledged),
      `${Math.round(changed[what].bytes)} of ${whole} bytes`,
      spread(changed[what].cpuMs),
    ]),
  ),
]);
const [few, many] = [results[0], results.at(-1)];
if (few !== undefined && many !== undefined && few !== many)
  for (const what of ['moved', 'serverAdded'] as const) {
    const further = many.gateways - few.gateways;
    const each = many[what].cpuMs.map((ms, i) => (ms - (few[what].cpuMs[i] ?? 0)) / further);
    console.log(`  ${what}: CPU of a change for each gateway more: ${spread(each)}`);
  }
for (const { gateways, restPercent } of results)
  console.log(`  ${gateways} gateways and no change: ${round(median(restPercent))} % of a core`);
console.log(
  JSON.stringify({ benchmark: 'xds', datacenters, gatewaysEach, servers, windows, changesEach, results }),
);

/** The middle one, and from the least to the greatest. */
function spread(ms: readonly number[]): string {
  return `${round(median(ms))} ms (${round(Math.min(...ms))} to ${round(Math.max(...ms))})`;
}

async function measure(count: number) {
  const folder = temporaryFolder('fed-bench');
  try {
    await using federation = await Federation.prepare({
      datacenters: [here],
      folder,
      // All states are written with one certificate.
      config: { verify_server_datacenter: false, log_level: 'error' },
    });
    federation.startServer(here);
    await federation.until('the server leads', 30_000, async () =>
      JSON.stringify(await federation.get(here, '/v1/health/node/n1')).includes('serfHealth'),
    );
    await using writer = openWriter(federation);
    await fill(federation, writer, count);
    const pid = federation.site(here).server?.pid as number;
    const ids = Array.from({ length: count }, (_, i) => gatewayId(i));
    const { ports } = JSON.parse(readFileSync(federation.site(here).configFile, 'utf8')) as {
      ports: { grpc: number };
    };
    await using gateways = openGateways(`${host}:${ports.grpc}`, ids);
    await gateways.all({ chains: chainsWith(servers), acknowledged: 'Listener' });
    const whole = Math.round(average(await clients(federation), (c) => c.responseBytes));
    const restPercent: number[] = [];
    const server = { pid, restPercent };
    return {
      gateways: count,
      whole,
      restPercent,
      moved: await moves(federation, writer, gateways, server),
      serverAdded: await comings(federation, gateways, server),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Two chains for each other datacenter, one per server, one for any, one for our own services. */
function chainsWith(serverCount: number): number {
  return 2 * (datacenters - 1) + serverCount + 2;
}

function gatewayId(i: number): string {
  return `gateway-${i}`;
}

/** Registers gateways and servers, and writes the states of the others. */
async function fill(federation: Federation, writer: Writer, count: number): Promise<void> {
  for (let i = 0; i < count; i++)
    await federation.put(here, '/v1/catalog/register', {
      Node: gatewayId(i),
      Address: host,
      Service: {
        Kind: 'mesh-gateway',
        ID: gatewayId(i),
        Service: 'mesh-gateway',
        Port: 20_000 + i,
        Meta: wanfed,
      },
    });
  for (let i = 2; i <= servers; i++) await addServer(federation, `n${i}`);
  for (let dc = 2; dc <= datacenters; dc++) await writer.write(`dc${dc}`, 8_443);
}

function addServer(federation: Federation, node: string): Promise<void> {
  return federation.put(here, '/v1/catalog/register', {
    Node: node,
    Address: host,
    Service: { ID: 'consul', Service: 'consul', Port: 8300 },
  });
}

interface Writer extends AsyncDisposable {
  /** The state of this datacenter, whose first gateway has this port. */
  write(datacenter: string, port: number): Promise<void>;
}

function openWriter(federation: Federation): Writer {
  const tls = join(federation.folder, 'tls');
  const [ca, cert, key] = ['consul-agent-ca', `${here}-server-consul-0`, `${here}-server-consul-0-key`].map(
    (name) => readFileSync(join(tls, `${name}.pem`), 'utf8'),
  ) as [string, string, string];
  const { serverPort: port } = federation.site(here);
  const pool: RpcPool = openRpcPool({
    dial: async () => {
      const socket = connectTls({
        ...{ host, port, servername: `server.${here}.consul`, ca, cert, key },
        ALPNProtocols: ['consul/rpc-multi'],
      });
      await once(socket, 'secureConnect');
      return socket;
    },
  });
  const target = { datacenter: here, node: 'n1', address: { host, port } };
  return {
    async write(datacenter, firstPort) {
      const MeshGateways = Array.from({ length: gatewaysEach }, (_, i) => ({
        Node: { Node: `g${i}`, Address: `10.9.0.${i}`, Datacenter: datacenter },
        Service: {
          Kind: 'mesh-gateway',
          ID: `g${i}`,
          Service: 'mesh-gateway',
          Address: `192.0.2.${i + 1}`,
          Port: i === 0 ? firstPort : 8_443,
          Meta: wanfed,
        },
        Checks: [],
      }));
      const State = { Datacenter: datacenter, MeshGateways };
      await pool.call(
        target,
        'FederationState.Apply',
        { Datacenter: here, Op: 'upsert', State },
        { timeoutMs: 10_000 },
      );
    },
    [Symbol.asyncDispose]: () => pool[Symbol.asyncDispose](),
  };
}

interface Server {
  readonly pid: number;
  /** Of a core, in each window of rest. */
  readonly restPercent: number[];
}

interface Gateways extends AsyncDisposable {
  /** Resolves when each has acknowledged this; the times are when each did. */
  all(wanted: Wanted): Promise<readonly number[]>;
}

function openGateways(target: string, ids: readonly string[]): Gateways {
  const start = (program: string, its: readonly string[]): ChildProcess =>
    fork(fileURLToPath(new URL(`./lib/${program}.ts`, import.meta.url)), [target, ...its], {
      execArgv: ['--conditions=@fed/source', '--disable-warning=ExperimentalWarning'],
    });
  const children = [start('xds-gateways', ids.slice(0, wholeGatewaysMax))];
  if (ids.length > wholeGatewaysMax)
    children.push(start('acknowledging-gateways', ids.slice(wholeGatewaysMax)));
  return {
    all: (wanted) =>
      new Promise((resolve, reject) => {
        const times: number[] = [];
        const over = AbortSignal.timeout(60_000);
        over.onabort = () =>
          reject(new Error(`${times.length} of ${ids.length} have ${JSON.stringify(wanted)}`));
        const hear = (): void => {
          if (times.push(performance.now()) < ids.length) return;
          over.onabort = null;
          for (const child of children) child.off('message', hear);
          resolve(times);
        };
        for (const child of children) {
          child.on('message', hear);
          child.send(wanted);
        }
      }),
    async [Symbol.asyncDispose]() {
      const ended = Promise.all(children.map((child) => once(child, 'exit')));
      for (const child of children) child.kill('SIGKILL');
      await ended;
    },
  };
}

async function clients(federation: Federation): Promise<readonly Client[]> {
  return await federation.get<readonly Client[]>(here, '/v1/agent/xds/clients');
}

function average(all: readonly Client[], of: (c: Client) => number): number {
  return all.reduce((sum, c) => sum + of(c), 0) / all.length;
}

async function moves(
  federation: Federation,
  writer: Writer,
  gateways: Gateways,
  server: Server,
): Promise<Measured> {
  return await measured(federation, gateways, server, '/v1/internal/federation-states', (turn) => {
    const datacenter = `dc${2 + (turn % (datacenters - 1))}`;
    const port = 10_000 + turn;
    return {
      wanted: {
        ...{ cluster: `server.${datacenter}.consul`, endpointPort: port },
        acknowledged: 'ClusterLoadAssignment',
      },
      write: () => writer.write(datacenter, port),
    };
  });
}

async function comings(federation: Federation, gateways: Gateways, server: Server): Promise<Measured> {
  const node = 'visitor';
  return await measured(federation, gateways, server, '/v1/catalog/service/consul', (turn) =>
    turn % 2 === 0
      ? {
          wanted: { chains: chainsWith(servers + 1), acknowledged: 'Listener' },
          write: () => addServer(federation, node),
        }
      : {
          wanted: { chains: chainsWith(servers), acknowledged: 'Listener' },
          write: () => federation.put(here, '/v1/catalog/deregister', { Node: node }),
        },
  );
}

/** `query`: what a blocking query looks at to see the same. */
async function measured(
  federation: Federation,
  gateways: Gateways,
  { pid, restPercent }: Server,
  query: string,
  change: (turn: number) => { readonly wanted: Wanted; readonly write: () => Promise<void> },
): Promise<Measured> {
  const written: number[] = [];
  const queried: number[] = [];
  const acknowledged: number[] = [];
  const url = `${federation.site(here).httpUrl}${query}`;
  const index = (await fetch(url)).headers.get('x-consul-index');
  let known = index;
  const before = await clients(federation);
  const cpuMs: number[] = [];
  for (let turn = 0; turn < windows * changesEach; ) {
    const [cpu, beganWindow] = [threadSeconds(pid), performance.now()];
    for (const end = turn + changesEach; turn < end; turn++) {
      const { wanted, write } = change(turn);
      const woken = fetch(`${url}?index=${known}&wait=60s`).then(async (response) => {
        const at = performance.now();
        await response.arrayBuffer();
        known = response.headers.get('x-consul-index');
        return at;
      });
      const done = gateways.all(wanted);
      await pause(5); // the query has begun to wait, and the gateways know what for
      const began = performance.now();
      await write();
      written.push(performance.now() - began);
      queried.push((await woken) - began);
      for (const at of await done) acknowledged.push(at - began);
    }
    const [busy, tookMs] = [threadSeconds(pid) - cpu, performance.now() - beganWindow];
    const restFrom = threadSeconds(pid);
    await pause(tookMs);
    const rest = threadSeconds(pid) - restFrom;
    restPercent.push((rest / tookMs) * 100_000);
    cpuMs.push(((busy - rest) * 1_000) / changesEach);
  }
  const after = await clients(federation);
  return {
    written: percentiles(written),
    queried: percentiles(queried),
    acknowledged: percentiles(acknowledged),
    bytes:
      (average(after, (c) => c.responseBytes) - average(before, (c) => c.responseBytes)) /
      (windows * changesEach),
    cpuMs,
  };
}
