/**
 * memory.ts: what trying a gateway taught us, and for how long it counts.
 *
 * Two things can be bad: the gateway (nobody answers there) or the way through it (it answers, but does not
 * lead to this datacenter). Each has a circuit breaker: after a failure it rests, longer every time in a row;
 * when the rest is over it is due, and one caller may find out whether it works again while the others keep
 * away. Each also has a badness that fades by half every 30 s, so that of two that work, the steadier goes
 * first. A breaker never takes a way out of the list, it only moves it back: the worst way is better than
 * none.
 * Lives here: breakers and badness. Must not live here: lists, policy.
 */
import { renderHostPort } from './address.ts';
import type { HostPort, Millis, Rng } from './ports.ts';

export type Standing = 'untried' | 'good' | 'due' | 'resting';

export interface Verdict {
  readonly standing: Standing;
  /** 0: nothing against it. About 1 per recent failure, 3 per recent timeout. */
  readonly badness: number;
  readonly okAt: Millis | undefined;
  readonly failure: { readonly code: string; readonly at: Millis } | undefined;
  /** When a resting way becomes due. */
  readonly restsUntil: Millis | undefined;
  /** What a dial takes: of the last few successes, the newer the more it counts. */
  readonly tookMs: number | undefined;
}

interface Mark {
  failuresInARow: number;
  restsUntil: Millis;
  /** Somebody is finding out, until then at the latest. */
  trialUntil: Millis;
  badness: number;
  badnessAt: Millis;
  okAt: Millis | undefined;
  failure: { readonly code: string; readonly at: Millis } | undefined;
  tookMs: number | undefined;
}

const longAgo: Millis = Number.NEGATIVE_INFINITY;
const restMsMax = 30_000;
/** Longer than any dial budget: whoever took a trial has reported by then, or never will. */
const trialMs = 10_000;
const halfLifeMs = 30_000;
/** Gateways times datacenters we keep marks for; beyond it the marks longest untouched go. */
const marksMax = 8192;

/** Who is to blame for a code, how much it counts, and how long the first rest is. */
function blame(code: string): {
  readonly whom: 'gateway' | 'way';
  readonly cost: number;
  readonly restMs: number;
} {
  switch (code) {
    case 'connect_refused':
    case 'connect_failed':
      return { whom: 'gateway', cost: 1, restMs: 1_000 };
    case 'connect_timeout':
      return { whom: 'gateway', cost: 3, restMs: 3_000 };
    case 'tls_timeout':
      return { whom: 'way', cost: 3, restMs: 3_000 };
    case 'overtaken': // by another that led there in a fraction of the time; nobody knows at which hop this one stuck
      return { whom: 'way', cost: 2, restMs: 2_000 };
    default: // it answered, and something further on did not do
      return { whom: 'way', cost: 1, restMs: 1_000 };
  }
}

export class Memory {
  readonly #rng: Rng;
  /** Least recently touched first. */
  readonly #marks = new Map<string, Mark>();

  constructor(rng: Rng) {
    this.#rng = rng;
  }

  succeeded(gateway: HostPort, datacenter: string, tookMs: number, now: Millis): void {
    for (const key of keysOf(gateway, datacenter)) {
      const mark = this.#touch(key, now);
      mark.failuresInARow = 0;
      mark.restsUntil = mark.trialUntil = longAgo;
      mark.okAt = now;
      mark.tookMs = mark.tookMs === undefined ? tookMs : mark.tookMs + (tookMs - mark.tookMs) / 4;
    }
  }

