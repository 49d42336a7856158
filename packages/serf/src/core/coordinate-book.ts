/**
 * coordinate-book.ts: our own coordinate, and the last one heard of every member we probed.
 *
 * Lives here: what an ack's payload does to them. Must not live here: the arithmetic (coordinates.ts), bytes (wire/).
 * serf ping_delegate.go.
 */
import { WireError } from '../errors.ts';
import type { LogEvent, Rng } from '../ports.ts';
import { type Coordinate, decodeAckPayload, encodeAckPayload } from '../wire/ack-payload.ts';
import { CoordinateClient } from './coordinates.ts';

export class CoordinateBook {
  readonly #client: CoordinateClient;
  readonly #others = new Map<string, Coordinate>();

  constructor(rng: Rng) {
    this.#client = new CoordinateClient(rng);
  }

  get here(): Coordinate {
    return this.#client.here;
  }
  get resets(): number {
    return this.#client.resets;
  }
  of(name: string): Coordinate | undefined {
    return this.#others.get(name);
  }

  /** Rides on every ack we send. */
  ackPayload(): Uint8Array {
    return encodeAckPayload(this.#client.here);
  }

  /** `name` answered a probe after `rttMs`. Returns a line for the log when its payload is of no use. */
  answered(name: string, rttMs: number, payload: Uint8Array): LogEvent | undefined {
    if (payload.length === 0) return undefined; // a memberlist without coordinates
    const refused = (why: string): LogEvent => ({
      level: 'warn',
      code: 'coordinate_refused',
      text: `the coordinate of '${name}' is of no use: ${why}`,
    });
    try {
      const coordinate = decodeAckPayload(payload);
      const result = this.#client.observe(name, coordinate, rttMs / 1_000);
      if (result !== 'moved' && result !== 'reset') return refused(result);
      this.#others.set(name, coordinate);
      return undefined;
    } catch (cause) {
      if (cause instanceof WireError) return refused(cause.message);
      throw cause;
    }
  }

  forget(name: string): void {
    this.#client.forget(name);
    this.#others.delete(name);
  }
}
