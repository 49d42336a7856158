/**
 * leader.ts: what a datacenter's leader does, from the moment it leads until it does not.
 *
 * It writes the server's own rows, publishes its gateways, and either keeps the federation states and the mesh's authority
 * (primary: pruning, root) or copies them (secondary: replication, roots). Started and stopped once per term, in one place.
 * Must not live here: how any of these duties works (@fed/replication).
 */
import type { FederationState, Fsm, NodeRow } from '@fed/fsm';
import type { Locator } from '@fed/gateway-locator';
import { goTime } from '@fed/msgpack';
import { openGatewayAntiEntropy, openPruning, openReplicator } from '@fed/replication';
import { registerCommand } from './agent/requests.ts';
import type { Config } from './config/config.ts';
import type { Authority } from './connect-ca/authority.ts';
import { openFollowRoots } from './connect-ca/follow-roots.ts';
import { classifyFailure } from './failure-kind.ts';
import { type Log, tellAntiEntropy, tellPruning, tellRoots, tellRound } from './log.ts';
import type { Router } from './router.ts';
import type { Ask } from './rpc/ask.ts';
import { ownHealth, ownService } from './self-rows.ts';
import type { World } from './world.ts';

export interface LeaderOptions {
  readonly config: Config;
  readonly world: World;
  readonly fsm: Fsm;
  readonly ask: Ask;
  readonly locator: Pick<Locator, 'hear'>;
  readonly router: Router;
  readonly self: NodeRow;
  readonly authority: Authority;
  readonly log: Log;
}

export interface LeaderDuties extends AsyncDisposable {
  /** The way to the primary may be open again: whatever waits for its next try, tries now. */
  wake(): void;
}

/** Runs the duties whenever this server leads; disposing ends them and waits until they have ended. */
export async function openLeaderDuties(o: LeaderOptions): Promise<LeaderDuties> {
  let term: Term | undefined;
  let turn: Promise<void> = Promise.resolve();
  const follow = (leads: boolean): Promise<void> => {
    // One turn after the other: a term ends whole before the next begins.
    turn = turn.then(async () => {
      if (leads && term === undefined) term = await openTerm(o);
      else if (!leads && term !== undefined) {
        await term[Symbol.asyncDispose]();
        term = undefined;
      }
    });
    return turn;
  };
  await follow(o.fsm.engine.leadership().leader);
  const listening = o.fsm.engine.onLeadership(({ leader }) => {
    follow(leader).catch((error: unknown) =>
      o.log.error({ room: 'leader', err: error }, 'a duty could not be taken up'),
    );
  });
  return {
    wake: () => term?.wake(),
    async [Symbol.asyncDispose]() {
      listening[Symbol.dispose]();
      await follow(false);
    },
  };
}

interface Term extends AsyncDisposable {
  wake(): void;
}

async function openTerm(o: LeaderOptions): Promise<Term> {
  const { config, world, fsm, ask, self } = o;
  const { clock, rng, wallMs } = world;
  const { datacenter, primary } = config;
  await fsm.apply(
    registerCommand(self, { service: ownService(config.serverPort), checks: [ownHealth(self.Node)] }),
  );

  await ensureRoot(o);
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
    onEvent: (event) => tellAntiEntropy(o.log, event),
    clock,
    rng,
  });
  const others = primary === datacenter ? [openPrimaryDuty(o)] : [openSecondaryDuty(o), openRootsDuty(o)];
  return {
    wake() {
      antiEntropy.wake();
      for (const duty of others) duty.wake();
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([antiEntropy, ...others].map((duty) => duty[Symbol.asyncDispose]()));
    },
  };
}

/** Records of datacenters that are gone for good are taken away. */
function openPrimaryDuty(o: LeaderOptions): Term {
  const { clock } = o.world;
  const pruning = openPruning({
    datacenter: o.config.datacenter,
    states: () => o.fsm.store.federationStates().rows,
    knows: (datacenter) => o.router.servers(datacenter).length > 0,
    remove: async (datacenter) => {
      await o.fsm.apply({ type: 'federationState', op: 'delete', state: null, datacenter });
    },
    onEvent: (event) => tellPruning(o.log, event),
    clock,
  });
  return { wake: () => {}, [Symbol.asyncDispose]: () => pruning[Symbol.asyncDispose]() };
}

/** The primary's records are copied, and each round tells the locator whether the way there works. */
function openSecondaryDuty(o: LeaderOptions): Term {
  const { config, world, fsm, ask } = o;
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
          : { type: 'federationState', op: 'delete', state: null, datacenter: op.datacenter },
      );
    },
    classify: classifyFailure,
    onRound: (round) => {
      o.locator.hear({ kind: 'round', ok: round.ok, transport: round.transport });
      tellRound(o.log, round);
    },
    clock: world.clock,
    rng: world.rng,
  });
}

/** The root is there before the first secondary can ask for it: one that is refused asks again much later. */
async function ensureRoot(o: LeaderOptions): Promise<void> {
  if (o.config.primary === o.config.datacenter) await o.authority.ensureRoot();
}

function openRootsDuty(o: LeaderOptions): Term {
  const { config, world, fsm, ask } = o;
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
