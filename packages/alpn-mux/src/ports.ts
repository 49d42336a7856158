/**
 * ports.ts: what this package asks of the world.
 *
 * Time only. Sockets are node's own; chance is not needed here.
 * Lives here: shapes. Must not live here: an implementation (see system.ts).
 */

/** A point in time to be woken at, and the present. Milliseconds; the zero point does not matter. */
export interface Clock {
  now(): number;
  /** Calls `wake` once, at `when` or soon after. Disposing forgets it; disposing again does nothing. */
  at(when: number, wake: () => void): Disposable;
}

/** A TCP endpoint. `host` is an address literal or a DNS name, without brackets. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** `host:port`, IPv6 literals in brackets. */
export function renderHostPort(a: HostPort): string {
  return a.host.includes(':') ? `[${a.host}]:${a.port}` : `${a.host}:${a.port}`;
}
