/**
 * leader.ts: what a datacenter's leader does, from the moment it leads until it does not.
 *
 * It keeps the servers and other members of its datacenter in the catalog, publishes its gateways, and either keeps the
 * federation states and the mesh's authority (primary: pruning, root) or copies them (secondary: replication, roots). Begun
 * and ended once per term, in one place; what a term began to write is not written in the next.
 * Must not live here: how any of these duties works (@fed/replication, lan/), the order of terms (terms.ts).
 */
import { type Command, type FederationState, type Fsm, type NodeRow, newFederationState } from '@fed/fsm';
import type { Locator } from '@fed/gateway-locator';
import { goTime } from '@fed/msgpack';
import { openEntryReplicator, openGatewayAntiEntropy, openPruning, openReplicator } from '@fed/replication';
import type { Serf } from '@fed/serf';
import type { Config } from './config/config.ts';
import { fetchConfigEntries } from './config-entries/fetch.ts';
import type { Authority } from './connect-ca/authority.ts';
import { openFollowRoots } from './connect-ca/follow-roots.ts';
import { classifyFailure } from './failure-kind.ts';
import { openReconciler } from './lan/reconciler.ts';
import { tellReconciled } from './lan/telling.ts';
import {
  type Log,
  tellAntiEntropy,
  tellEntryRound,
  tellPruning,
  tellRoots,
  tellRound,
  tellTerm,
} from './log.ts';
import { onRestored } from './on-restored.ts';
import type { Router } from './router.ts';
import type { Ask } from './rpc/ask.ts';
import { takePlace } from './snapshot/take-place.ts';
import type { Observed } from './status/observed.ts';
import { Terms } from './terms.ts';
import type { World } from './world.ts';

export interface LeaderOptions {
  readonly config: Config;
  readonly world: World;
  readonly fsm: Fsm;
  readonly ask: Ask;
  readonly locator: Pick<Locator, 'hear'>;
  readonly router: Router;
  readonly self: NodeRow;
  /** The mesh's authority, writing with this hand. */
  readonly authorityOn: (fsm: Pick<Fsm, 'apply' | 'store'>) => Authority;
  readonly lan: Pick<Serf, 'members' | 'member' | 'events' | 'userEvent'>;
  readonly observed: Pick<Observed, 'published' | 'replicated'>;
  readonly log: Log;
}

/** Client agents of the original look again for whatever they were refused when they hear it. */
const newLeaderEvent = 'consul:new-leader';

export interface LeaderDuties extends AsyncDisposable {
  /** The way to the primary may be open again: whatever waits for its next try, tries now. */
  wake(): void;
}

/** Runs the duties whenever this server leads; disposing ends them and waits until they have ended. */
export async function openLeaderDuties(o: LeaderOptions): Promise<LeaderDuties> {
  const { clock, rng } = o.world;
  const terms = new Terms({
    engine: o.fsm.engine,
    begin: (term, over) => openTerm(o, term, over),
    onEvent: (event) => tellTerm(o.log, event),
    clock,
    rng,
  });
  // Who leads from the start is expected to have its rows in the catalog once it is up.
  await terms.settled();
  return {
    wake: () => terms.current?.wake(),
    [Symbol.asyncDispose]: () => terms[Symbol.asyncDispose](),
  };
}

interface Duty extends AsyncDisposable {
  wake(): void;
}

/** Whatever is written below is written in this term or not at all. */
type InTerm = Pick<Fsm, 'store' | 'apply' | 'query'>;