  /** A code `aborted` says nothing about anybody. */
  failed(gateway: HostPort, datacenter: string, code: string, now: Millis): void {
    const [gate, way] = keysOf(gateway, datacenter);
    this.#touch(gate, now).trialUntil = longAgo;
    this.#touch(way, now).trialUntil = longAgo;
    if (code === 'aborted') return;
    const { whom, cost, restMs } = blame(code);
    if (whom === 'way' && code !== 'overtaken') this.#clear(this.#touch(gate, now)); // it answered
    const mark = this.#touch(whom === 'way' ? way : gate, now);
    const fullMs = Math.min(restMsMax, restMs * 2 ** Math.min(mark.failuresInARow, 30));
    mark.failuresInARow++;
    mark.restsUntil = now + fullMs - this.#rng.below(Math.floor(fullMs / 2) + 1);
    mark.badness += cost;
    mark.failure = { code, at: now };
  }

  verdict(gateway: HostPort, datacenter: string, now: Millis): Verdict {
    const marks = keysOf(gateway, datacenter).map((key) => this.#marks.get(key));
    const [gate, way] = marks;
    const worst = [way, gate].find((mark) => mark && mark.failuresInARow > 0);
    const badness = marks.reduce((sum, mark) => sum + (mark ? faded(mark, now) : 0), 0);
    const restsUntil = Math.max(
      ...marks.map((mark) => (mark ? Math.max(mark.restsUntil, mark.trialUntil) : longAgo)),
    );
    const failure = latest(way?.failure, gate?.failure);
    const resting = worst !== undefined && now < restsUntil;
    return {
      standing: resting ? 'resting' : worst ? 'due' : way?.okAt !== undefined ? 'good' : 'untried',
      badness,
      okAt: way?.okAt,
      failure,
      restsUntil: resting ? restsUntil : undefined,
      tookMs: way?.tookMs,
    };
  }

  /** The caller will try this way, which is due; until it reports, others keep away. */
  beginTrial(gateway: HostPort, datacenter: string, now: Millis): void {
    const [, way] = keysOf(gateway, datacenter);
    for (const key of keysOf(gateway, datacenter)) {
      const mark = key === way ? this.#touch(key, now) : this.#marks.get(key);
      if (mark && (key === way || mark.failuresInARow > 0)) mark.trialUntil = now + trialMs;
    }
  }

  /** Whether somebody has begun to try it and not reported yet. */
  isOnTrial(gateway: HostPort, datacenter: string, now: Millis): boolean {
    return keysOf(gateway, datacenter).some((key) => now < (this.#marks.get(key)?.trialUntil ?? longAgo));
  }

  /** Whether the gateway led somewhere, anywhere, since `since`. */
  ledSomewhereSince(gateway: HostPort, since: Millis): boolean {
    const okAt = this.#marks.get(renderHostPort(gateway))?.okAt;
    return okAt !== undefined && okAt >= since;
  }

  /** Forgets gateways that are in no list any more. */
  retain(known: ReadonlySet<string>): void {
    for (const key of [...this.#marks.keys()]) {
      if (!known.has(key.split(' ')[0]!)) this.#marks.delete(key);
    }
  }

  #touch(key: string, now: Millis): Mark {
    const mark = this.#marks.get(key) ?? {
      failuresInARow: 0,
      restsUntil: longAgo,
      trialUntil: longAgo,
      badness: 0,
      badnessAt: now,
      okAt: undefined,
      failure: undefined,
      tookMs: undefined,
    };
    mark.badness = faded(mark, now);
    mark.badnessAt = now;
    this.#marks.delete(key);
    this.#marks.set(key, mark);
    if (this.#marks.size > marksMax) this.#marks.delete(this.#marks.keys().next().value!);
    return mark;
  }

  #clear(mark: Mark): void {
    mark.failuresInARow = 0;
    mark.restsUntil = longAgo;
  }
}

function keysOf(gateway: HostPort, datacenter: string): readonly [string, string] {
  const gate = renderHostPort(gateway);
  return [gate, `${gate} ${datacenter}`];
}

function faded(mark: Mark, now: Millis): number {
  return mark.badness * 0.5 ** ((now - mark.badnessAt) / halfLifeMs);
}

function latest(a: Verdict['failure'], b: Verdict['failure']): Verdict['failure'] {
  return a && b ? (a.at >= b.at ? a : b) : (a ?? b);
}
