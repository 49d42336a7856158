/**
 * ports.ts: all that memberlist asks of the world.
 *
 * Time, chance, unguessable bytes, and somebody who carries packets and streams. Shapes only: TypeScript matches
 * them, so nobody has to import this package to be plugged in.
 * Lives here: what we need. Must not live here: what we offer (memberlist.ts), any implementation.
 */
import type { Duplex } from 'node:stream';

/** Milliseconds on the clock that was handed in; only differences mean anything. */
export type Millis = number;

export interface Clock {
  /** Milliseconds; never runs backwards. */
  now(): Millis;
  /** Calls `wake` once when `now() >= when` (at once, but never within this call, when that is past). */
  at(when: Millis, wake: () => void): Disposable;
}

/** Repeatable chance: the same seed gives the same walk. */
export interface Rng {
  /** An integer from 0 to n-1; n is at least 1. */
  below(n: number): number;
}

/** Unguessable chance, for nonces. */
export type RandomBytes = (n: number) => Uint8Array;

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** Where to send something, and whom it is for, so that a transport may route by name. */
export interface Address {
  /** An IP address as text. */
  readonly host: string;
  readonly port: number;
  /** The member's name, or '' when unknown. */
  readonly name: string;
}

/** What a transport hands over as it comes in. */
export interface Inbound {
  /** One datagram. The bytes belong to the receiver from now on. */
  packet(bytes: Uint8Array, from: HostPort): void;
  /** One connection somebody opened to us. The receiver closes it. */
  stream(conn: Duplex, from: HostPort): void;
}

/** Carries packets and streams between members: UDP and TCP by default, gateways between datacenters. */
export interface Transport extends AsyncDisposable {
  /** What other members should dial; `host` is an IP address. */
  readonly advertise: HostPort;
  /** Never blocks, never throws; at most one call of `failed` per packet, later: this packet surely did not arrive. */
  sendPacket(to: Address, packet: Uint8Array, failed?: (cause: Error) => void): void;
  /** Rejects when `timeoutMs` pass without a connection, or when `signal` aborts. */
  dialStream(to: Address, o: { readonly timeoutMs: number; readonly signal?: AbortSignal }): Promise<Duplex>;
  /** A probe that was sent there got no answer in time: whatever carries packets to this address may be dead. */
  unanswered?(to: Address): void;
  /** Called once by memberlist. */
  listen(inbound: Inbound): void;
  /** Members to whom no TCP fallback ping is sent, because their packets travel over streams anyway. */
  readonly disableTcpPings?: (to: Address) => boolean;
}

/** Host names to IP addresses, as text; rejects or answers [] when there are none. */
export type ResolveHost = (host: string, signal: AbortSignal) => Promise<readonly string[]>;

/** One line for whoever keeps a log. `code` is stable, `text` is for people. */
export interface LogEvent {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly code: string;
  readonly text: string;
  readonly cause?: unknown;
}
