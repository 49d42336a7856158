/**
 * gate.ts: a transport with a door that can be closed to some members, to divide a network where all share one machine.
 *
 * While it is closed to a port, packets to it and from it are lost without a word and dialling it fails. Who dials cannot
 * be told from where a stream comes, so a partition either closes the door on both sides, or refuses all streams on one.
 * Lives here: the door. Must not live here: who is cut off when.
 */
import type { Duplex } from 'node:stream';
import type { Address, HostPort, Inbound, Transport } from '@fed/memberlist';

export interface Cut {
  /** Of the members that are cut off. */
  readonly ports: readonly number[];
  /** Nobody may open a stream to us meanwhile: for when the other side has no door of its own. */
  readonly refuseStreams?: boolean;
}

export class Gate implements Transport {
  readonly advertise: HostPort;
  readonly #behind: Transport;
  #closedTo: ReadonlySet<number> = new Set();
  #refusesStreams = false;

  constructor(behind: Transport) {
    this.#behind = behind;
    this.advertise = behind.advertise;
  }

  /** Closes the door to these and opens it to all others. */
  cut({ ports, refuseStreams = false }: Cut): void {
    this.#closedTo = new Set(ports);
    this.#refusesStreams = refuseStreams;
  }

  listen({ packet, stream }: Inbound): void {
    this.#behind.listen({
      packet: (bytes, from) => {
        if (!this.#closedTo.has(from.port)) packet(bytes, from);
      },
      stream: (conn, from) => {
        if (this.#refusesStreams) conn.destroy();
        else stream(conn, from);
      },
    });
  }

  sendPacket(to: Address, packet: Uint8Array, failed?: (cause: Error) => void): void {
    if (!this.#closedTo.has(to.port)) this.#behind.sendPacket(to, packet, failed);
  }

  dialStream(to: Address, o: { readonly timeoutMs: number; readonly signal?: AbortSignal }): Promise<Duplex> {
    if (this.#closedTo.has(to.port)) return Promise.reject(new Error(`cut off from ${to.host}:${to.port}`));
    return this.#behind.dialStream(to, o);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#behind[Symbol.asyncDispose]() as Promise<void>;
  }
}