async function openTerm(o: LeaderOptions, term: number, over: AbortSignal): Promise<Duty> {
  const { config, world, ask, self, lan } = o;
  const { clock, rng, wallMs } = world;
  const { datacenter, primary } = config;
  const fsm: InTerm = {
    store: o.fsm.store,
    query: (options, read) => o.fsm.query(options, read),
    apply: (command) => o.fsm.apply(command, { term }),
  };
  // What earlier leaders acknowledged is here before anything is decided by what is here.
  await o.fsm.engine.barrier(over);
  await takePlace({ fsm, self, serverPort: config.serverPort });
  // The root is there before the first secondary can ask for it: one that is refused asks again much later.
  if (primary === datacenter) await o.authorityOn(fsm).ensureRoot();
  lan.userEvent(newLeaderEvent, Buffer.from(self.Node));
  const reconciler = openReconciler({
    datacenter,
    self: self.Node,
    pool: lan,
    store: fsm.store,
    onRestored: (listener) => onRestored(o.fsm, listener),
    apply: (command) => fsm.apply(command),
    onEvent: (event) => tellReconciled(o.log, event),
    clock,
    rng,
  });
  const antiEntropy = openGatewayAntiEntropy({
    datacenter,
    watch: async (minIndex, signal) => {
      const { index, value } = await fsm.query({ minIndex, waitMs: 0, signal }, (store) => {
        const gateways = store.serviceKind('mesh-gateway');
        const stored = store.federationState(datacenter);
        return {
          index: Math.max(gateways.index, stored.index),
          value: { gateways: gateways.rows, stored: stored.row },
        };
      });
      return { index, ...value };
    },
    publish: async (state, signal) => {
      await ask(
        'FederationState.Apply',
        { Datacenter: primary, Op: 'upsert', State: state, Token: '' },
        { signal },
      );
    },
    classify: classifyFailure,
    stamp: () => goTime(wallMs()),
    onEvent: (event) => {
      o.observed.published(event);
      tellAntiEntropy(o.log, event);
    },
    clock,
    rng,
  });
  const others =
    primary === datacenter
      ? [openPrimaryDuty(o, fsm)]
      : [openSecondaryDuty(o, fsm), openRootsDuty(o, fsm), openEntriesDuty(o, fsm)];
  return {
    wake() {
      antiEntropy.wake();
      for (const duty of others) duty.wake();
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([reconciler, antiEntropy, ...others].map((duty) => duty[Symbol.asyncDispose]()));
    },
  };
}

/** Whose record it is stands in the record, as the original writes it; the command's own datacenter is for routing. */
function forgetting(datacenter: string): Command {
  const state = newFederationState({ Datacenter: datacenter });
  return { type: 'federationState', op: 'delete', state };
}

/** Records of datacenters that are gone for good are taken away. */
function openPrimaryDuty(o: LeaderOptions, fsm: InTerm): Duty {
  const { clock } = o.world;
  const pruning = openPruning({
    datacenter: o.config.datacenter,
    states: () => fsm.store.federationStates().rows,
    knows: (datacenter) => o.router.servers(datacenter).length > 0,
    remove: async (datacenter) => {
      await fsm.apply(forgetting(datacenter));
    },
    onEvent: (event) => tellPruning(o.log, event),
    clock,
  });
  return { wake: () => {}, [Symbol.asyncDispose]: () => pruning[Symbol.asyncDispose]() };
}

/** The primary's records are copied, and each round tells the locator whether the way there works. */
function openSecondaryDuty(o: LeaderOptions, fsm: InTerm): Duty {
  const { config, world, ask } = o;
  return openReplicator({
    datacenter: config.datacenter,
    primary: config.primary,
    fetchRemote: async (minIndex, signal) => {
      const reply = (await ask(
        'FederationState.List',
        { Datacenter: config.primary, AllowStale: true, MinQueryIndex: minIndex, MaxQueryTime: 0 },
        { signal },
      )) as unknown as { readonly Index: number; readonly States: readonly FederationState[] | null };
      return { index: reply.Index, states: reply.States ?? [] };
    },
    fetchLocal: () => fsm.store.federationStates().rows,
    apply: async (op) => {
      await fsm.apply(
        op.kind === 'upsert'
          ? { type: 'federationState', op: 'upsert', state: op.state }
          : forgetting(op.datacenter),
      );
    },
    classify: classifyFailure,
    onRound: (round) => {
      o.locator.hear({ kind: 'round', ok: round.ok, transport: round.transport });
      o.observed.replicated(round);
      tellRound(o.log, round);
    },
    clock: world.clock,
    rng: world.rng,
  });
}

function openRootsDuty(o: LeaderOptions, fsm: InTerm): Duty {
  const { config, world, ask } = o;
  return openFollowRoots({
    datacenter: config.datacenter,
    primary: config.primary,
    ask,
    fsm,
    clock: world.clock,
    rng: world.rng,
    onTurn: (turn) => tellRoots(o.log, turn),
  });
}

/** What operators say in the primary holds here, too. */
function openEntriesDuty(o: LeaderOptions, fsm: InTerm): Duty {
  const { config, world, ask } = o;
  return openEntryReplicator({
    fetchRemote: (minIndex, signal) => fetchConfigEntries({ ask, primary: config.primary, minIndex, signal }),
    fetchLocal: () => fsm.store.configEntries().rows,
    apply: async ({ kind, entry }) => {
      await fsm.apply({ type: 'configEntry', request: { op: `replicate-${kind}`, entry } });
    },
    onRound: (round) => tellEntryRound(o.log, round),
    clock: world.clock,
    rng: world.rng,
  });
}
