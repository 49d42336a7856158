/**
 * callers.ts: who is calling, as far as his certificate tells, and what that entitles him to.
 *
 * The original asks only whether a certificate is signed by the federation's CA, so any of them, a client's too, may
 * overwrite any datacenter's gateways. Here a server speaks for the datacenter in its own certificate.
 * Lives here: those rules. Must not live here: TLS (the front door has verified the certificate), methods.
 */
import { type Accepted, type PeerIdentity, parseServerSni } from '@fed/alpn-mux';
import { RpcApplicationError } from '@fed/rpc';

/** Whoever showed a certificate. */
export interface Caller extends PeerIdentity {
  /** He came by ALPN. Servers dial so only what is not theirs; within a datacenter the first byte is a type byte. */
  readonly byAlpn: boolean;
}

/** Undefined for a connection without a certificate. */
export function callerOf({ peer, alpn }: Pick<Accepted, 'peer' | 'alpn'>): Caller | undefined {
  return peer && { ...peer, byAlpn: alpn !== undefined };
}

export interface CallersOptions {
  readonly datacenter: string;
  readonly domain: string;
  /** False: a certificate of the right CA may do everything, as in the original. */
  readonly verify: () => boolean;
  /** Somebody was refused: whose record, and as whose server he came. */
  readonly refused?: (datacenter: string, by: readonly string[], what: string) => void;
}

export class Callers {
  readonly #o: CallersOptions;

  constructor(o: CallersOptions) {
    this.#o = o;
  }

  /**
   * Refuses a caller whose certificate names no server of `datacenter`. Servers of our own datacenter pass on what they
   * were told, and have checked it. Without a certificate somebody came in who needed none: our own routines, or peers of
   * this datacenter where `verify_incoming` is off.
   */
  mustSpeakFor(datacenter: string, caller: PeerIdentity | undefined, what: string): void {
    if (!this.#o.verify() || caller === undefined) return;
    const own = this.datacentersOf(caller);
    if (own.includes(datacenter.toLowerCase()) || own.includes(this.#o.datacenter)) return;
    this.#o.refused?.(datacenter, own, what);
    throw new RpcApplicationError(
      `Permission denied: ${what} of ${datacenter} may be written by servers of ${datacenter}, and the caller's certificate ${named(own)}`,
    );
  }

  mustBeServer(caller: PeerIdentity | undefined, what: string): void {
    if (!this.#o.verify() || caller === undefined || this.datacentersOf(caller).length > 0) return;
    throw new RpcApplicationError(
      `Permission denied: ${what} is for servers, and the caller's certificate ${named([])}`,
    );
  }

  /**
   * The datacenter he came from, if that is not ours. A certificate may name ours and others; then the way he came tells,
   * which he did not choose: a server that sends on a question for what it takes for another datacenter dials by ALPN.
   */
  abroad(caller: Caller | undefined): string | undefined {
    if (caller === undefined) return undefined;
    const own = this.datacentersOf(caller);
    if (!caller.byAlpn && own.includes(this.#o.datacenter)) return undefined;
    return own.find((datacenter) => datacenter !== this.#o.datacenter) ?? own[0];
  }

  /** Whether he is surely a server of our own datacenter. */
  isFellow(caller: Caller | undefined): boolean {
    return caller !== undefined && this.abroad(caller) === undefined && this.datacentersOf(caller).length > 0;
  }

  /** Datacenters whose server the certificate makes him, in its order. */
  datacentersOf(caller: PeerIdentity): readonly string[] {
    const found = caller.names.flatMap((name) => parseServerSni(name, this.#o.domain)?.datacenter ?? []);
    return [...new Set(found.map((datacenter) => datacenter.toLowerCase()))];
  }
}

function named(datacenters: readonly string[]): string {
  return datacenters.length === 0 ? 'names no server' : `is one of ${datacenters.join(', ')}`;
}
