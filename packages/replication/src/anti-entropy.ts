/**
 * anti-entropy.ts: publishes our own gateways to the primary whenever they changed.
 *
 * A loop on the leader: wait for a change of our catalog's gateways or of our own record; compare; write if
 * they differ.
 * Lives here: the loop, its pace and its budgets. Must not live here: the comparison (content.ts), the
 * decision (publication.ts), whether the primary is this very server.
 * Source: Consul agent/consul/leader_federation_state_ae.go.
 */
import { type BackoffRange, backoffDefault } from './backoff.ts';
import { inOrder } from './content.ts';
import { type FailureKind, ReplicationError } from './errors.ts';
import { Loop } from './loop.ts';
import { within } from './pause.ts';
import type { Clock, FederationState, Millis, Rng } from './ports.ts';
import {
  acknowledge,
  decide,
  foreignWrite,
  nothingPublished,
  recordOf,
  type Seen,
  writing,
} from './publication.ts';
import { systemClock, systemRng } from './system.ts';

export type AntiEntropyEvent =
  | {
      readonly kind: 'published';
      readonly reason: 'first' | 'changed';
      readonly gateways: number;
      readonly tookMs: number;
    }
  /** Our record was written by somebody else; it will be set right. */
  | {
      readonly kind: 'foreign';
      /** The gateways it named: service id and address. */
      readonly gateways: readonly string[];
    }
  | {
      readonly kind: 'failed';
      readonly stage: 'watch' | 'publish' | 'sanity';
      readonly failure: FailureKind | 'local';
      readonly error: unknown;
      /** Until the next attempt, unless woken. */
      readonly waitMs: number;
    };

export interface AntiEntropyOptions {
  readonly datacenter: string;
  /** A blocking, leader-consistent read of our own store; `minIndex` 0 answers at once. */
  readonly watch: (minIndex: number, signal: AbortSignal) => Promise<Seen>;
  /** Resolves when the primary has committed the record. */
  readonly publish: (state: FederationState, signal: AbortSignal) => Promise<void>;
  /** The moment as Go's binary time, for UpdatedAt. */
  readonly stamp: () => Uint8Array;
  /** What kind of failure an error of `publish` is. Default: always transport. */
  readonly classify?: (error: unknown) => FailureKind;
  readonly onEvent?: (event: AntiEntropyEvent) => void;
  readonly clock?: Clock;
  readonly rng?: Rng;
  readonly config?: Partial<AntiEntropyConfig>;
}

export interface AntiEntropyConfig {
  /** From the beginning of a write to the next; one that failed is followed by the backoff instead. */
  readonly spacingMs: number;
  /** The longest the spacing grows to, doubling, while somebody else writes our record, too: a duel would flood everybody. */
  readonly duelMsMax: number;
  /** Without a foreign write for so long a duel is over. */
  readonly duelOverMs: number;
  /** How long an acknowledged write may take to come back before it is repeated. */
  readonly returnMs: number;
  readonly passesPerSecond: number;
  readonly passesBurst: number;
  readonly backoff: BackoffRange;
  /** For one read: the longest blocking query (300 s and a sixteenth) and some. */
  readonly watchMs: number;
  readonly publishMs: number;
}

export const antiEntropyDefaults: AntiEntropyConfig = {
  spacingMs: 1_000,
  duelMsMax: 60_000,
  duelOverMs: 600_000,
  returnMs: 60_000,
  passesPerSecond: 10,
  passesBurst: 20,
  backoff: backoffDefault,
  watchMs: 330_000,
  publishMs: 30_000,
};

export interface AntiEntropy extends AsyncDisposable {
  /**
   * The primary became reachable: ends a wait now, or the one after the attempt under way, and starts the
   * backoff over.
   */
  wake(): void;
}

export function openGatewayAntiEntropy(o: AntiEntropyOptions): AntiEntropy {
  return new RunningAntiEntropy(o);
}

class RunningAntiEntropy implements AntiEntropy {
  readonly #o: Required<Omit<AntiEntropyOptions, 'config'>>;
  readonly #config: AntiEntropyConfig;
  readonly #loop: Loop;
  #memory = nothingPublished;
  /** Our record holds what somebody else wrote. */
  #foreign = false;
  /** Foreign writes of late, and when the last one was seen. */
  #duel: { readonly writes: number; readonly at: Millis } = { writes: 0, at: Number.NEGATIVE_INFINITY };
  /** 0 reads at once. */
  #minIndex = 0;
  /** When to read again even if nothing changed. */
  #lookAgainAt: Millis = Number.POSITIVE_INFINITY;

  constructor(o: AntiEntropyOptions) {
    this.#o = { classify: () => 'transport', onEvent: () => {}, clock: systemClock, rng: systemRng, ...o };
    this.#config = { ...antiEntropyDefaults, ...o.config };
    const { passesPerSecond: perSecond, passesBurst: burst, backoff } = this.#config;
    const { clock, rng } = this.#o;
    const stopped = 'anti-entropy was stopped';
    this.#loop = new Loop({ clock, rng, backoff, perSecond, burst, stopped, turn: () => this.#pass() });
    this.#loop.start();
  }

