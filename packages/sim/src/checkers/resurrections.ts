/**
 * resurrections.ts: nobody comes back from the dead without a higher incarnation.
 *
 * A join after a leave must be newer than the death it denies, unless the death was old enough to be forgotten. Fed
 * with every change, so nothing happens between two looks.
 */
import type { MemberChange, Memberlist } from '@fed/memberlist';
import type { Report } from './violation.ts';

export class ResurrectionChecker {
  readonly #report: Report;
  readonly #rememberMs: number;
  /** Per life of an observer: the dead and their incarnations. */
  readonly #dead = new WeakMap<
    object,
    Map<string, { readonly incarnation: number; readonly atMs: number }>
  >();

  constructor(o: { readonly report: Report; readonly rememberMs: number }) {
    this.#report = o.report;
    this.#rememberMs = o.rememberMs;
  }

  /** `life` stands for one run of the observer. */
  changed(life: object, observer: Memberlist['name'], { kind, member }: MemberChange, atMs: number): void {
    let dead = this.#dead.get(life);
    if (dead === undefined) {
      dead = new Map();
      this.#dead.set(life, dead);
    }
    const { name, incarnation } = member;
    if (kind === 'leave') dead.set(name, { incarnation, atMs });
    if (kind !== 'join') return;
    const death = dead.get(name);
    dead.delete(name);
    if (death === undefined || incarnation > death.incarnation) return;
    if (atMs - death.atMs >= this.#rememberMs) return;
    this.#report({
      rule: 'the dead stay dead until a higher incarnation',
      atMs,
      detail: `${observer} saw ${name} die at ${death.incarnation} and rise at ${incarnation}`,
    });
  }
}
