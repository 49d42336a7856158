/**
 * replicator.ts: keeps our copy of everybody's gateways equal to the primary's.
 *
 * A loop: ask for what is newer than we know, which may take minutes to be answered; judge the answer; write
 * the difference, one record at a time; ask again. One answer is dealt with before the next is asked for, so
 * nothing is written out of order. Disposing ends it in the middle of whatever it does.
 * Lives here: the loop, its pace and its budgets. Must not live here: what an answer means (round.ts).
 * Source: Consul agent/consul/replication.go, federation_state_replication.go.
 */
import { type BackoffRange, backoffDefault, backoffMs } from './backoff.ts';
import type { FailureKind } from './errors.ts';
import { Loop } from './loop.ts';
import { within } from './pause.ts';
import type { Clock, FederationState, Millis, Rng } from './ports.ts';
import {
  type Answer,
  afterFailure,
  checkAnswer,
  type Doubt,
  freshMemory,
  isSecondhand,
  judge,
  type Plan,
} from './round.ts';
import { systemClock, systemRng } from './system.ts';

export type ReplicaOp =
  | { readonly kind: 'upsert'; readonly state: FederationState }
  | { readonly kind: 'delete'; readonly datacenter: string };

/** How one round went. `{ ok, transport }` is what the gateway locator wants to hear. */
export interface Round {
  readonly ok: boolean;
  /** Of a round that is not ok: whether the way to the primary is to blame. */
  readonly transport: boolean;
  readonly failure?: {
    readonly stage: 'fetch' | 'answer' | 'local' | 'delete' | 'upsert';
    readonly kind: FailureKind | 'peer' | 'local';
    readonly error: unknown;
  };
  /** Something was held back; asking again will tell. */
  readonly doubt?: Doubt;
  readonly remoteIndex: number | undefined;
  /** The answer came from a datacenter that copies its records from another one: it is no primary. */
  readonly secondhand: boolean;
  readonly upserts: number;
  readonly deletions: number;
  readonly unchanged: number;
  readonly withheld: number;
  /** Until the answer, and for applying it. */
  readonly fetchMs: number;
  readonly applyMs: number;
  /** Until the next round begins, at least. */
  readonly waitMs: number;
}

export interface ReplicatorOptions {
  /**
   * `FederationState.List` of the primary: blocks until newer than `minIndex` or some minutes have passed; 0:
   * at once.
   */
  readonly fetchRemote: (minIndex: number, signal: AbortSignal) => Promise<Answer>;
  readonly fetchLocal: () => readonly FederationState[];
  /** Resolves when applied; rejects when it never will be. */
  readonly apply: (op: ReplicaOp) => Promise<void>;
  readonly datacenter: string;
  readonly primary: string;
  readonly onRound?: (round: Round) => void;
  /** What kind of failure an error of `fetchRemote` is. Default: always transport. */
  readonly classify?: (error: unknown) => FailureKind;
  readonly clock?: Clock;
  readonly rng?: Rng;
  readonly config?: Partial<ReplicatorConfig>;
}

export interface ReplicatorConfig {
  readonly roundsPerSecond: number;
  readonly roundsBurst: number;
  readonly appliesPerSecond: number;
  readonly backoff: BackoffRange;
  /** For one fetch: the longest blocking query (300 s and a sixteenth) and time to travel. */
  readonly fetchMs: number;
  /** Until a doubted answer is asked for again, doubling while the doubt lasts. */
  readonly doubt: BackoffRange;
}

export const replicatorDefaults: ReplicatorConfig = {
  roundsPerSecond: 1,
  roundsBurst: 5,
  appliesPerSecond: 100,
  backoff: backoffDefault,
  fetchMs: 330_000,
  doubt: { minMs: 1_000, maxMs: 60_000 },
};

export interface Replicator extends AsyncDisposable {
  /**
   * The primary became reachable: ends a wait now, or the one after the fetch under way, and starts the
   * backoff over.
   */
  wake(): void;
  /**
   * Of the last round; undefined before the first has ended and after disposal, when nobody replicates any
   * more.
   */
  status(): Round | undefined;
}

export function openReplicator(o: ReplicatorOptions): Replicator {
  return new RunningReplicator(o);
}

class RunningReplicator implements Replicator {
  readonly #o: Required<Omit<ReplicatorOptions, 'config'>>;
  readonly #config: ReplicatorConfig;
  readonly #loop: Loop;
  #memory = freshMemory;
  #status: Round | undefined;

  constructor(o: ReplicatorOptions) {
    this.#o = { onRound: () => {}, classify: () => 'transport', clock: systemClock, rng: systemRng, ...o };
    this.#config = { ...replicatorDefaults, ...o.config };
    const { roundsPerSecond: perSecond, roundsBurst: burst, backoff } = this.#config;
    const { clock, rng } = this.#o;
    const stopped = 'replication was stopped';
    this.#loop = new Loop({ clock, rng, backoff, perSecond, burst, stopped, turn: () => this.#turn() });
    this.#loop.start();
  }

