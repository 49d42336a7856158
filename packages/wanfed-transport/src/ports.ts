/**
 * ports.ts: all that the WAN transport asks of the world.
 *
 * Time, a little chance, and somebody who opens a connection to a server of another datacenter. How that
 * somebody finds a gateway, speaks TLS and shares out its budget is not known here.
 * Lives here: what we need. Must not live here: what we offer (wanfed-transport.ts), any implementation.
 */
import type { Duplex } from 'node:stream';

export type { Address, Inbound, Transport } from '@fed/memberlist';

/** Milliseconds on the clock that was handed in; only differences mean anything. */
export type Millis = number;

export interface Clock {
  /** Never runs backwards. */
  now(): Millis;
  /** Calls `wake` once when `now() >= when`, never within this call. */
  at(when: Millis, wake: () => void): Disposable;
}

/** Repeatable chance. */
export interface Rng {
  /** An integer from 0 to n-1; n is at least 1. */
  below(n: number): number;
}

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

export interface DialRequest {
  readonly datacenter: string;
  /** Name of the server within its datacenter; `*`: any of them. */
  readonly node: string;
  readonly alpn: 'consul/wan-gossip/packet' | 'consul/wan-gossip/stream';
  /** Aborted when nobody wants the connection any more. */
  readonly signal: AbortSignal;
}

/**
 * Opens a connection on which both sides have proved who they are. Has a budget of its own and keeps to it.
 */
export type Dial = (request: DialRequest) => Promise<Duplex>;

/** What goes through this gateway to this datacenter seems to be lost: nobody there answers through it. */
export type Doubted = (pair: { readonly gateway: HostPort; readonly datacenter: string }) => void;

/** A member of another datacenter did not answer a probe: gone, or it does not know the way to us. */
export type Silent = (member: { readonly datacenter: string; readonly node: string }) => void;

/** A connection that came in through a gateway, after TLS and ALPN. */
export interface IncomingConnection {
  readonly stream: Duplex;
  /** The TCP peer: the gateway, not the server behind it. */
  readonly remote: HostPort;
  /** Who the certificate says is there; only counted, never trusted for routing. */
  readonly peer?: { readonly server?: { readonly datacenter: string } };
}

/** Something an operator may want to read. `code` is stable, `text` is for people. */
export interface LogEvent {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly code: string;
  readonly text: string;
  readonly cause?: unknown;
}
export type Log = (event: LogEvent) => void;
