/**
 * reach.ts: keeps the WAN pool in touch with datacenters that just became reachable.
 *
 * Gossip alone would find out at the next push/pull, a minute later: whatever was gossiped before a route existed is
 * lost. So a new route, or the loss of the last member behind an old one, is answered by a push/pull with any server
 * of that datacenter, tried again soon until one works. Asking is cheap: while nothing listens it is one refused
 * connection a try. A try that goes silent has a budget, or it would keep us from the next one while the way is long mended.
 * A doubt is weaker than news, and may come again and again: whoever was met lately is left alone for a moment.
 * Lives here: whom to try, and when again. Must not live here: gossip, dialling, who is reachable.
 */
import { BudgetError, withinBudget } from './budget.ts';

export interface ReachPorts {
  readonly clock: { now(): number; at(when: number, wake: () => void): Disposable };
  readonly rng: { below(n: number): number };
  /** One push/pull with any server of the datacenter. */
  readonly meet: (datacenter: string, signal: AbortSignal) => Promise<void>;
  /** Whether there is any point in trying; asked before each try. */
  readonly worthTrying: (datacenter: string) => boolean;
  readonly met: (datacenter: string, tries: number) => void;
  readonly failed: (datacenter: string, tries: number, error: unknown) => void;
}

export interface ReachConfig {
  readonly firstDelayMs: number;
  /** The longest pause between two tries. */
  readonly delayMsMax: number;
  /** What one try may take. */
  readonly meetMs: number;
  /** A way may be slow and not silent: each try that took too long gives the next one twice its time, up to this. */
  readonly meetMsMax: number;
  /** Between a meeting and the next that only a doubt asks for. */
  readonly restMs: number;
}

/** 6 s: a dial along all gateways, which takes 5 s at most, and the exchange. 30 s: memberlist's own limit on a WAN. */
export const reachDefaults: ReachConfig = {
  firstDelayMs: 50,
  delayMsMax: 750,
  meetMs: 6_000,
  meetMsMax: 30_000,
  restMs: 5_000,
};

interface Wanted {
  tries: number;
  /** What the next try may take. */
  budgetMs: number;
  timer: Disposable | undefined;
  busy: boolean;
  /** Wanted again while a try was under way: that try may have begun before the news. */
  again: boolean;
}

export class Reach implements Disposable {
  readonly #ports: ReachPorts;
  readonly #config: ReachConfig;
  readonly #wanted = new Map<string, Wanted>();
  readonly #metAt = new Map<string, number>();
  readonly #stop = new AbortController();

  constructor(ports: ReachPorts, config: ReachConfig = reachDefaults) {
    this.#ports = ports;
    this.#config = config;
  }

  /** Try now, and until it works. */
  want(datacenter: string): void {
    const wanted = this.#wanted.get(datacenter) ?? this.#begin(datacenter);
    wanted.tries = 0;
    wanted.budgetMs = this.#config.meetMs;
    if (wanted.busy) wanted.again = true;
    else this.#tryNow(datacenter, wanted);
  }

  /** The same, but not sooner than a rest after the last meeting. Nothing new while it is wanted already. */
  doubt(datacenter: string): void {
    if (this.#stop.signal.aborted || this.#wanted.has(datacenter)) return;
    const wanted = this.#begin(datacenter);
    const metAt = this.#metAt.get(datacenter) ?? Number.NEGATIVE_INFINITY;
    const leftMs = metAt + this.#config.restMs - this.#ports.clock.now();
    if (leftMs <= 0) this.#tryNow(datacenter, wanted);
    else this.#after(leftMs, datacenter, wanted);
  }

  /** Datacenters still being tried. */
  pending(): readonly string[] {
    return [...this.#wanted.keys()];
  }

  [Symbol.dispose](): void {
    this.#stop.abort();
    for (const { timer } of this.#wanted.values()) timer?.[Symbol.dispose]();
    this.#wanted.clear();
  }

  #begin(datacenter: string): Wanted {
    const { meetMs: budgetMs } = this.#config;
    const wanted: Wanted = { tries: 0, budgetMs, timer: undefined, busy: false, again: false };
    this.#wanted.set(datacenter, wanted);
    return wanted;
  }

  #tryNow(datacenter: string, wanted: Wanted): void {
    wanted.timer?.[Symbol.dispose]();
    wanted.timer = undefined;
    if (this.#stop.signal.aborted) return;
    if (!this.#ports.worthTrying(datacenter)) {
      this.#later(datacenter, wanted);
      return;
    }
    wanted.busy = true;
    const tries = ++wanted.tries; // news that comes meanwhile starts the count over
    const { clock, meet } = this.#ports;
    const budget = { clock, ms: wanted.budgetMs, stop: this.#stop.signal, what: `meeting ${datacenter}` };
    withinBudget((signal) => meet(datacenter, signal), budget).then(
      () => this.#settled(datacenter, wanted, { tries }),
      (error: unknown) => this.#settled(datacenter, wanted, { tries, failure: { error } }),
    );
  }

  #settled(
    datacenter: string,
    wanted: Wanted,
    { tries, failure }: { readonly tries: number; readonly failure?: { readonly error: unknown } },
  ): void {
    wanted.busy = false;
    if (this.#stop.signal.aborted) return;
    const { meetMs, meetMsMax } = this.#config;
    const wasSilent = failure?.error instanceof BudgetError;
    wanted.budgetMs = wasSilent && !wanted.again ? Math.min(2 * wanted.budgetMs, meetMsMax) : meetMs;
    if (failure === undefined) {
      this.#metAt.set(datacenter, this.#ports.clock.now());
      this.#ports.met(datacenter, tries);
    } else this.#ports.failed(datacenter, tries, failure.error);
    if (wanted.again) {
      wanted.again = false;
      this.#tryNow(datacenter, wanted);
    } else if (failure === undefined) this.#wanted.delete(datacenter);
    else this.#later(datacenter, wanted);
  }

  #later(datacenter: string, wanted: Wanted): void {
    const { firstDelayMs, delayMsMax } = this.#config;
    const ceilingMs = Math.min(delayMsMax, firstDelayMs * 2 ** Math.min(wanted.tries, 20));
    // Half fixed, half by chance: many servers that lost the same gateway do not come back in step.
    this.#after(ceilingMs / 2 + this.#ports.rng.below(Math.ceil(ceilingMs / 2) + 1), datacenter, wanted);
  }

  #after(delayMs: number, datacenter: string, wanted: Wanted): void {
    const { clock } = this.#ports;
    wanted.timer = clock.at(clock.now() + delayMs, () => this.#tryNow(datacenter, wanted));
  }
}
