/**
 * ask-around.ts: when the way to a datacenter is lost, a third one may know the new way.
 *
 * Datacenters may move their gateways while they are apart, both of them; then neither finds the other by knocking on old
 * doors. A third that hears from both has the news, but cannot push it to us if we are who moved. So we fetch it: a push/pull with
 * somebody we do reach, soon after the loss and then ever more rarely, until the pool's own rhythm (a minute) does as well.
 * Lives here: when, and with whom. Must not live here: knocking (reach.ts), what the news means (gateway-news.ts).
 */
import { withinBudget } from './budget.ts';

export interface AskAroundPorts {
  readonly clock: { now(): number; at(when: number, wake: () => void): Disposable };
  readonly rng: { below(n: number): number };
  /** Members of other datacenters that are alive, as far as gossip knows. */
  readonly others: () => readonly { readonly name: string; readonly datacenter: string }[];
  /** Datacenters that are out of reach at the moment. */
  readonly lost: () => readonly string[];
  /** One push/pull. */
  readonly sync: (name: string, signal: AbortSignal) => Promise<void>;
}

const firstMs = 500;
/** As often as the WAN pool exchanges everything anyway. */
const pauseMsMax = 60_000;
/** Who takes longer has gone silent, and keeps us from asking the others: a dial takes 5 s, and there may be two exchanges. */
const askMsMax = 10_000;

export class AskAround implements Disposable {
  readonly #ports: AskAroundPorts;
  readonly #stop = new AbortController();
  #timer: Disposable | undefined;
  #pauseMs = firstMs;
  /** Whom this loss is about: another one begins anew. */
  #about = new Set<string>();

  constructor(ports: AskAroundPorts) {
    this.#ports = ports;
  }

  /** A datacenter could not be reached. */
  failed(datacenter: string): void {
    if (this.#stop.signal.aborted) return;
    if (!this.#about.has(datacenter)) {
      this.#about.add(datacenter);
      this.#pauseMs = firstMs;
      this.#timer?.[Symbol.dispose]();
      this.#timer = undefined;
    }
    if (this.#timer === undefined) this.#later();
  }

  [Symbol.dispose](): void {
    this.#stop.abort(new Error('this server is stopping'));
    this.#timer?.[Symbol.dispose]();
  }

  #later(): void {
    const { clock, rng } = this.#ports;
    // Half fixed, half by chance: everybody who lost the same datacenter must not ask at the same moment.
    const delayMs = this.#pauseMs / 2 + rng.below(this.#pauseMs / 2 + 1);
    this.#pauseMs = Math.min(2 * this.#pauseMs, pauseMsMax);
    this.#timer = clock.at(clock.now() + delayMs, () => this.#ask());
  }

  #ask(): void {
    this.#timer = undefined;
    const { clock, rng, others, lost, sync } = this.#ports;
    const missing = new Set(lost());
    this.#about = new Set([...this.#about].filter((datacenter) => missing.has(datacenter)));
    if (this.#about.size === 0) {
      this.#pauseMs = firstMs;
      return;
    }
    const reachable = others().filter(({ datacenter }) => !missing.has(datacenter));
    const whom = reachable[rng.below(reachable.length)];
    const over = (): void => {
      if (!this.#stop.signal.aborted && this.#timer === undefined) this.#later();
    };
    if (whom === undefined) {
      over();
      return;
    }
    // Who does not answer has nothing to tell.
    const budget = { clock, ms: askMsMax, stop: this.#stop.signal, what: `asking ${whom.name}` };
    withinBudget((signal) => sync(whom.name, signal), budget).then(over, over);
  }
}
