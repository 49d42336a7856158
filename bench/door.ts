/**
 * door.ts: what strangers cost a server, and what they cost others: 10,000 idle connections, plain and within TLS, and every
 * kind of nonsense (lib/strangers.ts), a hundred times each. Ends with 1 if one of them is not met as it must be.
 *
 * All connections come from loopback, from a hundred addresses, so that the limit of a hundred per address stays as it is.
 */
import { rmSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { alpn, dialAlpn, TlsIdentity } from '@fed/alpn-mux';
import { openRpcPool } from '@fed/rpc';
import { temporaryFolder } from '@fed/tooling/federation';
import { openOurs } from './lib/agents.ts';
import { openFilesMax, rssKiB } from './lib/cpu.ts';
import { doorAt, doorCredentials, oldCa } from './lib/door-credentials.ts';
import { holdIdle, idleAddresses } from './lib/idle.ts';
import { type Latencies, printTable, rate, round } from './lib/measure.ts';
import { strangersAt } from './lib/strangers.ts';

const host = '127.0.0.1';
/** We hold one end, the server the other, in a process with the same limit. */
const idleMax = Math.min(10_000, 100 * Math.floor((openFilesMax(32_768) * 0.8) / 100));
const each = 100;
const callers = 8;
const callSeconds = 2;
const patienceMs = 60_000;

const folder = temporaryFolder('fed-bench-door');
let failed = false;
try {
  const credentials = await doorCredentials(await oldCa(folder));
  await using server = await openOurs(folder);
  const door = doorAt(server.serverPort, credentials);
  const { own } = credentials;
  const identity = new TlsIdentity({ ca: [credentials.ca], cert: own.certificate, key: own.key });
  await using pool = openRpcPool({
    dial: (_target, signal) =>
      dialAlpn({
        via: { host, port: server.serverPort },
        sni: 'server.dc1.consul',
        alpn: alpn.rpcMulti,
        tls: identity,
        signal,
      }),
  });
  const target = { datacenter: 'dc1', node: 'n1', address: { host, port: server.serverPort } };
  const others = (): Promise<Latencies> =>
    rate(callSeconds, callers, () => pool.call(target, 'Status.Ping', {}, { timeoutMs: 30_000 }));
  const metric = async (name: string, code?: string): Promise<number> => {
    const answer = (await (await fetch(`${server.url}/v1/agent/metrics`)).json()) as Metrics;
    const found = [...answer.Counters, ...answer.Gauges].find(
      (m) => m.Name === `fed.${name}` && (code === undefined || m.Labels?.['code'] === code),
    );
    return found?.Value ?? found?.Sum ?? 0;
  };

  await others();
  const ours = await metric('door.open');
  const alone = await others();
  const rows: string[][] = [['', 'met as it must be', 'memory', 'p50 / p99 of others, ms']];
  rows.push(['nobody else', '', `${round(rssKiB(server.pid) / 1024)} MiB`, times(alone)]);

  // Those with a certificate first: where they came from nobody is turned away afterwards.
  for (const kind of ['TLS', 'plain'] as const) {
    const before = rssKiB(server.pid);
    const held = await holdIdle(kind, door, idleMax);
    const open = await metric('door.open');
    const bytes = Math.round(((rssKiB(server.pid) - before) * 1024) / held.length);
    const meanwhile = await others();
    const gone = held.filter((socket) => socket.destroyed).length;
    for (const socket of held) socket.destroy();
    await until(`the ${kind} connections are forgotten`, async () => (await metric('door.open')) <= ours);
    // Silence ends after five seconds; who has shown a certificate may be silent for as long as he likes.
    const met = kind === 'TLS' ? gone === 0 && open >= held.length : true;
    failed ||= !met;
    rows.push([
      `${held.length} idle connections, ${kind}`,
      met ? 'yes' : `NO: ${gone} are gone, ${open} open`,
      `${bytes} bytes each`,
      times(meanwhile),
    ]);
  }

  const all = await strangersAt(door);
  const before = rssKiB(server.pid);
  for (const stranger of all) {
    const [name, code] = stranger.counter;
    const counted = await metric(name, code);
    const meanwhile = others();
    let over = 0;
    const coming = Promise.all(
      Array.from({ length: each }, async (_, n) => {
        await stranger.come(idleAddresses[n % idleAddresses.length] as string);
        over++;
      }),
    );
    await Promise.race([coming, pause(patienceMs)]);
    const delay = await meanwhile;
    const grown = (await metric(name, code)) - counted;
    // Answered calls are counted of everybody.
    const met = over === each && (name === 'rpc.server.calls' ? grown >= each : grown === each);
    failed ||= !met;
    rows.push([
      `${each} × ${stranger.what}`,
      met ? `yes, in ${name}${code === undefined ? '' : ` ${code}`}` : `NO: ${over} over, counter +${grown}`,
      '',
      times(delay),
    ]);
  }
  const after = rssKiB(server.pid);
  rows.push(['after all of them', '', `${round((after - before) / 1024)} MiB more`, times(await others())]);
  for (const stranger of all) await Promise.all(idleAddresses.map((from) => stranger.come(from)));
  const more = round((rssKiB(server.pid) - after) / 1024);
  rows.push(['after as many again', '', `${more} MiB more`, times(await others())]);
  printTable(rows);
  console.log(JSON.stringify({ benchmark: 'door', idle: idleMax, each, rows: rows.slice(1) }));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
if (failed) process.exitCode = 1;

interface Metrics {
  readonly Counters: readonly Metric[];
  readonly Gauges: readonly Metric[];
}
interface Metric {
  readonly Name: string;
  readonly Value?: number;
  readonly Sum?: number;
  readonly Labels?: Readonly<Record<string, string>>;
}

function times({ p50Ms, p99Ms }: Latencies): string {
  return `${p50Ms} / ${p99Ms}`;
}

async function until(what: string, check: () => Promise<boolean>): Promise<void> {
  for (const began = performance.now(); !(await check()); await pause(100))
    if (performance.now() - began > patienceMs) throw new Error(`not within ${patienceMs} ms: ${what}`);
}
