/**
 * destination.ts: what becomes of a packet for one server abroad, as decisions alone.
 *
 * One connection, one write on its way at a time; whatever comes meanwhile waits and leaves in the next
 * write. A destination that cannot be dialed says so at once for a little while, so a probe has its evidence
 * without a wait and a dead server costs few dials.
 *
 *   resting ──offer──▶ dialing ──dialed──▶ open ──offer──▶ gathering ──gathered──▶ writing ──wrote──▶ open | writing
 *
 * Rule 1: nothing outside this file changes the phase. Rule 2: this file knows no socket, timer, promise or
 * dice.
 * Lives here: phases, deadlines, who fails and why. Must not live here: how to dial or write.
 */
import type { WanfedConfig } from './config.ts';
import { WanfedError } from './errors.ts';
import { type Outgoing, PacketQueue } from './packet-queue.ts';
import type { Millis, Rng } from './ports.ts';
import { refusalMs } from './refusal.ts';

export type Phase = 'resting' | 'dialing' | 'open' | 'gathering' | 'writing';

export type Effect =
  | { readonly kind: 'dial' }
  | { readonly kind: 'abandonDial' }
  /** Come back with `gathered` at the end of this turn of the event loop. */
  | { readonly kind: 'gather' }
  | { readonly kind: 'write'; readonly batch: readonly Outgoing[] }
  /** Nothing is on its way: say goodbye. */
  | { readonly kind: 'close' }
  | { readonly kind: 'destroy' }
  | { readonly kind: 'fail'; readonly packets: readonly Outgoing[]; readonly error: WanfedError }
  /** Nothing is worth remembering about this destination. */
  | { readonly kind: 'forget' };

const nothing: readonly Effect[] = [];
const dial: readonly Effect[] = [{ kind: 'dial' }];
const gather: readonly Effect[] = [{ kind: 'gather' }];
const forget: readonly Effect[] = [{ kind: 'forget' }];

/**
 * How many refusals in a row are remembered after the last one has passed, so that the next one is longer.
 */
const memoryMs = 30_000;

const shutDown = (): WanfedError => new WanfedError('closed', 'the WAN transport has been shut down');

export class Destination {
  readonly name: string;
  readonly #config: WanfedConfig;
  readonly #rng: Rng;
  readonly #queue: PacketQueue;
  #phase: Phase = 'resting';
  #deadline: Millis = Number.POSITIVE_INFINITY;
  /** The batch of the write under way. */
  #batch: readonly Outgoing[] = [];
  #connectedAt: Millis = 0;
  #failures = 0;
  #refuseUntil: Millis = Number.NEGATIVE_INFINITY;
  #refusal: WanfedError | undefined;
  /** `drained`: close after this write. `retired`: close after everything that waits. */
  #ending: 'no' | 'drained' | 'retired' = 'no';

