/**
 * refusals.ts: every refusal is counted; those worth a line are reported.
 *
 * Lives here: the counters by code. Must not live here: what a refusal is (door.ts).
 */
import type { RefusalCode } from './door.ts';
import type { HostPort } from './ports.ts';
import { ReportLimit } from './report-limit.ts';

export interface Refusal {
  readonly code: RefusalCode;
  readonly remote: HostPort;
  readonly detail: string;
  /** Refusals with this code that were counted but not reported since the last report of it. */
  readonly suppressed: number;
}

export class Refusals {
  readonly #counts = new Map<RefusalCode, number>();
  readonly #limit = new ReportLimit();
  readonly #report: (r: Refusal) => void;

  constructor(report: (r: Refusal) => void) {
    this.#report = report;
  }

  add(code: RefusalCode, remote: HostPort, detail: string, now: number): void {
    this.count(code);
    const suppressed = this.#limit.admit(code, now);
    if (suppressed !== undefined) this.#report({ code, remote, detail, suppressed });
  }

  /** Not worth a line. */
  count(code: RefusalCode): void {
    this.#counts.set(code, (this.#counts.get(code) ?? 0) + 1);
  }

  counts(): Readonly<Partial<Record<RefusalCode, number>>> {
    return Object.fromEntries(this.#counts);
  }
}
