/**
 * barriers.ts: who waits for proof that we lead and are up to date.
 *
 * One question to etcd serves all who came before it was asked; who comes while it is on its way waits for the next.
 * Lives here: rounds, and waiting for the log to reach what a round has seen. Must not live here: etcd, who leads.
 */
import { Backoff } from './config.ts';
import type { Effect } from './events.ts';
import { fail } from './failures.ts';

interface Waiting {
  readonly id: number;
  readonly until: number;
}

export class Barriers {
  readonly #timeoutMs: number;
  #fresh: Waiting[] = [];
  /** Those the question on its way is asked for. */
  #asked: Waiting[] | undefined;
  /** Answered, but our own state is not there yet. */
  #behind: { readonly waiting: Waiting; readonly index: number }[] = [];
  #retryAt: number | undefined;
  readonly #backoff = new Backoff();

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  get patienceMs(): number {
    return this.#backoff.patienceMs;
  }

  add(id: number, now: number): void {
    this.#fresh.push({ id, until: now + this.#timeoutMs });
  }

  /** Whether to ask now. */
  ask(now: number): boolean {
    if (this.#asked !== undefined || this.#fresh.length === 0) return false;
    if (this.#retryAt !== undefined && now < this.#retryAt) return false;
    this.#retryAt = undefined;
    this.#asked = this.#fresh;
    this.#fresh = [];
    return true;
  }

  answered(headIndex: number, applied: number): readonly Effect[] {
    this.#backoff.reset();
    for (const waiting of this.#asked ?? []) this.#behind.push({ waiting, index: headIndex });
    this.#asked = undefined;
    return this.applied(applied);
  }

  applied(index: number): readonly Effect[] {
    if (this.#behind.length === 0) return [];
    const there = this.#behind.filter((one) => one.index <= index);
    this.#behind = this.#behind.filter((one) => one.index > index);
    return there.map(({ waiting }) => ({ kind: 'done', id: waiting.id, index }));
  }

  /** Asked again, a later answer is as good. */
  unanswered(now: number): void {
    this.#fresh = [...(this.#asked ?? []), ...this.#fresh];
    this.#asked = undefined;
    this.#retryAt = this.#backoff.after(now);
  }

  abort(id: number): void {
    const others = (waiting: Waiting): boolean => waiting.id !== id;
    this.#fresh = this.#fresh.filter(others);
    this.#asked = this.#asked?.filter(others);
    this.#behind = this.#behind.filter(({ waiting }) => others(waiting));
  }

  refuse(code: Extract<Effect, { kind: 'fail' }>['code'], detail: string): readonly Effect[] {
    const all = this.#all();
    this.#fresh = [];
    this.#behind = [];
    if (this.#asked !== undefined) this.#asked = [];
    return all.map(({ id }) => fail(id, code, detail));
  }

  expire(now: number): readonly Effect[] {
    if (this.#firstUntil() > now) return [];
    const late = this.#all().filter(({ until }) => until <= now);
    for (const { id } of late) this.abort(id);
    return late.map(({ id }) => fail(id, 'log_unavailable', 'etcd did not answer in time'));
  }

  deadline(): number {
    const retryAt = this.#fresh.length > 0 && this.#asked === undefined ? this.#retryAt : undefined;
    return Math.min(this.#firstUntil(), retryAt ?? Number.POSITIVE_INFINITY);
  }

  /** Each list is in the order of coming. */
  #firstUntil(): number {
    const firsts = [this.#fresh[0], this.#asked?.[0], this.#behind[0]?.waiting];
    return Math.min(...firsts.map((one) => one?.until ?? Number.POSITIVE_INFINITY));
  }

  #all(): readonly Waiting[] {
    return [...this.#fresh, ...(this.#asked ?? []), ...this.#behind.map(({ waiting }) => waiting)];
  }
}
