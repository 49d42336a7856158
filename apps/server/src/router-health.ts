/**
 * router-health.ts: asks the servers of other datacenters whether they answer, before somebody needs them.
 *
 * Every few minutes the list of each datacenter is shuffled and asked from its top; the first to answer stays there. So
 * load spreads, a server that gossip calls alive and that does not answer is not asked first, and peers see us ping, too.
 * Lives here: the rounds. Must not live here: the lists (router.ts), connections.
 * Source: Consul agent/router/manager.go (RebalanceServers, refreshServerRebalanceTimer): first after 2 minutes, then
 * every 2 to 3.
 */
import type { RpcTarget } from '@fed/rpc';
import type { RoutedServer, Router } from './router.ts';
import type { World } from './world.ts';

export interface RouterHealthOptions {
  readonly datacenter: string;
  readonly router: Pick<Router, 'datacenters' | 'servers' | 'arrange'>;
  /** Status.Ping; rejects when there is no answer in time. */
  readonly ping: (target: RpcTarget, signal: AbortSignal) => Promise<unknown>;
  readonly onRound?: (round: HealthRound) => void;
  readonly clock: World['clock'];
  readonly rng: World['rng'];
}

export interface HealthRound {
  readonly datacenter: string;
  /** Undefined: none of them did. */
  readonly answered: string | undefined;
  readonly silent: readonly { readonly name: string; readonly error: unknown }[];
}

/** A server that takes longer to say that it is there does not count as there. */
export const pingMsMax = 10_000;

const everyMs = 120_000;
const jitterMs = 60_000;

export function openRouterHealth(o: RouterHealthOptions): AsyncDisposable {
  const stop = new AbortController();
  let running: Promise<unknown> = Promise.resolve();
  let timer: Disposable | undefined;
  const arm = (jitter: number): void => {
    timer = o.clock.at(o.clock.now() + everyMs + o.rng.below(jitter), () => {
      const others = o.router.datacenters().filter((datacenter) => datacenter !== o.datacenter);
      // One sick datacenter does not hold up the others.
      running = Promise.all(others.map((datacenter) => round(o, datacenter, stop.signal))).then(() => {
        if (!stop.signal.aborted) arm(jitterMs);
      });
    });
  };
  arm(1);
  return {
    async [Symbol.asyncDispose]() {
      timer?.[Symbol.dispose]();
      stop.abort(new Error('this server is stopping'));
      await running;
    },
  };
}

async function round(o: RouterHealthOptions, datacenter: string, signal: AbortSignal): Promise<void> {
  const silent: { name: string; error: unknown }[] = [];
  let answered: string | undefined;
  // Whom gossip calls failed is asked last.
  const order = shuffled(o.router.servers(datacenter), o.rng).sort(
    (a, b) => Number(b.alive) - Number(a.alive),
  );
  for (const server of order) {
    if (signal.aborted) return;
    try {
      const address = { host: server.host, port: server.port };
      await o.ping({ datacenter, node: server.name, address }, signal);
      answered = server.name;
      break;
    } catch (error) {
      silent.push({ name: server.name, error });
    }
  }
  if (signal.aborted) return;
  const quiet = new Set(silent.map(({ name }) => name));
  const names = order.map(({ name }) => name);
  o.router.arrange(datacenter, [...names.filter((name) => !quiet.has(name)), ...quiet]);
  o.onRound?.({ datacenter, answered, silent });
}

function shuffled(servers: readonly RoutedServer[], rng: World['rng']): RoutedServer[] {
  const list = [...servers];
  for (let last = list.length - 1; last > 0; last -= 1) {
    const other = rng.below(last + 1);
    [list[last], list[other]] = [list[other] as RoutedServer, list[last] as RoutedServer];
  }
  return list;
}
