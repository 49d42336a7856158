/**
 * story.ts: three register servers under load, faults, and the verdict.
 *
 * Lives here: what every story has in common. Must not live here: the faults of one.
 */
import assert from 'node:assert/strict';
import { notLinearizable } from '@fed/sim';
import { until } from '../lib/until.ts';
import type { EtcdCluster } from './cluster.ts';
import { Load } from './load.ts';
import { leaderAmong, patienceMs, RegisterServer } from './servers.ts';

export interface Scene {
  readonly cluster: EtcdCluster;
  readonly servers: readonly RegisterServer[];
  readonly load: Load;
  /** Runs a fault that ends a leader's time, and measures until somebody else acknowledges a write. */
  failover(fault: (leader: RegisterServer) => Promise<void> | void): Promise<RegisterServer>;
  /** Runs a fault, and measures the longest pause between two acknowledged writes since. */
  outage(what: string, fault: () => Promise<void> | void): Promise<void>;
}

/** Written in peace between two faults: enough for a snapshot or two. */
const calmWrites = 40;

/** @param faults what happens to them; afterwards the history is judged, and the figures are printed */
export async function story(
  name: string,
  cluster: EtcdCluster,
  faults: (scene: Scene) => Promise<void>,
): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const servers = await Promise.all(['n1', 'n2', 'n3'].map((node) => RegisterServer.open(node, cluster)));
  for (const server of servers) stack.use(server);
  await leaderAmong(servers);
  const load = stack.use(new Load(servers, { clients: 6, keys: 5 }));
  const failovers: number[] = [];
  const outages: string[] = [];
  await load.more(calmWrites);
  await faults({
    cluster,
    servers,
    load,
    async failover(fault) {
      const leader = await leaderAmong(servers);
      const since = performance.now();
      await fault(leader);
      failovers.push((await load.acknowledged({ not: leader.name, since })) - since);
      await load.more(calmWrites);
      return leader;
    },
    async outage(what, fault) {
      const since = performance.now();
      await fault();
      await load.more(calmWrites);
      outages.push(`${what}: no write acknowledged for ${Math.round(load.longestPauseMs(since))} ms`);
    },
  });
  const history = await load.history();
  await judge(servers, history);
  const writes = history.filter(({ kind, endedAt }) => kind === 'write' && endedAt !== undefined).length;
  console.log(
    [
      `etcd: ${name}: ${writes} writes acknowledged, ${load.unknown} unknown, ${load.refused} refused;`,
      `${history.length - writes - load.unknown} reads; linearizable`,
      ...(failovers.length === 0 ? [] : [`\netcd: ${name}: failover ${summary(failovers)}`]),
      ...outages.map((line) => `\netcd: ${name}: ${line}`),
    ].join(' '),
  );
}

async function judge(
  servers: readonly RegisterServer[],
  history: Parameters<typeof notLinearizable>[0],
): Promise<void> {
  const looks = await until('all servers have applied the same', patienceMs, async () => {
    const seen = await Promise.all(servers.map((server) => server.look()));
    return seen.every(({ stats }) => stats.lastIndex === seen[0]!.stats.lastIndex) ? seen : undefined;
  });
  for (const { state } of looks) {
    assert.deepEqual(state.violations, []);
    assert.deepEqual(state.registers, looks[0]!.state.registers);
  }
  assert.ok(
    looks.some(({ stats }) => stats.snapshotIndex > 0),
    'the log was never trimmed',
  );
  assert.deepEqual(notLinearizable(history), undefined);
}

function summary(ms: readonly number[]): string {
  const sorted = [...ms].sort((a, b) => a - b).map(Math.round);
  return `p50 ${sorted[Math.floor((sorted.length - 1) / 2)]} ms, slowest ${sorted.at(-1)} ms (${sorted.length}: ${sorted.join(', ')})`;
}
