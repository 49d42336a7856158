/**
 * ports.ts: what this package asks of the world.
 *
 * Lives here: the shapes of time and of the dialling function. Must not live here: anything that implements them.
 */
import type { Duplex } from 'node:stream';

/** Time in milliseconds. `at` wakes once, never before `when`; disposing what it returns cancels it. */
export interface Clock {
  now(): number;
  at(when: number, wake: () => void): Disposable;
}

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/**
 * One server, named by who it is. Two datacenters may use the same node name and the same private address,
 * so all three parts are needed to tell servers apart.
 */
export interface RpcTarget {
  readonly datacenter: string;
  readonly node: string;
  readonly address: HostPort;
}

/** A connection on which the peer speaks yamux from its first byte: TLS, ALPN and type bytes are already settled. */
export type DialRpc = (target: RpcTarget, signal: AbortSignal) => Promise<Duplex>;
