/**
 * errors.ts: the ways to fail, each naming the hop.
 *
 * Dialling fails by the network's or the peer's doing, which is expected in the wild; opening a door fails by the
 * operator's.
 * Branch on `code`; messages are for people. The cause travels along, untouched.
 * Lives here: classes. Must not live here: telling one failure from another (see dial-failure.ts).
 */
import type { HostPort } from './ports.ts';
import { renderHostPort } from './ports.ts';

export type DialCode =
  /** Nobody listens there. */
  | 'connect_refused'
  /** No answer to the TCP connect in time. */
  | 'connect_timeout'
  /** No route, no such host, no local port, …: see the cause. */
  | 'connect_failed'
  /** TCP stood, but the peer closed or reset before a single byte of its hello: at a gateway, "no route for this SNI". */
  | 'closed_before_tls'
  | 'tls_timeout'
  /** The handshake broke after it had begun, e.g. the peer refused our certificate. */
  | 'tls_failed'
  /** The peer's certificate does not chain to our CA, or is out of its time. */
  | 'certificate_untrusted'
  /** The peer's certificate is for somebody else. */
  | 'certificate_name'
  /** The peer does not speak the protocol we offered, or ignored the offer. */
  | 'alpn_refused'
  /** Another gateway led there long before this one had said anything. Only learned, never thrown. */
  | 'overtaken'
  /** The caller's signal. */
  | 'aborted';

export class DialError extends Error {
  override readonly name = 'DialError';
  readonly code: DialCode;
  readonly via: HostPort;
  readonly sni?: string;
  constructor(code: DialCode, at: { via: HostPort; sni?: string }, detail: string, options?: ErrorOptions) {
    super(`[${code}] ${renderHostPort(at.via)}${at.sni ? ` (for ${at.sni})` : ''}: ${detail}`, options);
    this.code = code;
    this.via = at.via;
    if (at.sni !== undefined) this.sni = at.sni;
  }
}

/** One gateway tried in vain. */
export interface DialAttempt {
  readonly gateway: HostPort;
  readonly code: DialCode;
  readonly detail: string;
}

/** No gateway led to the datacenter. The last attempt's DialError is the cause. */
export class UnreachableError extends Error {
  override readonly name = 'UnreachableError';
  readonly code: 'no_gateway' | 'all_gateways_failed';
  readonly datacenter: string;
  /** In the order tried; empty for `no_gateway`. */
  readonly attempts: readonly DialAttempt[];
  constructor(datacenter: string, attempts: readonly DialAttempt[], options?: ErrorOptions) {
    const code = attempts.length === 0 ? 'no_gateway' : 'all_gateways_failed';
    const tried = attempts.map((a) => `${renderHostPort(a.gateway)} ${a.code}`).join(', ');
    super(
      attempts.length === 0
        ? `[${code}] no mesh gateway towards ${datacenter} is known: check that one is registered and passing`
        : `[${code}] no mesh gateway led to ${datacenter}: ${tried}`,
      options,
    );
    this.code = code;
    this.datacenter = datacenter;
    this.attempts = attempts;
  }
}

/** The door could not be opened; nothing was left open. */
export class FrontDoorError extends Error {
  override readonly name = 'FrontDoorError';
  readonly code: 'bind_failed' | 'policy_needs_tls';
  constructor(code: FrontDoorError['code'], detail: string, options?: ErrorOptions) {
    super(`[${code}] ${detail}`, options);
    this.code = code;
  }
}
