/**
 * standing.ts: what one connection means for its address: nothing, that it may be the next to fail, or that it speaks for it.
 *
 * Lives here: how that changes while the connection lives. Must not live here: what an address has coming to it
 * (penalty-box.ts), sockets.
 */
import type { PenaltyBox } from './penalty-box.ts';
import type { Clock } from './ports.ts';

/**
 * Where others have failed lately, a certified peer speaks for his address once he has behaved so long. Who breaks the rules of his
 * protocol does so at once; and while he spoke for it, everybody else there was forgiven.
 */
const provingMs = 1_000;

export class Standing {
  readonly #box: PenaltyBox;
  readonly #clock: Clock;
  readonly #host: string;
  #is: 'nothing' | 'onProbation' | 'vouching';
  /** Only on probation. */
  #proving: Disposable | undefined;

  /** Of a connection that has just been admitted. */
  constructor(box: PenaltyBox, clock: Clock, host: string, admission: 'welcome' | 'onProbation') {
    this.#box = box;
    this.#clock = clock;
    this.#host = host;
    this.#is = admission === 'onProbation' ? 'onProbation' : 'nothing';
  }

  /** Let through; `certified`: with a certificate of our CA. */
  handedOver(certified: boolean): void {
    if (!certified) this.#settle();
    else if (this.#is === 'onProbation')
      this.#proving = this.#clock.at(this.#clock.now() + provingMs, () => this.#vouch());
    else this.#vouch();
  }

  /** Whoever it was handed over to says that its peer broke the rules. */
  blamed(): void {
    this.#settle();
    if (this.#is === 'vouching') this.#box.retract(this.#host);
    this.#is = 'nothing';
    this.#box.failed(this.#host, this.#clock.now());
  }

  closed(): void {
    this.#settle();
    if (this.#is === 'vouching') this.#box.release(this.#host, this.#clock.now());
    this.#is = 'nothing';
  }

  #vouch(): void {
    this.#settle();
    this.#is = 'vouching';
    this.#box.vouch(this.#host);
  }

  #settle(): void {
    if (this.#is !== 'onProbation') return;
    this.#proving?.[Symbol.dispose]();
    this.#is = 'nothing';
    this.#box.settle(this.#host);
  }
}
