/**
 * coordinates.ts: where we are in a space in which distances estimate round trips (Vivaldi).
 *
 * Every measured round trip is a spring between us and the other: too long an estimate pulls, too short one pushes,
 * and whoever is less sure moves more. Height is the part of the way nobody can move around: the last mile. A slow
 * adjustment takes up what no geometry explains, and a weak gravity keeps the whole cloud near the origin.
 * Dabek et al., "Vivaldi: A Decentralized Network Coordinate System"; serf coordinate/{coordinate,client,config}.go.
 * Lives here: the arithmetic, one client. Must not live here: messages, members, time.
 */
import type { Rng } from '../ports.ts';
import type { Coordinate } from '../wire/ack-payload.ts';

/** Everybody in a pool must use the same numbers: these are those of every release of serf. */
const vivaldi = {
  dimensions: 8,
  errorMax: 1.5,
  errorGain: 0.25,
  forceGain: 0.25,
  adjustmentWindow: 20,
  heightMinSeconds: 10e-6,
  latencyFilterSamples: 3,
  gravityRhoSeconds: 150,
  rttSecondsMax: 10,
} as const;

const zero = 1e-6;

export const originCoordinate: Coordinate = Object.freeze({
  vec: Object.freeze(new Array<number>(vivaldi.dimensions).fill(0)),
  error: vivaldi.errorMax,
  adjustment: 0,
  height: vivaldi.heightMinSeconds,
});

/** Estimated round trip in whole nanoseconds, as Go's Duration has it. */
export function distanceNs(a: Coordinate, b: Coordinate): number {
  const raw = rawDistance(a, b);
  const adjusted = raw + a.adjustment + b.adjustment;
  return Math.trunc((adjusted > 0 ? adjusted : raw) * 1e9);
}

/** Why a coordinate cannot be used, or undefined. */
function refuseCoordinate(c: Coordinate): 'incompatible' | 'invalid' | undefined {
  if (c.vec.length !== vivaldi.dimensions) return 'incompatible';
  return isValid(c) ? undefined : 'invalid';
}

export type Observation = 'moved' | 'reset' | 'bad_rtt' | 'incompatible' | 'invalid';

export class CoordinateClient {
  #here: Coordinate;
  /** How often a result made no sense and we went back to the origin. */
  resets = 0;
  readonly #rng: Rng;
  readonly #samples = new Array<number>(vivaldi.adjustmentWindow).fill(0);
  #nextSample = 0;
  readonly #latencies = new Map<string, number[]>();

  constructor(rng: Rng, start: Coordinate = originCoordinate) {
    this.#rng = rng;
    this.#here = start;
  }

  get here(): Coordinate {
    return this.#here;
  }

  /** A round trip of `rttSeconds` to `node`, which is at `other`. What is not 'moved' or 'reset' changed nothing. */
  observe(node: string, other: Coordinate, rttSeconds: number): Observation {
    const refused = refuseCoordinate(other);
    if (refused !== undefined) return refused;
    if (!(rttSeconds >= 0 && rttSeconds <= vivaldi.rttSecondsMax)) return 'bad_rtt';
    const rtt = this.#median(node, rttSeconds);
    this.#pull(other, rtt);
    this.#adjust(other, rtt);
    const drift = seconds(distanceNs(originCoordinate, this.#here));
    this.#here = this.#push(-((drift / vivaldi.gravityRhoSeconds) ** 2), originCoordinate);
    if (isValid(this.#here)) return 'moved';
    this.resets++;
    this.#here = originCoordinate;
    return 'reset';
  }

  /** The node is gone; so is what we measured of it. */
  forget(node: string): void {
    this.#latencies.delete(node);
  }

  /** One slow answer among three says nothing. */
  #median(node: string, rttSeconds: number): number {
    const samples = this.#latencies.get(node) ?? [];
    samples.push(rttSeconds);
    if (samples.length > vivaldi.latencyFilterSamples) samples.shift();
    this.#latencies.set(node, samples);
    const sorted = samples.toSorted((a, b) => a - b);
    return sorted[Math.trunc(sorted.length / 2)] ?? rttSeconds;
  }

  #pull(other: Coordinate, measuredSeconds: number): void {
    const estimate = seconds(distanceNs(this.#here, other));
    const rtt = Math.max(measuredSeconds, zero);
    const wrongness = Math.abs(estimate - rtt) / rtt;
    const weight = this.#here.error / Math.max(this.#here.error + other.error, zero);
    const gain = vivaldi.errorGain * weight;
    const error = Math.min(gain * wrongness + this.#here.error * (1 - gain), vivaldi.errorMax);
    this.#here = { ...this.#here, error };
    this.#here = this.#push(vivaldi.forceGain * weight * (rtt - estimate), other);
  }

  #adjust(other: Coordinate, rttSeconds: number): void {
    this.#samples[this.#nextSample] = rttSeconds - rawDistance(this.#here, other);
    this.#nextSample = (this.#nextSample + 1) % vivaldi.adjustmentWindow;
    const sum = this.#samples.reduce((total, sample) => total + sample, 0);
    this.#here = { ...this.#here, adjustment: sum / (2 * vivaldi.adjustmentWindow) };
  }

  /** Where we are after `force` (seconds, negative pulls) along the line from `other` to us. */
  #push(force: number, other: Coordinate): Coordinate {
    const { unit, apart } = this.#direction(other);
    const vec = this.#here.vec.map((x, i) => x + (unit[i] ?? 0) * force);
    if (apart <= zero) return { ...this.#here, vec };
    const height = Math.max(
      ((this.#here.height + other.height) * force) / apart + this.#here.height,
      vivaldi.heightMinSeconds,
    );
    return { ...this.#here, vec, height };
  }

  /** Two in one place part in a random direction. */
  #direction(other: Coordinate): { unit: readonly number[]; apart: number } {
    const line = difference(this.#here.vec, other.vec);
    const apart = magnitude(line);
    if (apart > zero) return { unit: line.map((x) => x / apart), apart };
    const steps = 2 ** 30;
    const any = line.map(() => this.#rng.below(steps) / steps - 0.5);
    const length = magnitude(any);
    if (length > zero) return { unit: any.map((x) => x / length), apart: 0 };
    return { unit: line.map((_, i) => (i === 0 ? 1 : 0)), apart: 0 };
  }
}

function rawDistance(a: Coordinate, b: Coordinate): number {
  return magnitude(difference(a.vec, b.vec)) + a.height + b.height;
}

function difference(a: readonly number[], b: readonly number[]): number[] {
  return a.map((x, i) => x - (b[i] ?? 0));
}

function magnitude(v: readonly number[]): number {
  let sum = 0;
  for (const x of v) sum += x * x;
  return Math.sqrt(sum);
}

function isValid(c: Coordinate): boolean {
  return [...c.vec, c.error, c.adjustment, c.height].every(Number.isFinite);
}

function seconds(ns: number): number {
  return ns / 1e9;
}