  wake(): void {
    this.#loop.wake();
  }

  status(): Round | undefined {
    return this.#status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#loop[Symbol.asyncDispose]();
    this.#status = undefined;
  }

  async #turn(): Promise<void> {
    const { stop, pause } = this.#loop;
    const round = await this.#round();
    if (stop.aborted) return;
    this.#status = round;
    this.#o.onRound(round);
    await pause.for(round.waitMs);
  }

  async #round(): Promise<Round> {
    const { clock } = this.#o;
    const tally = new Tally(clock.now());
    const fetched = await this.#fetch(tally);
    if (fetched.kind === 'failed') return fetched.round;
    const { answer } = fetched;
    let plan: Plan;
    try {
      checkAnswer(answer);
    } catch (error) {
      return this.#failed(tally, { stage: 'answer', kind: 'peer', error });
    }
    try {
      plan = judge(this.#memory, answer, this.#o.fetchLocal(), this.#o);
    } catch (error) {
      return this.#failed(tally, { stage: 'local', kind: 'local', error });
    }
    const failure = await this.#apply(plan, tally);
    if (failure) return this.#failed(tally, failure);
    this.#memory = plan.next;
    this.#loop.succeeded();
    const waitMs = plan.doubt ? backoffMs(plan.next.doubts, this.#config.doubt, this.#o.rng) : 0;
    return tally.round(clock.now(), {
      ok: true,
      transport: false,
      ...(plan.doubt && { doubt: plan.doubt }),
      unchanged: plan.unchanged,
      withheld: plan.withheld.length,
      waitMs,
    });
  }

  async #fetch(tally: Tally): Promise<Fetched> {
    const { clock, fetchRemote, classify } = this.#o;
    const minIndex = this.#memory.minIndex;
    const what = 'federation states of the primary';
    const budget = { clock, ms: this.#config.fetchMs, stop: this.#loop.stop, what };
    try {
      const answer = await within((signal) => fetchRemote(minIndex, signal), budget);
      tally.answered(answer, this.#o.primary, clock.now());
      return { kind: 'answer', answer };
    } catch (error) {
      tally.unanswered(clock.now());
      return { kind: 'failed', round: this.#failed(tally, { stage: 'fetch', kind: classify(error), error }) };
    }
  }

  /** Deletions first, then updates, evenly paced; stops between two of them, never within one. */
  async #apply(plan: Plan, tally: Tally): Promise<Round['failure'] | undefined> {
    const ops: readonly ReplicaOp[] = [
      ...plan.deletions.map((datacenter) => ({ kind: 'delete' as const, datacenter })),
      ...plan.updates.map((state) => ({ kind: 'upsert' as const, state })),
    ];
    for (const [at, op] of ops.entries()) {
      if (at > 0) await this.#loop.pause.gap(1_000 / this.#config.appliesPerSecond);
      if (this.#loop.stop.aborted) return undefined;
      try {
        await this.#o.apply(op);
      } catch (error) {
        return { stage: op.kind, kind: 'local', error };
      }
      tally.applied(op);
    }
    return undefined;
  }

  #failed(tally: Tally, failure: NonNullable<Round['failure']>): Round {
    this.#memory = afterFailure(this.#memory);
    return tally.round(this.#o.clock.now(), {
      ok: false,
      transport: failure.kind === 'transport',
      failure,
      unchanged: 0,
      withheld: 0,
      waitMs: this.#loop.failed(),
    });
  }
}

type Fetched =
  | { readonly kind: 'answer'; readonly answer: Answer }
  | { readonly kind: 'failed'; readonly round: Round };

/** Counts while a round goes on. */
class Tally {
  readonly #began: Millis;
  #answeredAt: Millis;
  #index: number | undefined;
  #secondhand = false;
  #upserts = 0;
  #deletions = 0;

  constructor(now: Millis) {
    this.#began = now;
    this.#answeredAt = now;
  }
  answered(answer: Answer, primary: string, now: Millis): void {
    this.#index = answer.index;
    this.#secondhand = isSecondhand(answer, primary);
    this.#answeredAt = now;
  }
  unanswered(now: Millis): void {
    this.#answeredAt = now;
  }
  applied(op: ReplicaOp): void {
    if (op.kind === 'upsert') this.#upserts++;
    else this.#deletions++;
  }
  round(
    now: Millis,
    o: Omit<Round, 'remoteIndex' | 'secondhand' | 'upserts' | 'deletions' | 'fetchMs' | 'applyMs'>,
  ): Round {
    return {
      ...o,
      remoteIndex: this.#index,
      secondhand: this.#secondhand,
      upserts: this.#upserts,
      deletions: this.#deletions,
      fetchMs: this.#answeredAt - this.#began,
      applyMs: now - this.#answeredAt,
    };
  }
}
