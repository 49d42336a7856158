/**
 * telling.ts: what happens between the servers of a datacenter, as lines of the log.
 */
import type { Log } from '../log.ts';
import type { JoinEvent } from './join.ts';
import type { ReconcileEvent } from './reconciler.ts';

export function tellReconciled(log: Log, event: ReconcileEvent): void {
  const room = 'catalog';
  const { node } = event;
  if (event.kind === 'written')
    log.info({ room, node, status: event.status }, `${node} is ${event.status}; the catalog says so now`);
  else
    log.warn(
      { room, node, waitMs: event.waitMs, cause: (event.error as Error).message },
      `what gossip says of ${node} could not be written; trying again`,
    );
}

export function tellOwnNode(log: Log, error: unknown, waitMs: number): void {
  log.warn(
    { room: 'catalog', waitMs, cause: (error as Error).message },
    "this server's node could not be written into the catalog; trying again",
  );
}

export function tellAlone(log: Log, node: string, why: string): void {
  log.error({ room: 'lan', node }, why);
}

export function tellTwins(log: Log, datacenter: string, names: readonly string[]): void {
  log.error(
    { room: 'wan', datacenter, servers: names },
    `${names.join(' and ')} are servers of ${datacenter} with a log each, so readers find now the one, now the other: give them one etcd cluster (engine = { type = "etcd", ... }), or stop all but one`,
  );
}

export function tellNotFlooded(log: Log, member: string, error: unknown): void {
  log.warn(
    { room: 'wan', member, cause: (error as Error).message },
    `${member} could not be brought into the WAN pool; trying again within a minute`,
  );
}

export function tellJoin(log: Log, event: JoinEvent): void {
  const room = 'lan';
  const { attempts } = event;
  if (event.kind === 'joined') {
    log.info({ room, attempts, addresses: event.addresses }, 'joined the servers of this datacenter');
    return;
  }
  // The first failure is worth a line, and then every hundredth.
  const level = attempts === 1 || attempts % 100 === 0 ? 'warn' : 'debug';
  log[level](
    { room, attempts, waitMs: event.waitMs, cause: (event.error as Error).message },
    'no server of this datacenter could be joined; trying again',
  );
}
