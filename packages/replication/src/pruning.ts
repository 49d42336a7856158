/**
 * pruning.ts: removes the records of datacenters that are gone; on the primary's leader only.
 *
 * Gone is who was missing from the list of known datacenters several times in a row, observed by somebody old
 * enough to know: a primary that restarts dials nobody, and needs the others to come back to it before it may
 * judge.
 * Lives here: counting absences, the clockwork. Must not live here: who is a member, who leads.
 * Source: Consul agent/consul/leader_federation_state_ae.go (pruneStaleFederationStates); better in that it
 * looks thrice.
 */
import { keyOf } from './content.ts';
import { within } from './pause.ts';
import type { Clock, FederationState, Millis } from './ports.ts';
import { systemClock } from './system.ts';

export interface PruningConfig {
  readonly intervalMs: number;
  /** Observations in a row. With the interval this also says how long somebody must be gone. */
  readonly absencesMin: number;
  /** Nothing is removed before this process is so old. */
  readonly ageMs: number;
  readonly removeMs: number;
}

export const pruningDefaults: PruningConfig = {
  intervalMs: 20 * 60_000,
  absencesMin: 3,
  ageMs: 60 * 60_000,
  removeMs: 30_000,
};

export type PruningEvent =
  | { readonly kind: 'pruned'; readonly datacenter: string; readonly absences: number }
  | { readonly kind: 'failed'; readonly datacenter: string; readonly error: unknown };

export interface PruningOptions {
  /** Our own datacenter, the primary: never removed. */
  readonly datacenter: string;
  readonly states: () => readonly FederationState[];
  /** Whether any server of this datacenter is known, alive or failed. */
  readonly knows: (datacenter: string) => boolean;
  readonly remove: (datacenter: string, signal: AbortSignal) => Promise<void>;
  readonly onEvent?: (event: PruningEvent) => void;
  /** When this process started, on `clock`. Default: now. */
  readonly startedAt?: Millis;
  readonly clock?: Clock;
  readonly config?: Partial<PruningConfig>;
}

export interface Pruning extends AsyncDisposable {
  /** How often in a row each datacenter with a record was missing. */
  absences(): ReadonlyMap<string, number>;
}

export function openPruning(o: PruningOptions): Pruning {
  return new RunningPruning(o);
}

/** One observation: the new counts, and who may go. */
function observe(
  absences: ReadonlyMap<string, number>,
  o: {
    readonly datacenter: string;
    readonly recorded: readonly string[];
    readonly knows: (datacenter: string) => boolean;
    readonly oldEnough: boolean;
    readonly absencesMin: number;
  },
): { readonly absences: ReadonlyMap<string, number>; readonly gone: readonly string[] } {
  const next = new Map<string, number>();
  for (const datacenter of o.recorded) {
    const key = keyOf(datacenter);
    if (key === keyOf(o.datacenter) || o.knows(key)) continue;
    next.set(key, (absences.get(key) ?? 0) + 1);
  }
  const gone = o.oldEnough ? [...next].filter(([, times]) => times >= o.absencesMin).map(([key]) => key) : [];
  return { absences: next, gone };
}

class RunningPruning implements Pruning {
  readonly #o: Required<Omit<PruningOptions, 'config'>>;
  readonly #config: PruningConfig;
  readonly #stop = new AbortController();
  #absences: ReadonlyMap<string, number> = new Map();
  #timer: Disposable;
  #working: Promise<void> = Promise.resolve();

  constructor(o: PruningOptions) {
    const clock = o.clock ?? systemClock;
    this.#o = { onEvent: () => {}, startedAt: clock.now(), ...o, clock };
    this.#config = { ...pruningDefaults, ...o.config };
    this.#timer = this.#next();
  }

  absences(): ReadonlyMap<string, number> {
    return this.#absences;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('pruning was stopped'));
    this.#timer[Symbol.dispose]();
    await this.#working;
  }

  #next(): Disposable {
    const { clock } = this.#o;
    return clock.at(clock.now() + this.#config.intervalMs, () => {
      this.#working = this.#look();
    });
  }

  async #look(): Promise<void> {
    const { clock, datacenter, states, knows, startedAt, remove, onEvent } = this.#o;
    const { absencesMin, ageMs, removeMs } = this.#config;
    let observed: ReturnType<typeof observe>;
    try {
      observed = observe(this.#absences, {
        datacenter,
        recorded: states().map((state) => state.Datacenter),
        knows,
        oldEnough: clock.now() - startedAt >= ageMs,
        absencesMin,
      });
    } catch (error) {
      // The store is closing, or broken: nothing was observed, and nobody is gone.
      onEvent({ kind: 'failed', datacenter, error });
      if (!this.#stop.signal.aborted) this.#timer = this.#next();
      return;
    }
    const { absences, gone } = observed;
    const counted = new Map(absences);
    this.#absences = counted;
    for (const key of gone) {
      if (this.#stop.signal.aborted) return;
      const budget = { clock, ms: removeMs, stop: this.#stop.signal, what: `removing the record of ${key}` };
      try {
        await within((signal) => remove(key, signal), budget);
        counted.delete(key); // should it come back, it is new
        onEvent({ kind: 'pruned', datacenter: key, absences: absences.get(key) ?? 0 });
      } catch (error) {
        if (!this.#stop.signal.aborted) onEvent({ kind: 'failed', datacenter: key, error });
      }
    }
    if (!this.#stop.signal.aborted) this.#timer = this.#next();
  }
}
