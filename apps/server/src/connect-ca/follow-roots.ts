/**
 * follow-roots.ts: what a secondary knows of the mesh's authority: the primary's roots, copied whenever they change.
 *
 * From them it has the cluster id, hence the trust domain its gateways route by. It asks for no intermediate of its own:
 * nothing in this datacenter signs certificates for services.
 * Lives here: the loop and its pace. Must not live here: how the primary is asked (ask), what a row means (@fed/fsm).
 * Source: Consul agent/consul/leader_connect_ca.go (secondaryCARootWatch, secondaryUpdateRoots).
 */
import { type CaRoot, type Fsm, newCaConfig, newCaRequest, newCaRoot } from '@fed/fsm';
import type { Value } from '@fed/msgpack';
import { backoffMs } from '@fed/replication';
import { asArgs, text } from '../rpc/args.ts';
import type { Ask } from '../rpc/ask.ts';
import type { World } from '../world.ts';
import { clusterIdOf } from './authority.ts';

export interface FollowRootsOptions {
  readonly datacenter: string;
  readonly primary: string;
  readonly ask: Ask;
  readonly fsm: Pick<Fsm, 'apply' | 'store'>;
  readonly clock: World['clock'];
  readonly rng: World['rng'];
  /** Called for every turn of the loop. */
  readonly onTurn?: (turn: RootsTurn) => void;
}

export type RootsTurn =
  | { readonly kind: 'copied'; readonly roots: number; readonly trustDomain: string }
  | { readonly kind: 'same' }
  | { readonly kind: 'failed'; readonly error: unknown; readonly waitMs: number };

export interface FollowRoots extends AsyncDisposable {
  /** The way to the primary may be open again: ends a wait between tries. */
  wake(): void;
}

const retry = { minMs: 1_000, maxMs: 60_000 };
/** The original asks for ten minutes at a time. */
const waitNanos = 600_000_000_000;
/** After a good answer: a primary that answers at once, always, is asked no faster than this. */
const spacingMs = 1_000;

export function openFollowRoots(o: FollowRootsOptions): FollowRoots {
  const stop = new AbortController();
  let wake: (() => void) | undefined;
  const pause = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      if (stop.signal.aborted) return resolve();
      const timer = o.clock.at(o.clock.now() + ms, () => end());
      const end = (): void => {
        timer[Symbol.dispose]();
        stop.signal.removeEventListener('abort', end);
        wake = undefined;
        resolve();
      };
      stop.signal.addEventListener('abort', end);
      wake = end;
    });
  const run = async (): Promise<void> => {
    let seenIndex = 0;
    let failures = 0;
    while (!stop.signal.aborted) {
      try {
        const answer = await rootsOf(o, seenIndex, stop.signal);
        // An index that went back is another history: everything is new.
        seenIndex = answer.index < seenIndex ? 0 : answer.index;
        failures = 0;
        o.onTurn?.(await copy(o, answer));
        await pause(spacingMs);
      } catch (error) {
        if (stop.signal.aborted) return;
        seenIndex = 0;
        failures += 1;
        const waitMs = backoffMs(failures, retry, o.rng);
        o.onTurn?.({ kind: 'failed', error, waitMs });
        await pause(waitMs);
      }
    }
  };
  const running = run();
  return {
    wake: () => wake?.(),
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('this server leads no more'));
      await running;
    },
  };
}

interface Roots {
  readonly index: number;
  readonly clusterId: string;
  readonly roots: readonly CaRoot[];
}

/** Throws for an answer that a mesh could not be built on. */
async function rootsOf(o: FollowRootsOptions, minIndex: number, signal: AbortSignal): Promise<Roots> {
  const request = { Datacenter: o.primary, MinQueryIndex: minIndex, MaxQueryTime: waitNanos };
  const reply = asArgs(await o.ask('ConnectCA.Roots', request, { signal }));
  const clusterId = text(reply, 'TrustDomain').split('.')[0] ?? '';
  const roots = ((reply['Roots'] ?? []) as readonly Value[]).map((row) => newCaRoot(row));
  const active = text(reply, 'ActiveRootID');
  if (clusterId === '') throw new Error(`${o.primary} has no trust domain yet`);
  if (roots.filter((root) => root.Active && root.ID === active).length !== 1)
    throw new Error(`${o.primary} does not name exactly one active root`);
  return { index: Number(reply['Index'] ?? 0), clusterId, roots };
}

async function copy(o: FollowRootsOptions, { clusterId, roots }: Roots): Promise<RootsTurn> {
  const { store } = o.fsm;
  let changed = false;
  if (clusterIdOf(store) !== clusterId) {
    const Config = newCaConfig({
      Config: {},
      ...store.caConfig().row,
      ClusterID: clusterId,
      Provider: 'consul',
      ModifyIndex: 0,
    });
    await o.fsm.apply({ type: 'connectCa', request: newCaRequest({ Op: 'set-config', Config }) });
    changed = true;
  }
  const known = store.caRoots();
  if (!sameRoots(known.rows, roots)) {
    const request = newCaRequest({ Op: 'set-roots', Index: known.index, Roots: roots });
    await o.fsm.apply({ type: 'connectCa', request });
    changed = true;
  }
  return changed
    ? { kind: 'copied', roots: roots.length, trustDomain: `${clusterId}.consul` }
    : { kind: 'same' };
}

/** The certificate is in the ID; beside it only being active changes, and what was cross-signed. */
function sameRoots(known: readonly CaRoot[], told: readonly CaRoot[]): boolean {
  const line = (root: CaRoot): string =>
    [root.ID, root.Active, root.ExternalTrustDomain, ...(root.IntermediateCerts ?? [])].join('\n');
  return known.length === told.length && told.every((root) => known.some((old) => line(old) === line(root)));
}
