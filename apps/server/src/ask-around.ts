/**
 * ask-around.ts: when the way to a datacenter is lost, a third one may know the new way.
 *
 * Datacenters may move their gateways while they are apart, both of them; then neither finds the other by knocking on old
 * doors. A third that hears from both has the news, but cannot push it to us if we are who moved. So we fetch it: a push/pull with
 * somebody we do reach, soon after the loss and then ever more rarely, until the pool's own rhythm (a minute) does as well.
 * Only answers make it rarer. Gossip may take a minute to notice that we are cut off from everybody; who was told nothing goes
 * on asking, one after the other: the first who can be reached again may be the only one who knows.
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
/** After one who did not answer: rarer than knocking (reach.ts), and soon enough once there is a way again. */
const unansweredPauseMs = 2_000;
/** Who takes longer has gone silent, and keeps us from asking the others: a dial takes 5 s, and there may be two exchanges. */
const askMsMax = 10_000;

export class AskAround implements Disposable {
  readonly #ports: AskAroundPorts;
  readonly #stop = new AbortController();
  #timer: Disposable | undefined;
  /** Somebody is being asked; what comes next depends on whether he answers. */
  #isAsking = false;
  /** After the next answer. */
  #pauseMs = firstMs;
  /** Whom this loss is about: another one begins anew. */
  #about = new Set<string>();
  /** Who was asked in vain since somebody answered: the others come first. */
  readonly #silent = new Set<string>();

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
    if (this.#timer === undefined && !this.#isAsking) this.#afterAnswer();
  }

  [Symbol.dispose](): void {
    this.#stop.abort(new Error('this server is stopping'));
    this.#timer?.[Symbol.dispose]();
  }

  #afterAnswer(): void {
    this.#later(this.#pauseMs);
    this.#pauseMs = Math.min(2 * this.#pauseMs, pauseMsMax);
  }

  #later(pauseMs: number): void {
    if (this.#stop.signal.aborted || this.#timer !== undefined) return;
    const { clock, rng } = this.#ports;
    // Half fixed, half by chance: everybody who lost the same datacenter must not ask at the same moment.
    const delayMs = pauseMs / 2 + rng.below(pauseMs / 2 + 1);
    this.#timer = clock.at(clock.now() + delayMs, () => this.#ask());
  }

  #ask(): void {
    this.#timer = undefined;
    const { clock, others, lost, sync } = this.#ports;
    const missing = new Set(lost());
    this.#about = new Set([...this.#about].filter((datacenter) => missing.has(datacenter)));
    if (this.#about.size === 0) {
      this.#pauseMs = firstMs;
      return;
    }
    const whom = this.#next(others().filter(({ datacenter }) => !missing.has(datacenter)));
    if (whom === undefined) {
      this.#later(unansweredPauseMs);
      return;
    }
    // Who does not answer has nothing to tell.
    const budget = { clock, ms: askMsMax, stop: this.#stop.signal, what: `asking ${whom}` };
    this.#isAsking = true;
    withinBudget((signal) => sync(whom, signal), budget).then(
      () => {
        this.#isAsking = false;
        this.#silent.clear();
        this.#afterAnswer();
      },
      () => {
        this.#isAsking = false;
        this.#silent.add(whom);
        this.#later(unansweredPauseMs);
      },
    );
  }

  /** When nobody is left who might answer, all are asked once more, and who answers then is asked again soon. */
  #next(reachable: readonly { readonly name: string }[]): string | undefined {
    if (reachable.every(({ name }) => this.#silent.has(name))) {
      this.#silent.clear();
      this.#pauseMs = firstMs;
    }
    const unasked = reachable.filter(({ name }) => !this.#silent.has(name));
    return unasked[this.#ports.rng.below(unasked.length)]?.name;
  }
}
