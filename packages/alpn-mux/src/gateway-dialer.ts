/**
 * gateway-dialer.ts: to a datacenter, by whichever of its gateways lets us through.
 *
 * Candidates come in somebody else's order, best first, and are tried in it inside one budget, two at a time at most: the
 * next begins when one fails, or when the first takes longer than it usually does (RFC 8305's idea). Each gets its fair
 * share of the time left, so that one that swallows connections cannot starve the ones behind it. Whatever each try
 * teaches is told to whoever keeps the order; one that was overtaken is given a little longer, to learn from that too.
 * Lives here: the race along the candidates. Must not live here: where they come from, scores.
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
  readonly alpn: Alpn;
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
  /** Ends what a dial that is over has left to learn. Default: never; that ends by itself within the budget. */
  readonly closing?: AbortSignal;
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
/** Connections one dial has under way at a time. */
const lanes = 2;
/** Until a second candidate is tried beside the first: twice what a dial to there usually takes, within these bounds. */
const stagger = { msMin: 250, msMax: 1_000, msUnknown: 500 } as const;
/** One that was overtaken has failed if it takes so many times as long as the one that was first, and a second at least. */
const overtakenTimes = 4;
/** Datacenters whose usual time is remembered; there are as many as are dialled. */
const datacentersMax = 1_024;

export function createGatewayDialer(o: GatewayDialerOptions): GatewayDialer {
  const clock = o.clock ?? systemClock;
  const usualMs = new Map<string, number>();
  return {
    dial(request) {
      const { datacenter, node } = request;
      const usual = usualMs.get(datacenter);
      const race = new Race({
        ...o,
        ...request,
        clock,
        sni: serverSni({ datacenter, domain: o.domain, ...(node !== undefined && { node }) }),
        totalMs: o.totalMs ?? totalMsDefault,
        staggerMs:
          usual === undefined
            ? stagger.msUnknown
            : Math.min(stagger.msMax, Math.max(stagger.msMin, 2 * usual)),
        won: (tookMs) => {
          if (usual === undefined && usualMs.size >= datacentersMax) return;
          usualMs.set(datacenter, usual === undefined ? tookMs : usual + (tookMs - usual) / 4);
        },
      });
      return race.outcome;
    },
  };
}

interface RaceOptions extends GatewayDialerOptions {
  readonly clock: Clock;
  readonly datacenter: string;
  readonly alpn: Alpn;
  readonly signal?: AbortSignal;
  readonly sni: string;
  readonly totalMs: number;
  readonly staggerMs: number;
  readonly won: (tookMs: number) => void;
}

interface Runner {
  readonly via: HostPort;
  readonly began: number;
  readonly stop: AbortController;
  /** Set when another was first: from then on it runs only to be learned from. */
  overdue: Disposable | undefined;
}

/** One dial. */
class Race {
  readonly outcome: Promise<Duplex>;
  readonly #o: RaceOptions;
  readonly #until: number;
  readonly #attempts: DialAttempt[] = [];
  readonly #running = new Set<Runner>();
  readonly #settle: { resolve(socket: Duplex): void; reject(error: unknown): void };
  readonly #given = (): void => this.#giveUp();
  #waiting: readonly HostPort[];
  #stagger: Disposable | undefined;
  #last: DialError | undefined;
  #over = false;

  constructor(o: RaceOptions) {
    this.#o = o;
    this.#until = o.clock.now() + o.totalMs;
    this.#waiting = o.waysTo(o.datacenter);
    const { promise, ...settle } = Promise.withResolvers<Duplex>();
    this.outcome = promise;
    this.#settle = settle;
    o.signal?.addEventListener('abort', this.#given, { once: true });
    this.#next();
  }

  /** Begins with the next candidate, if there is one and its time is not over. */
  #next(): void {
    const { clock, staggerMs } = this.#o;
    const now = clock.now();
    const [via, ...rest] = this.#waiting;
    if (via === undefined || now >= this.#until) {
      if (this.#running.size === 0)
        this.#end(() => {
          const cause = this.#last && { cause: this.#last };
          this.#settle.reject(new UnreachableError(this.#o.datacenter, this.#attempts, cause));
        });
      return;
    }
    const leftMs = this.#until - now;
    const shareMs = Math.min(leftMs, Math.max(shareMsMin, (leftMs * lanes) / this.#waiting.length));
    this.#waiting = rest;
    void this.#run(via, shareMs);
    this.#stagger?.[Symbol.dispose]();
    this.#stagger = undefined;
    if (rest.length > 0 && this.#running.size < lanes)
      this.#stagger = clock.at(now + staggerMs, () => this.#next());
  }

  async #run(via: HostPort, shareMs: number): Promise<void> {
    const { clock, datacenter, alpn, learned, closing, signal } = this.#o;
    const runner: Runner = { via, began: clock.now(), stop: new AbortController(), overdue: undefined };
    const stop = closing ? AbortSignal.any([runner.stop.signal, closing]) : runner.stop.signal;
    if (signal?.aborted) runner.stop.abort(signal.reason);
    this.#running.add(runner);
    const result = await this.#try(via, shareMs, stop);
    this.#running.delete(runner);
    runner.overdue?.[Symbol.dispose]();
    const tookMs = clock.now() - runner.began;
    if (!(result instanceof DialError)) {
      learned({ gateway: via, datacenter, alpn, ok: true, tookMs });
      if (this.#over) result.destroy();
      else this.#win(result, tookMs);
      return;
    }
    if (result.code === 'aborted') {
      if (runner.stop.signal.reason === overtaken)
        learned({ gateway: via, datacenter, alpn, ok: false, code: 'overtaken', tookMs });
      else this.#end(() => this.#settle.reject(result)); // says nothing about the gateway
      return;
    }
    learned({ gateway: via, datacenter, alpn, ok: false, code: result.code, tookMs });
    if (this.#over) return;
    this.#attempts.push({ gateway: via, code: result.code, detail: result.message });
    this.#last = result;
    this.#next();
  }

  /** One gateway, within its share: connecting and TLS draw on the same purse. */
  async #try(via: HostPort, shareMs: number, signal: AbortSignal): Promise<Duplex | DialError> {
    const { sni, alpn, tls, clock } = this.#o;
    const connectMs = Math.min(connectMsMax, shareMs);
    const dial = this.#o.dialAlpn ?? dialAlpn;
    try {
      return await dial({ via, sni, alpn, tls, connectMs, totalMs: shareMs, signal, clock });
    } catch (e) {
      if (e instanceof DialError) return e;
      this.#end(() => this.#settle.reject(e)); // ours: nobody below `main` catches it
      return new DialError('aborted', { via, sni }, 'not dialled');
    }
  }

  #win(socket: Duplex, tookMs: number): void {
    const { clock, won } = this.#o;
    won(tookMs);
    this.#end(() => this.#settle.resolve(socket));
    for (const runner of this.#running) {
      const when = runner.began + Math.max(shareMsMin, overtakenTimes * tookMs);
      runner.overdue = clock.at(when, () => runner.stop.abort(overtaken));
    }
  }

  #giveUp(): void {
    for (const { stop } of this.#running) stop.abort(this.#o.signal?.reason);
  }

  #end(settle: () => void): void {
    if (this.#over) return;
    this.#over = true;
    this.#waiting = [];
    this.#stagger?.[Symbol.dispose]();
    this.#o.signal?.removeEventListener('abort', this.#given);
    settle();
  }
}

const overtaken = new Error('another gateway was faster by far');
