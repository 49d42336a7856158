/**
 * traffic.ts: what went where: counters per datacenter and direction.
 *
 * Lives here: counting. Must not live here: anything that depends on a count.
 */
import type { Millis } from './ports.ts';

export interface DatacenterTraffic {
  /** Packets and bytes (without framing) the connection has taken, and how many writes they needed. */
  readonly packetsOut: number;
  readonly bytesOut: number;
  readonly writes: number;
  /**
   * Packets that surely did not arrive, for any reason; `packetsDropped` of them because their queue was
   * full.
   */
  readonly packetsFailed: number;
  readonly packetsDropped: number;
  readonly dials: number;
  readonly dialsFailed: number;
  readonly streamsOut: number;
  /** What came in on connections whose certificate names this datacenter. */
  readonly packetsIn: number;
  readonly bytesIn: number;
  readonly streamsIn: number;
}

export interface HomeTraffic {
  readonly packetsOut: number;
  readonly bytesOut: number;
  readonly streamsOut: number;
  readonly packetsIn: number;
  readonly bytesIn: number;
  readonly streamsIn: number;
}

export interface WanfedStats {
  /** What took the ordinary way, within the datacenter. */
  readonly home: HomeTraffic;
  /** By datacenter; '' collects what names none. */
  readonly datacenters: Readonly<Record<string, DatacenterTraffic>>;
  /** Open at this moment. */
  readonly connectionsOut: number;
  readonly connectionsIn: number;
  /** Packets waiting at this moment. */
  readonly packetsQueued: number;
  /** Packets that never had a destination: nameless, or a name of another form. */
  readonly packetsUnroutable: number;
  /** Incoming connections ended because the peer broke the framing, or because there were too many. */
  readonly ingestFaults: number;
  readonly ingestRefused: number;
  /** When the last packet or stream of a datacenter came in, by its certificate; on the clock that was handed in. */
  readonly heardAt: Readonly<Record<string, Millis>>;
}

export type Tally<T> = { -readonly [K in keyof T]: T[K] };

const emptyDatacenter: DatacenterTraffic = {
  packetsOut: 0,
  bytesOut: 0,
  writes: 0,
  packetsFailed: 0,
  packetsDropped: 0,
  dials: 0,
  dialsFailed: 0,
  streamsOut: 0,
  packetsIn: 0,
  bytesIn: 0,
  streamsIn: 0,
};

/** Datacenters counted one by one; later ones share ''. Names come from peers. */
const datacentersMax = 1024;

export class TrafficBook {
  readonly #heardAt = new Map<string, Millis>();
  readonly home: Tally<HomeTraffic> = {
    packetsOut: 0,
    bytesOut: 0,
    streamsOut: 0,
    packetsIn: 0,
    bytesIn: 0,
    streamsIn: 0,
  };
  packetsUnroutable = 0;
  ingestFaults = 0;
  ingestRefused = 0;
  readonly #datacenters = new Map<string, Tally<DatacenterTraffic>>();

  of(datacenter: string): Tally<DatacenterTraffic> {
    const known = this.#datacenters.get(datacenter);
    if (known) return known;
    if (this.#datacenters.size >= datacentersMax && datacenter !== '') return this.of('');
    const fresh = { ...emptyDatacenter };
    this.#datacenters.set(datacenter, fresh);
    return fresh;
  }

  heard(datacenter: string, now: Millis): void {
    if (this.#heardAt.has(datacenter) || this.#heardAt.size < datacentersMax)
      this.#heardAt.set(datacenter, now);
  }

  heardAt(): Readonly<Record<string, Millis>> {
    return Object.fromEntries(this.#heardAt);
  }

  datacenters(): Readonly<Record<string, DatacenterTraffic>> {
    return Object.fromEntries([...this.#datacenters].map(([name, tally]) => [name, { ...tally }]));
  }
}
