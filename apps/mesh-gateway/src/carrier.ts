/**
 * carrier.ts: whoever carries the connections of the embedded data plane: a relay in this process, or a crew of several.
 *
 * Lives here: what both are asked, and the one in this process. Must not live here: the other (crew/).
 */
import { Counters } from './relay/counters.ts';
import type { RelayRecord } from './relay/journal.ts';
import type { RelayConfig } from './relay/ports.ts';
import { Relay, type RelayOptions } from './relay/relay.ts';

export interface Carrier extends AsyncDisposable {
  /** Throws a RelayConfigError, and then changes nothing. */
  apply(config: RelayConfig): void;
  /** A configuration is in force and its listeners listen. */
  readonly ready: boolean;
  connections(): Promise<number>;
  /** Open ones, and the last closed ones. */
  journal(): Promise<readonly RelayRecord[]>;
  /** Counters of this moment, for whoever asked to add to. */
  counters(): Promise<Counters>;
  /** Nobody new; over once the open ones are, or `withinMs` later, when the rest is cut. */
  drain(withinMs: number): Promise<void>;
}

export function openCarrier(o: RelayOptions): Carrier {
  const relay = new Relay(o);
  return {
    apply: (config) => relay.apply(config),
    get ready() {
      return relay.ready;
    },
    connections: async () => relay.connections,
    journal: async () => relay.journal.list(),
    counters: async () => Counters.sum([relay.measure().tally()]),
    drain: (withinMs) => relay.drain(withinMs),
    [Symbol.asyncDispose]: () => relay[Symbol.asyncDispose](),
  };
}
