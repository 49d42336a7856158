/**
 * neighbours.ts: what every server does about the other servers of its datacenter, leader or not: it brings them into the WAN
 * pool, names two that cannot be one datacenter, keeps its own node in the catalog, and goes looking for those it was told of.
 *
 * Must not live here: any of these (the files beside this one), what only a leader does (reconciler.ts).
 */
import type { Fsm, NodeRow } from '@fed/fsm';
import type { Serf } from '@fed/serf';
import type { OwnWrite } from '../agent/own-writes.ts';
import type { Config } from '../config/config.ts';
import type { Log } from '../log.ts';
import type { World } from '../world.ts';
import { watchForTwins } from './admission.ts';
import { openFlood } from './flood.ts';
import { openLanJoin } from './join.ts';
import { openOwnNode } from './own-node.ts';
import { tellJoin, tellNotFlooded, tellOwnNode, tellTwins } from './telling.ts';

export interface NeighboursOptions {
  readonly config: Config;
  readonly world: World;
  readonly fsm: Pick<Fsm, 'watch'>;
  readonly lan: Serf;
  readonly wan: Serf;
  readonly self: NodeRow;
  readonly write: OwnWrite;
  readonly log: Log;
}

export function openNeighbours(o: NeighboursOptions): AsyncDisposable {
  const { fsm, lan, wan, self, write, log } = o;
  const { clock, rng } = o.world;
  const { datacenter } = o.config;
  const open = new AsyncDisposableStack();
  open.use(
    openFlood({ datacenter, lan, wan, failed: (name, error) => tellNotFlooded(log, name, error), clock }),
  );
  const twins = watchForTwins(
    () => wan.members(),
    (of, names) => tellTwins(log, of, names),
  );
  open.use(wan.events(twins));
  open.use(
    openOwnNode({
      self,
      fsm,
      write,
      failed: (error, waitMs) => tellOwnNode(log, error, waitMs),
      clock,
      rng,
    }),
  );
  return open;
}

/** Last of all, when others may come: `start_join` and `retry_join`. */
export function joinNeighbours(
  o: Pick<NeighboursOptions, 'config' | 'world' | 'lan' | 'log'> & {
    readonly exhausted: (error: Error) => void;
  },
): Promise<AsyncDisposable> {
  const { lan: join, advertiseHost, bindHost, lanPort } = o.config;
  return openLanJoin({
    pool: o.lan,
    join,
    own: { hosts: [advertiseHost, bindHost], port: lanPort },
    onEvent: (event) => tellJoin(o.log, event),
    exhausted: o.exhausted,
    clock: o.world.clock,
  });
}
