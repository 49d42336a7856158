/**
 * gateway-dialer.ts: to a datacenter, by whichever of its gateways lets us through.
 *
 * Candidates come in somebody else's order, best first, and are tried in it inside one budget. Each gets its fair
 * share of the time left, so that one that swallows connections cannot starve the ones behind it. Whatever each try
 * teaches is told to whoever keeps the order.
 * Lives here: the walk along the candidates. Must not live here: where they come from, scores.
 * Source: Consul agent/pool/pool.go, agent/consul/wanfed; both dial one random gateway, with no bound on TLS.
 */
import type { Duplex } from 'node:stream';
import type { Alpn } from './alpn.ts';
import { type DialAlpnOptions, dialAlpn } from './dialer.ts';
import { type DialAttempt, type DialCode, DialError, UnreachableError } from './errors.ts';
import type { Clock, HostPort } from './ports.ts';
import { serverSni } from './sni.ts';
import { systemClock } from './system.ts';
import type { TlsIdentity } from './tls-identity.ts';

/** What one try taught. */
export interface DialLesson {
  readonly gateway: HostPort;
  readonly datacenter: string;
  readonly ok: boolean;
  /** Absent exactly when `ok`. */
  readonly code?: DialCode;
  readonly tookMs: number;
}

export interface GatewayDialerOptions {
  readonly tls: TlsIdentity;
  readonly domain: string;
  /** Best first; empty if no way is known. */
  readonly waysTo: (datacenter: string) => readonly HostPort[];
  readonly learned: (lesson: DialLesson) => void;
  /** For all candidates together. Default 5 s. */
  readonly totalMs?: number;
  readonly clock?: Clock;
  /** One try at one gateway. Throws a DialError; then nothing is left open. Default: over TCP and TLS. */
  readonly dialAlpn?: (o: DialAlpnOptions) => Promise<Duplex>;
}

export interface GatewayDialer {
  /** To one server, or to any if `node` is absent. Throws UnreachableError, or DialError `aborted`. */
  dial(o: { datacenter: string; node?: string; alpn: Alpn; signal?: AbortSignal }): Promise<Duplex>;
}

const totalMsDefault = 5_000;
const connectMsMax = 3_000;
/** Less is not worth beginning: TCP and TLS across an ocean take three round trips of up to 300 ms. */
const shareMsMin = 1_000;

export function createGatewayDialer(o: GatewayDialerOptions): GatewayDialer {
  const clock = o.clock ?? systemClock;
  const dialOne = o.dialAlpn ?? dialAlpn;
  return {
    async dial({ datacenter, node, alpn, signal }) {
      const sni = serverSni({ datacenter, domain: o.domain, ...(node !== undefined && { node }) });
      const until = clock.now() + (o.totalMs ?? totalMsDefault);
      const attempts: DialAttempt[] = [];
      let last: DialError | undefined;
      let waiting: readonly HostPort[] = o.waysTo(datacenter);
      while (waiting.length > 0) {
        const [via, ...rest] = waiting as [HostPort, ...HostPort[]];
        const began = clock.now();
        const leftMs = until - began;
        if (leftMs <= 0) break;
        const shareMs = Math.min(leftMs, Math.max(shareMsMin, leftMs / waiting.length));
        waiting = rest;
        const result = await tryGateway({ via, sni, alpn, shareMs, ...(signal && { signal }) });
        const tookMs = clock.now() - began;
        if (!(result instanceof DialError)) {
          o.learned({ gateway: via, datacenter, ok: true, tookMs });
          return result;
        }
        if (result.code === 'aborted') throw result; // says nothing about the gateway
        o.learned({ gateway: via, datacenter, ok: false, code: result.code, tookMs });
        attempts.push({ gateway: via, code: result.code, detail: result.message });
        last = result;
      }
      throw new UnreachableError(datacenter, attempts, last && { cause: last });
    },
  };

  /** One gateway, within its share: connecting and TLS draw on the same purse. */
  async function tryGateway(t: {
    via: HostPort;
    sni: string;
    alpn: Alpn;
    shareMs: number;
    signal?: AbortSignal;
  }): Promise<Duplex | DialError> {
    const { shareMs, ...rest } = t;
    try {
      return await dialOne({
        ...rest,
        tls: o.tls,
        connectMs: Math.min(connectMsMax, shareMs),
        totalMs: shareMs,
        clock,
      });
    } catch (e) {
      if (e instanceof DialError) return e;
      throw e;
    }
  }
}
