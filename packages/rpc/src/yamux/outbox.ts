/**
 * outbox.ts: the effects of one turn, in the order they were decided.
 *
 * Lives here: the list and the one way to put a control frame on it. Must not live here: any decision.
 */
import { encodeFrameHeader, type FrameType } from './frame.ts';
import type { Effect } from './session-events.ts';

const none: readonly Effect[] = [];

export class Outbox {
  #effects: Effect[] = [];

  push(effect: Effect): void {
    this.#effects.push(effect);
  }

  /** A frame without payload. */
  control(type: FrameType, flags: number, streamId: number, length: number): void {
    this.#effects.push({ kind: 'send', header: encodeFrameHeader(type, flags, streamId, length) });
  }

  take(): readonly Effect[] {
    if (this.#effects.length === 0) return none;
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }
}
