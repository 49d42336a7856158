/**
 * locator-news.ts: whatever tells where gateways are, on its way to the locator: records, catalog, gossip, configuration.
 *
 * The locator asks nobody; everything it knows was brought to it here or taught by a dial.
 */
import type { Fsm } from '@fed/fsm';
import { type Locator, openDiscovery } from '@fed/gateway-locator';
import type { Serf } from '@fed/serf';
import type { Config } from './config/config.ts';
import { GatewayNews, tellGateways } from './gateway-news.ts';
import type { Log } from './log.ts';
import type { Observed } from './status/observed.ts';
import type { World } from './world.ts';

export interface LocatorNewsOptions {
  readonly config: Config;
  readonly world: World;
  readonly fsm: Fsm;
  readonly locator: Locator;
  readonly wan: Serf;
  readonly observed: Pick<Observed, 'resolved'>;
  readonly log: Log;
}

export interface LocatorNews extends AsyncDisposable {
  /** These are the primary's gateways as configured; what they stand for is asked again now. */
  lookFor(primaryGateways: readonly string[]): void;
}

export function openLocatorNews(o: LocatorNewsOptions): LocatorNews {
  const { config, fsm, locator, wan, observed, log } = o;
  const { datacenter, primary } = config;
  const { clock, rng, machine } = o.world;
  const open = new AsyncDisposableStack();
  const news = new GatewayNews({ primary, locator });
  open.use(wan.events((event) => news.event(event)));
  news.members(wan.members());
  open.use(
    tellGateways({
      datacenter,
      primary,
      fsm,
      pool: wan,
      failed: (err) => log.warn({ room: 'wan', err }, 'could not tell our gateways over gossip'),
    }),
  );
  open.use(
    fsm.watch(
      (store) => store.federationStates().rows,
      (states) => locator.hear({ kind: 'states', states }),
    ),
  );
  open.use(
    fsm.watch(
      (store) => store.serviceKind('mesh-gateway').rows,
      (gateways) => locator.hear({ kind: 'localGateways', gateways }),
    ),
  );
  const discovery = open.use(
    openDiscovery({
      ...machine.discovery,
      entries: config.primaryGateways,
      intervalMs: config.primaryGatewaysIntervalMs,
      clock,
      rng,
      onAddresses: (addresses) => locator.hear({ kind: 'fallbacks', addresses }),
      onEntry: (report) => observed.resolved(report),
    }),
  );
  return {
    lookFor: (entries) => discovery.replace(entries),
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  };
}