  wake(): void {
    this.#loop.wake();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#loop[Symbol.asyncDispose]();
  }

  async #pass(): Promise<void> {
    const seen = await this.#watch();
    if (!seen || this.#loop.stop.aborted) return;
    const { clock, datacenter } = this.#o;
    this.#noticeForeign(seen);
    const spacingMs = this.#spacingMs();
    const decision = decide(this.#memory, seen, { ...this.#config, spacingMs, datacenter, now: clock.now() });
    this.#minIndex = seen.index;
    this.#lookAgainAt = Number.POSITIVE_INFINITY;
    switch (decision.kind) {
      case 'same':
        this.#memory = { ...this.#memory, acknowledged: undefined };
        this.#succeeded();
        break;
      case 'underWay':
        this.#lookAgainAt = decision.until;
        break;
      case 'tooSoon':
        this.#minIndex = 0;
        await this.#loop.pause.gap(decision.until - clock.now());
        break;
      case 'publish':
        await this.#publish(seen, decision.reason);
        break;
      case 'refuse': {
        const detail = `"${datacenter}" was asked to publish rows of "${decision.foreign}"; check what is handed to \`watch\``;
        await this.#failed('sanity', 'local', new ReplicationError('foreign_record', detail));
        break;
      }
    }
  }

  #noticeForeign(seen: Seen): void {
    const { foreign, memory } = foreignWrite(this.#memory, seen);
    this.#memory = memory;
    const again = this.#foreign && foreign; // the same one, seen once more before it was set right
    this.#foreign = foreign;
    if (!foreign || again) return;
    const now = this.#o.clock.now();
    this.#duel = {
      writes: now - this.#duel.at < this.#config.duelOverMs ? this.#duel.writes + 1 : 1,
      at: now,
    };
    const rows = seen.stored?.MeshGateways ?? [];
    const gateways = rows.map(({ Service }) => `${Service.ID} at ${Service.Address}:${Service.Port}`);
    this.#o.onEvent({ kind: 'foreign', gateways });
  }

  #spacingMs(): number {
    const { spacingMs, duelMsMax, duelOverMs } = this.#config;
    const { writes, at } = this.#duel;
    // The first is set right at once: it may have been a slip.
    if (writes < 2 || this.#o.clock.now() - at >= duelOverMs) return spacingMs;
    return Math.min(duelMsMax, spacingMs * 2 ** Math.min(writes - 1, 30));
  }

  async #watch(): Promise<Seen | undefined> {
    const { clock, watch } = this.#o;
    const lookAgainMs = this.#lookAgainAt - clock.now();
    const minIndex = lookAgainMs <= 0 ? 0 : this.#minIndex;
    const ms = minIndex === 0 ? this.#config.watchMs : Math.min(this.#config.watchMs, lookAgainMs);
    try {
      const budget = { clock, ms, stop: this.#loop.stop, what: 'our own gateways' };
      return await within((signal) => watch(minIndex, signal), budget);
    } catch (error) {
      this.#minIndex = 0;
      const expected = minIndex !== 0 && error instanceof ReplicationError && error.code === 'timeout';
      if (!expected) await this.#failed('watch', 'local', error);
      return undefined;
    }
  }

  async #publish(seen: Seen, reason: 'first' | 'changed'): Promise<void> {
    const { clock, publish, classify, datacenter, stamp, onEvent } = this.#o;
    const state = recordOf(datacenter, inOrder(seen.gateways), stamp());
    const began = clock.now();
    this.#memory = writing(this.#memory, seen);
    try {
      const what = `publishing the gateways of ${datacenter}`;
      const budget = { clock, ms: this.#config.publishMs, stop: this.#loop.stop, what };
      await within((signal) => publish(state, signal), budget);
    } catch (error) {
      await this.#failed('publish', classify(error), error);
      return;
    }
    this.#foreign = false;
    this.#memory = acknowledge(this.#memory, seen, { began, now: clock.now() });
    this.#lookAgainAt = clock.now() + this.#config.returnMs;
    this.#succeeded();
    onEvent({ kind: 'published', reason, gateways: seen.gateways.length, tookMs: clock.now() - began });
  }

  #succeeded(): void {
    this.#loop.succeeded();
    this.#loop.pause.forgetWake();
  }

  async #failed(
    stage: 'watch' | 'publish' | 'sanity',
    failure: FailureKind | 'local',
    error: unknown,
  ): Promise<void> {
    if (this.#loop.stop.aborted) return;
    this.#minIndex = 0;
    const waitMs = this.#loop.failed();
    this.#o.onEvent({ kind: 'failed', stage, failure, error, waitMs });
    await this.#loop.pause.for(waitMs);
  }
}