  constructor(name: string, o: { readonly config: WanfedConfig; readonly rng: Rng }) {
    this.name = name;
    this.#config = o.config;
    this.#rng = o.rng;
    this.#queue = new PacketQueue({
      packetsMax: o.config.queuePacketsMax,
      bytesMax: o.config.queueBytesMax,
    });
  }

  get phase(): Phase {
    return this.#phase;
  }
  get queued(): number {
    return this.#queue.length;
  }
  /** When `expire` wants to be called. It may move; being called early does no harm. */
  get deadline(): Millis {
    return this.#deadline;
  }

  offer(item: Outgoing, now: Millis): readonly Effect[] {
    if (this.#phase === 'resting' && now < this.#refuseUntil) {
      return [{ kind: 'fail', packets: [item], error: this.#refusal! }];
    }
    const dropped = this.#queue.push(item);
    const effects = this.#afterOffer(now);
    if (dropped.length === 0) return effects;
    const detail = `${dropped.length} packet(s) for ${this.name} gave way to newer ones`;
    return [{ kind: 'fail', packets: dropped, error: new WanfedError('queue_full', detail) }, ...effects];
  }

  #afterOffer(now: Millis): readonly Effect[] {
    switch (this.#phase) {
      case 'resting':
        return this.#startDial(now);
      case 'open':
        this.#enter('gathering', Number.POSITIVE_INFINITY);
        return gather;
      case 'dialing':
      case 'gathering':
      case 'writing':
        return nothing;
    }
  }

  dialed(now: Millis): readonly Effect[] {
    this.#connectedAt = now;
    return this.#writeOrRest(now);
  }

  dialFailed(now: Millis, cause: unknown): readonly Effect[] {
    return this.#giveUp(now, new WanfedError('dial_failed', `cannot reach ${this.name}`, { cause }));
  }

  /** The turn in which packets were gathered is over. Late calls are answered with nothing. */
  gathered(now: Millis): readonly Effect[] {
    return this.#phase === 'gathering' ? this.#writeOrRest(now) : nothing;
  }

  wrote(now: Millis): readonly Effect[] {
    this.#batch = [];
    this.#failures = 0;
    if (this.#ending === 'drained' || (this.#ending === 'retired' && this.#queue.length === 0)) {
      return [{ kind: 'close' }, ...this.#startOver(now)];
    }
    return this.#writeOrRest(now);
  }

  /** The connection is gone, with or without a reason. */
  broke(now: Millis, cause: unknown): readonly Effect[] {
    const error = new WanfedError('write_failed', `connection to ${this.name} broke`, { cause });
    const lost = this.#takeBatch(error);
    if (now - this.#connectedAt < this.#config.steadyMs) return [...lost, ...this.#giveUp(now, error)];
    return [...lost, ...this.#startOver(now)];
  }

  expire(now: Millis): readonly Effect[] {
    if (now < this.#deadline) return nothing;
    switch (this.#phase) {
      case 'dialing': {
        const detail = `no connection to ${this.name} within ${this.#config.dialMs} ms`;
        return [{ kind: 'abandonDial' }, ...this.#giveUp(now, new WanfedError('dial_timeout', detail))];
      }
      case 'writing': {
        const detail = `connection to ${this.name} took no bytes for ${this.#config.writeMs} ms`;
        const error = new WanfedError('write_timeout', detail);
        const failed = [...this.#takeBatch(error), ...this.#failQueue(error)];
        return [{ kind: 'destroy' }, ...failed, ...this.#startOver(now)];
      }
      case 'open':
        return [{ kind: 'close' }, ...this.#startOver(now)];
      case 'gathering':
      case 'resting':
        return this.#settle(now);
    }
  }

  /**
   * The ways to this datacenter changed: what we learned is void, and the connection may hang on a removed
   * gateway.
   */
  drain(now: Millis): readonly Effect[] {
    this.#failures = 0;
    this.#refuseUntil = Number.NEGATIVE_INFINITY;
    switch (this.#phase) {
      case 'resting':
        return this.#settle(now);
      case 'dialing':
        return [{ kind: 'abandonDial' }, ...this.#startOver(now)];
      case 'open':
      case 'gathering':
        return [{ kind: 'close' }, ...this.#startOver(now)];
      case 'writing':
        if (this.#ending === 'no') this.#ending = 'drained';
        return nothing;
    }
  }

  /** Whether the connection is older than a moment; one that has only just been opened did not carry an old probe. */
  isSteady(now: Millis): boolean {
    return now - this.#connectedAt >= this.#config.steadyMs;
  }

  /** A probe stayed unanswered: what carries our packets may be dead without knowing, so the next go over another. */
  doubt(now: Millis): readonly Effect[] {
    if (!this.isSteady(now)) return nothing;
    switch (this.#phase) {
      case 'resting':
      case 'dialing':
        return nothing;
      case 'open':
      case 'gathering':
        return [{ kind: 'close' }, ...this.#startOver(now)];
      case 'writing':
        if (this.#ending === 'no') this.#ending = 'drained';
        return nothing;
    }
  }

  /** We are leaving: what has a connection still goes out, the rest fails. */
  retire(now: Millis): readonly Effect[] {
    const error = shutDown();
    switch (this.#phase) {
      case 'resting':
        return forget;
      case 'dialing':
        return [{ kind: 'abandonDial' }, ...this.#failQueue(error), ...this.#startOver(now)];
      case 'open':
        return [{ kind: 'close' }, ...this.#startOver(now)];
      case 'gathering':
        this.#ending = 'retired';
        return this.#writeOrRest(now);
      case 'writing':
        this.#ending = 'retired';
        return nothing;
    }
  }

  /** Leaving took too long. */
  abandon(now: Millis): readonly Effect[] {
    const error = shutDown();
    const failed = [...this.#takeBatch(error), ...this.#failQueue(error)];
    return [{ kind: 'abandonDial' }, { kind: 'destroy' }, ...failed, ...this.#startOver(now)];
  }

  #enter(phase: Phase, deadline: Millis): void {
    this.#phase = phase;
    this.#deadline = deadline;
  }

  #startDial(now: Millis): readonly Effect[] {
    this.#enter('dialing', now + this.#config.dialMs);
    return dial;
  }

  #writeOrRest(now: Millis): readonly Effect[] {
    if (this.#queue.length === 0) {
      this.#enter('open', now + this.#config.senderIdleMs);
      return nothing;
    }
    this.#batch = this.#queue.takeBatch(this.#config.batchBytesMax);
    this.#enter('writing', now + this.#config.writeMs);
    return [{ kind: 'write', batch: this.#batch }];
  }

  /** Without a connection: dial again if something waits, else rest. */
  #startOver(now: Millis): readonly Effect[] {
    const leaving = this.#ending === 'retired';
    this.#ending = 'no';
    if (this.#queue.length > 0 && !leaving) return this.#startDial(now);
    this.#phase = 'resting';
    return [...this.#failQueue(shutDown()), ...this.#settle(now)];
  }

  /** A dial failed, or something that counts as one. */
  #giveUp(now: Millis, error: WanfedError): readonly Effect[] {
    this.#failures++;
    this.#refuseUntil = now + refusalMs(this.#failures, this.#config, this.#rng);
    const detail = `not dialing ${this.name}: the last attempt failed a moment ago`;
    this.#refusal = new WanfedError('backing_off', detail, { cause: error.cause ?? error });
    const failed = this.#failQueue(error);
    return [...failed, ...this.#startOver(now)];
  }

  /** At rest: forget everything, once there is nothing left to remember. */
  #settle(now: Millis): readonly Effect[] {
    if (this.#phase !== 'resting') return nothing;
    const until = this.#refuseUntil + memoryMs;
    const remember = this.#failures > 0 && now < until;
    this.#deadline = remember ? until : Number.POSITIVE_INFINITY;
    return remember ? nothing : forget;
  }

  #takeBatch(error: WanfedError): readonly Effect[] {
    const packets = this.#batch;
    this.#batch = [];
    return packets.length === 0 ? nothing : [{ kind: 'fail', packets, error }];
  }

  #failQueue(error: WanfedError): readonly Effect[] {
    const packets = this.#queue.takeAll();
    return packets.length === 0 ? nothing : [{ kind: 'fail', packets, error }];
  }
}
