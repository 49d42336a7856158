/**
 * wan-members.ts: what the WAN pool's members mean to us: who may be one, who can be asked, who must be met again.
 *
 * Source of the admission rules: Consul agent/consul/merge.go.
 */
import { UnreachableError, wanName } from '@fed/alpn-mux';
import type { Locator } from '@fed/gateway-locator';
import type { RpcPool } from '@fed/rpc';
import type { Candidate, Serf, SerfEvent } from '@fed/serf';
import type { WanfedTransport } from '@fed/wanfed-transport';
import type { Log } from './log.ts';
import type { Reach } from './reach.ts';
import type { Router } from './router.ts';
import { readServer } from './tags.ts';

/** TEST-NET-1: stands where an address is required and a name decides. It is never dialled. */
const addressOfAny = '192.0.2.2';

/** The WAN pool is for servers. */
export function refuseStrangers(candidate: Candidate): string | undefined {
  const server = readServer(candidate);
  return typeof server === 'string' ? `Member '${candidate.name}' is not a server: ${server}` : undefined;
}

/** Keeps the router's lists as the pool sees the world, and closes connections to who is gone. */
export function followMembers(event: SerfEvent, router: Router, pool: Pick<RpcPool, 'drop'>): void {
  if (event.kind === 'user' || event.kind === 'query') return;
  for (const member of event.members) {
    const server = readServer(member);
    if (typeof server === 'string') continue;
    switch (event.kind) {
      case 'member-join':
      case 'member-update':
        router.seen(server, true);
        break;
      case 'member-failed':
        router.seen(server, false);
        break;
      case 'member-leave':
      case 'member-reap':
        router.gone(server.datacenter, server.name);
        pool.drop((target) => target.datacenter === server.datacenter && target.node === server.name);
        break;
    }
  }
}

/**
 * A route is new, or leads through other gateways: what clung to the old one is let go, and the datacenter is met again.
 * Between two secondaries a member that is alive needs no meeting: the primary has met both, and gossip flows over the new
 * route. Without that exception every pair exchanges all it knows: at 200 datacenters 40,000 times to form, and 200 times
 * with the one whose gateway changed.
 */
export function followRoutes(
  changed: readonly string[],
  o: {
    readonly datacenter: string;
    readonly primary: string;
    readonly router: Pick<Router, 'route'>;
    readonly transport: Pick<WanfedTransport, 'dropDatacenter'>;
    readonly pool: Pick<RpcPool, 'forgive' | 'renew'>;
    readonly reach: Reach;
  },
): void {
  for (const to of changed) {
    if (to === o.datacenter) continue;
    o.transport.dropDatacenter(to);
    o.pool.renew(to);
    o.pool.forgive(to);
    const withPrimary = o.datacenter === o.primary || to === o.primary;
    if (withPrimary || o.router.route(to).kind !== 'server') o.reach.want(to);
  }
}

/** When the last member of another datacenter fails, we keep asking for it instead of waiting to be found. */
export function meetAgain(
  event: SerfEvent,
  o: { readonly datacenter: string; readonly router: Router; readonly reach: Reach },
): void {
  if (event.kind !== 'member-failed') return;
  for (const { tags } of event.members) {
    const lost = tags['dc'] ?? '';
    if (lost !== o.datacenter && o.router.route(lost).kind === 'unreachable') o.reach.want(lost);
  }
}

/** Servers of other datacenters that gossip calls alive, by their names in the WAN pool. */
export function othersAlive(
  own: string,
  router: Pick<Router, 'datacenters' | 'servers'>,
): readonly { readonly name: string; readonly datacenter: string }[] {
  return router
    .datacenters()
    .filter((datacenter) => datacenter !== own)
    .flatMap((datacenter) =>
      router
        .servers(datacenter)
        .filter(({ alive }) => alive)
        .map(({ name }) => ({ name: wanName(name, datacenter), datacenter })),
    );
}

/** One push/pull with whichever server of the datacenter its gateway hands us to. */
export async function meet(pool: Serf, datacenter: string, port: number, signal: AbortSignal): Promise<void> {
  await pool.join([`*.${datacenter}/${addressOfAny}:${port}`], { ignoreOld: true, signal });
}

export function logMeeting(log: Log, datacenter: string, tries: number): void {
  log.info({ room: 'wan', datacenter, tries }, `met ${datacenter}`);
}

/** The first failure is worth a line, and then every hundredth: a gateway may be away for days. */
export function logFailedMeeting(log: Log, datacenter: string, tries: number, error: unknown): void {
  const level = tries === 1 || tries % 100 === 0 ? 'warn' : 'debug';
  log[level](
    { room: 'wan', datacenter, tries, cause: (error as Error).message },
    `could not meet ${datacenter}; trying again`,
  );
}

/** Of a meeting that failed because no gateway led there: which hop is broken. */
export function whyUnmet(locator: Pick<Locator, 'diagnose'>, datacenter: string, error: unknown): unknown {
  for (const each of causesOf(error))
    if (each instanceof UnreachableError)
      return new Error(locator.diagnose(datacenter, each.attempts).text, { cause: error });
  return error;
}

/** The error, those it names as its cause, and those it collects. */
function* causesOf(error: unknown): Generator<unknown> {
  yield error;
  if (typeof error !== 'object' || error === null) return;
  const { cause, errors = [] } = error as { readonly cause?: unknown; readonly errors?: readonly unknown[] };
  if (cause !== undefined) yield* causesOf(cause);
  for (const each of errors) yield* causesOf(each);
}

export async function forceLeave(pool: Serf, name: string, prune: boolean): Promise<boolean> {
  if (pool.member(name) === undefined) return false;
  await pool.forceLeave(name, { prune });
  return true;
}

/** Own datacenter first, the others by name. */
export function nearestFirst(own: string, datacenters: readonly string[]): readonly string[] {
  return [...datacenters].sort((a, b) => Number(b === own) - Number(a === own) || (a < b ? -1 : 1));
}
