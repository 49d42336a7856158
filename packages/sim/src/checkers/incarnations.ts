/**
 * incarnations.ts: what a member knows of another only ever gets newer.
 *
 * Looked at again and again: as long as a name stays in somebody's table, its incarnation there never goes back. Only
 * who was dead or gone for longer than the table remembers may start over.
 */
import type { Memberlist } from '@fed/memberlist';
import type { Report } from './violation.ts';

interface Seen {
  readonly incarnation: number;
  /** Since when it has been dead or left; undefined while it is neither. */
  readonly goneSinceMs: number | undefined;
}

export class IncarnationChecker {
  readonly #report: Report;
  readonly #rememberMs: number;
  /** Per life of an observer, per name. */
  readonly #seen = new WeakMap<Memberlist, Map<string, Seen>>();

  constructor(o: { readonly report: Report; readonly rememberMs: number }) {
    this.#report = o.report;
    this.#rememberMs = o.rememberMs;
  }

  look(observer: Memberlist, atMs: number): void {
    const before = this.#seen.get(observer);
    const now = new Map<string, Seen>();
    for (const { name, incarnation, state } of observer.all()) {
      const last = before?.get(name);
      const gone = state === 'dead' || state === 'left';
      now.set(name, { incarnation, goneSinceMs: gone ? (last?.goneSinceMs ?? atMs) : undefined });
      if (last === undefined || incarnation >= last.incarnation) continue;
      const forgotten = last.goneSinceMs !== undefined && atMs - last.goneSinceMs >= this.#rememberMs;
      if (forgotten) continue;
      this.#report({
        rule: 'an incarnation never goes back',
        atMs,
        detail: `${observer.name} had ${name} at ${last.incarnation}, now ${incarnation}`,
      });
    }
    this.#seen.set(observer, now);
  }
}
