/**
 * windows.ts: whether reads were slower in some windows of time than in others.
 *
 * What is compared is the middle of the windows' p99; intervals are a bootstrap over windows. Those without anything going on are
 * compared with each other, too: that is the noise, and where it may be more than a quarter, nothing is decided. Lives here:
 * arithmetic, and how it is shown. Must not live here: what goes on, and when.
 */
import { type Latencies, median } from './measure.ts';
import { type Ratio, ratio, shown } from './paired.ts';

const toleratedRatio = 1.1;
const toleratedNoise = 1.25;

export class Judge {
  readonly #without: readonly Latencies[];
  readonly #below: (n: number) => number;
  readonly #noise: Ratio;

  /** `without`: windows in which nothing went on. `below(n)`: the dice. */
  constructor(without: readonly Latencies[], below: (n: number) => number) {
    this.#without = without;
    this.#below = below;
    const half = (which: number): Latencies[] => without.filter((_, n) => n % 2 === which);
    this.#noise = ratio(half(0), half(1), p99Of, below);
  }

  /** Every other window without anything, against the rest of them. */
  get noise(): string {
    return shown(this.#noise);
  }

  /** Times, ratio of p99, `yes` if surely within a tenth and `NO` if surely not, ratio of p50. */
  cells(windows: readonly Latencies[]): string[] {
    const found = ratio(windows, this.#without, p99Of, this.#below);
    const quietEnough = this.#noise.low >= 1 / toleratedNoise && this.#noise.high <= toleratedNoise;
    return [
      times(windows),
      shown(found),
      quietEnough ? verdict(found) : undecided,
      shown(ratio(windows, this.#without, p50Of, this.#below)),
    ];
  }
}

const undecided = 'not decided';

function verdict({ low, high }: Ratio): string {
  return high <= toleratedRatio ? 'yes' : low > toleratedRatio ? 'NO' : undecided;
}

/** p50 and p99, in ms. */
export function times(windows: readonly Latencies[]): string {
  return `${p50Of(windows).toFixed(3)} / ${p99Of(windows).toFixed(3)}`;
}

function p99Of(windows: readonly Latencies[]): number {
  return median(windows.map(({ p99Ms }) => p99Ms));
}

function p50Of(windows: readonly Latencies[]): number {
  return median(windows.map(({ p50Ms }) => p50Ms));
}
