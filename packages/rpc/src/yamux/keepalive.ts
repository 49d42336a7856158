/**
 * keepalive.ts: is anybody still there?
 *
 * A ping asks; its answer sets the time of the next. Anything else heard meanwhile counts as a sign of life too: on a
 * slow connection the answer may wait behind megabytes. While nobody waits for the peer it is asked rarely; who begins to wait
 * after a silence has it asked at once.
 * Lives here: ping ids and the times around them. Must not live here: frames, timers.
 * Source: hashicorp/yamux session.go (keepalive, Ping, handlePing).
 */
import type { YamuxConfig } from './session-events.ts';

export class Keepalive {
  readonly #config: YamuxConfig;
  readonly #sentAt = new Map<number, number>(); // ping id to the time it was sent, oldest first
  #nextPingId = 0;
  #nextPingAt: number | undefined;
  #heardAt: number;
  #attended = true;

  constructor(config: YamuxConfig, now: number) {
    this.#config = config;
    this.#heardAt = now;
    this.#nextPingAt = config.keepaliveMs > 0 ? now + config.keepaliveMs : undefined;
  }

  heard(now: number): void {
    this.#heardAt = now;
  }

  /** Whether anybody waits for the peer; as long as nobody says, somebody does. Answers whether it has been silent for long. */
  attend(on: boolean, now: number): boolean {
    this.#attended = on;
    const askAt = this.#heardAt + this.#config.keepaliveMs;
    // Who ceases to wait moves nothing: calls that follow each other would move it back each time.
    if (on && this.#nextPingAt !== undefined)
      this.#nextPingAt = Math.min(this.#nextPingAt, Math.max(now, askAt));
    return this.#config.keepaliveMs > 0 && now >= askAt;
  }

  /** The id of a ping to be sent now. */
  ping(now: number): number {
    const pingId = this.#nextPingId;
    this.#nextPingId = (pingId + 1) >>> 0;
    this.#sentAt.set(pingId, now);
    return pingId;
  }

  /** How long the answer took, in ms; undefined when nobody had asked. */
  pong(pingId: number, now: number): number | undefined {
    const sentAt = this.#sentAt.get(pingId);
    if (sentAt === undefined) return undefined;
    this.#sentAt.delete(pingId);
    if (this.#config.keepaliveMs > 0) this.#nextPingAt = now + this.#everyMs();
    return now - sentAt;
  }

  deadline(): number | undefined {
    const answerBy = this.#answerBy();
    if (answerBy === undefined || this.#nextPingAt === undefined) return answerBy ?? this.#nextPingAt;
    return Math.min(answerBy, this.#nextPingAt);
  }

  verdict(now: number): 'dead' | 'pingDue' | 'fine' {
    const answerBy = this.#answerBy();
    if (answerBy !== undefined && now >= answerBy) return 'dead';
    if (this.#nextPingAt === undefined || now < this.#nextPingAt) return 'fine';
    if (!this.#attended && now < this.#heardAt + this.#everyMs()) {
      this.#nextPingAt = this.#heardAt + this.#everyMs();
      return 'fine';
    }
    this.#nextPingAt = undefined; // set again by the answer
    return 'pingDue';
  }

  #everyMs(): number {
    const { keepaliveMs, restKeepaliveMs } = this.#config;
    return this.#attended ? keepaliveMs : Math.max(keepaliveMs, restKeepaliveMs);
  }

  #answerBy(): number | undefined {
    const oldest = this.#sentAt.values().next().value;
    return oldest === undefined ? undefined : Math.max(oldest, this.#heardAt) + this.#config.pingTimeoutMs;
  }
}
