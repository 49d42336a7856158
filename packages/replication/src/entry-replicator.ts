/**
 * entry-replicator.ts: keeps our copy of the config entries equal to the primary's.
 *
 * The same loop as for federation states: ask for what is newer, judge the answer, write the difference one entry at a time,
 * ask again. Disposing ends it in the middle of whatever it does.
 * Lives here: the loop, its pace and its budgets. Must not live here: what an answer means (entry-round.ts).
 * Source: Consul agent/consul/replication.go, config_replication.go.
 */
import type { ConfigEntry } from '@fed/fsm';
import { type BackoffRange, backoffDefault, backoffMs } from './backoff.ts';
import {
  afterEntryFailure,
  checkEntries,
  type EntryAnswer,
  type EntryPlan,
  freshEntryMemory,
  judgeEntries,
} from './entry-round.ts';
import { Loop } from './loop.ts';
import { within } from './pause.ts';
import type { Clock, Rng } from './ports.ts';
import { systemClock, systemRng } from './system.ts';

export type EntryOp = { readonly kind: 'upsert' | 'delete'; readonly entry: ConfigEntry };

export interface EntryRound {
  readonly ok: boolean;
  readonly failure?: { readonly stage: 'fetch' | 'answer' | EntryOp['kind']; readonly error: unknown };
  /** Something was held back; asking again will tell. */
  readonly doubt?: NonNullable<EntryPlan['doubt']>;
  readonly remoteIndex: number | undefined;
  readonly upserts: number;
  readonly deletions: number;
  /** Until the next round begins, at least. */
  readonly waitMs: number;
}

export interface EntryReplicatorOptions {
  /** `ConfigEntry.ListAll` of the primary: blocks until newer than `minIndex` or some minutes have passed; 0: at once. */
  readonly fetchRemote: (minIndex: number, signal: AbortSignal) => Promise<EntryAnswer>;
  readonly fetchLocal: () => readonly ConfigEntry[];
  /** Resolves when applied; rejects when it never will be. */
  readonly apply: (op: EntryOp) => Promise<void>;
  readonly onRound?: (round: EntryRound) => void;
  readonly clock?: Clock;
  readonly rng?: Rng;
  readonly config?: Partial<EntryReplicatorConfig>;
}

export interface EntryReplicatorConfig {
  readonly roundsPerSecond: number;
  readonly roundsBurst: number;
  readonly appliesPerSecond: number;
  readonly backoff: BackoffRange;
  /** For one fetch: the longest blocking query (300 s and a sixteenth) and time to travel. */
  readonly fetchMs: number;
  /** Until a doubted answer is asked for again, doubling while the doubt lasts. */
  readonly doubt: BackoffRange;
}

export const entryReplicatorDefaults: EntryReplicatorConfig = {
  roundsPerSecond: 1,
  roundsBurst: 5,
  appliesPerSecond: 100,
  backoff: backoffDefault,
  fetchMs: 330_000,
  doubt: { minMs: 1_000, maxMs: 60_000 },
};

export interface EntryReplicator extends AsyncDisposable {
  /** The primary became reachable: ends a wait, and starts the backoff over. */
  wake(): void;
}

export function openEntryReplicator(o: EntryReplicatorOptions): EntryReplicator {
  return new RunningEntryReplicator(o);
}

class RunningEntryReplicator implements EntryReplicator {
  readonly #o: Required<Omit<EntryReplicatorOptions, 'config'>>;
  readonly #config: EntryReplicatorConfig;
  readonly #loop: Loop;
  #memory = freshEntryMemory;

  constructor(o: EntryReplicatorOptions) {
    this.#o = { onRound: () => {}, clock: systemClock, rng: systemRng, ...o };
    this.#config = { ...entryReplicatorDefaults, ...o.config };
    const { roundsPerSecond: perSecond, roundsBurst: burst, backoff } = this.#config;
    const { clock, rng } = this.#o;
    const stopped = 'replication of config entries was stopped';
    this.#loop = new Loop({ clock, rng, backoff, perSecond, burst, stopped, turn: () => this.#turn() });
    this.#loop.start();
  }

  wake(): void {
    this.#loop.wake();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#loop[Symbol.asyncDispose]();
  }

  async #turn(): Promise<void> {
    const { stop, pause } = this.#loop;
    const round = await this.#round();
    if (stop.aborted) return;
    this.#o.onRound(round);
    await pause.for(round.waitMs);
  }

  async #round(): Promise<EntryRound> {
    const done = { upserts: 0, deletions: 0 };
    let stage: NonNullable<EntryRound['failure']>['stage'] = 'fetch';
    let remoteIndex: number | undefined;
    try {
      const answer = await this.#fetch();
      remoteIndex = answer.index;
      stage = 'answer';
      checkEntries(answer);
      const plan = judgeEntries(this.#memory, answer, this.#o.fetchLocal());
      for (const op of opsOf(plan)) {
        stage = op.kind;
        if (done.upserts + done.deletions > 0)
          await this.#loop.pause.gap(1_000 / this.#config.appliesPerSecond);
        if (this.#loop.stop.aborted) break;
        await this.#o.apply(op);
        done[op.kind === 'upsert' ? 'upserts' : 'deletions']++;
      }
      this.#memory = plan.next;
      this.#loop.succeeded();
      const { doubt } = plan;
      if (doubt === undefined) return { ok: true, remoteIndex, ...done, waitMs: 0 };
      const waitMs = backoffMs(plan.next.doubts, this.#config.doubt, this.#o.rng);
      return { ok: true, remoteIndex, ...done, doubt, waitMs };
    } catch (error) {
      this.#memory = afterEntryFailure(this.#memory);
      return { ok: false, failure: { stage, error }, remoteIndex, ...done, waitMs: this.#loop.failed() };
    }
  }

  #fetch(): Promise<EntryAnswer> {
    const { clock, fetchRemote } = this.#o;
    const { minIndex } = this.#memory;
    const what = 'config entries of the primary';
    const budget = { clock, ms: this.#config.fetchMs, stop: this.#loop.stop, what };
    return within((signal) => fetchRemote(minIndex, signal), budget);
  }
}

function opsOf({ deletions, updates }: EntryPlan): readonly EntryOp[] {
  return [
    ...deletions.map((entry) => ({ kind: 'delete' as const, entry })),
    ...updates.map((entry) => ({ kind: 'upsert' as const, entry })),
  ];
}
