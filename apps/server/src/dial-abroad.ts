/**
 * dial-abroad.ts: a dial that goes on learning while it is under way.
 *
 * A dial walks along the gateways in the order that was best when it began, for up to five seconds. Meanwhile one that it
 * has passed may have come back, and all of them may have moved. So a walk that takes long gets company: another begins
 * beside it, in the order that is best by then, and the first to arrive wins. And when the ways to the datacenter change,
 * the walk starts over along the new ones.
 * Lives here: when to walk. Must not live here: the walk (alpn-mux), the ways and their order (the locator).
 */
import type { Duplex } from 'node:stream';
import { type GatewayDialer, UnreachableError } from '@fed/alpn-mux';
import type { Locator } from '@fed/gateway-locator';

type Request = Parameters<GatewayDialer['dial']>[0];

/** A bit more than the least a gateway gets: by then the first in the list has failed, and rests at its end. */
const companyMs = 1_250;
/** Walks that one dial may have under way at a time; each tries two gateways at most. */
const walksMax = 2;
/** News that never stops must not keep a caller waiting for ever. */
const startsOverMax = 3;

export function dialAbroad(o: {
  readonly dialer: GatewayDialer;
  readonly locator: Pick<Locator, 'onRoutes'>;
  /** Told of each connection that was made. */
  readonly arrived?: (datacenter: string, socket: Duplex) => void;
  /** Told of each dial that no gateway led to its end. */
  readonly unreached?: (datacenter: string) => void;
  readonly clock: { now(): number; at(when: number, wake: () => void): Disposable };
}): GatewayDialer {
  const underWay = new Set<Dial>();
  o.locator.onRoutes((changed) => {
    for (const dial of [...underWay]) if (changed.includes(dial.datacenter)) dial.startOver();
  });
  return {
    async dial(request) {
      const dial = new Dial(o, request);
      underWay.add(dial);
      try {
        const socket = await dial.outcome;
        o.arrived?.(request.datacenter, socket);
        return socket;
      } catch (error) {
        if (error instanceof UnreachableError) o.unreached?.(request.datacenter);
        throw error;
      } finally {
        underWay.delete(dial);
      }
    },
  };
}

class Dial {
  readonly datacenter: string;
  readonly outcome: Promise<Duplex>;
  readonly #o: Pick<Parameters<typeof dialAbroad>[0], 'dialer' | 'clock'>;
  readonly #request: Request;
  readonly #settle: { resolve(socket: Duplex): void; reject(error: unknown): void };
  readonly #walks = new Set<AbortController>();
  /** The one whose failure is ours: the budget is counted from its beginning. */
  #lead: AbortController | undefined;
  #company: Disposable | undefined;
  #startsOver = 0;
  #over = false;

  constructor(o: Pick<Parameters<typeof dialAbroad>[0], 'dialer' | 'clock'>, request: Request) {
    this.datacenter = request.datacenter;
    this.#o = o;
    this.#request = request;
    const { promise, ...settle } = Promise.withResolvers<Duplex>();
    this.outcome = promise;
    this.#settle = settle;
    this.#start();
  }

  startOver(): void {
    if (this.#over || this.#startsOver >= startsOverMax) return;
    this.#startsOver++;
    this.#abandon();
    this.#start();
  }

  #start(): void {
    this.#lead = this.#walk();
    this.#expectCompany();
  }

  #expectCompany(): void {
    const { clock } = this.#o;
    this.#company = clock.at(clock.now() + companyMs, () => {
      this.#walk();
      if (this.#walks.size < walksMax) this.#expectCompany();
    });
  }

  #walk(): AbortController {
    const walk = new AbortController();
    this.#walks.add(walk);
    const { signal } = this.#request;
    const either = signal ? AbortSignal.any([signal, walk.signal]) : walk.signal;
    this.#o.dialer.dial({ ...this.#request, signal: either }).then(
      (socket) => {
        if (!this.#walks.delete(walk))
          socket.destroy(); // it was abandoned, and arrived all the same
        else this.#end(() => this.#settle.resolve(socket));
      },
      (error: unknown) => {
        if (this.#walks.delete(walk) && walk === this.#lead) this.#end(() => this.#settle.reject(error));
      },
    );
    return walk;
  }

  #end(settle: () => void): void {
    this.#over = true;
    this.#abandon();
    settle();
  }

  #abandon(): void {
    this.#company?.[Symbol.dispose]();
    for (const walk of this.#walks) {
      this.#walks.delete(walk);
      walk.abort();
    }
  }
}
