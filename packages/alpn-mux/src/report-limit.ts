/**
 * report-limit.ts: which of many like events are worth a line.
 *
 * A port scanner must not be able to write our log. Of each kind the first few per second are let through, and the
 * first after a silence says how many of its kind were not.
 * Lives here: that count. Must not live here: what an event is, where a line goes.
 */

/** Reports per kind and second; a burst of trouble is described well enough by ten of its cases. */
export const reportsPerSecondMax = 10;
const windowMs = 1_000;

/** Kinds must be few, e.g. error codes: each is remembered. */
export class ReportLimit {
  readonly #windows = new Map<string, { since: number; reported: number; suppressed: number }>();

  /** How many of this kind went unreported since the last report; undefined if this one should too. */
  admit(kind: string, now: number): number | undefined {
    let window = this.#windows.get(kind);
    if (window === undefined || now - window.since >= windowMs) {
      window = { since: now, reported: 0, suppressed: window?.suppressed ?? 0 };
      this.#windows.set(kind, window);
    }
    if (window.reported >= reportsPerSecondMax) {
      window.suppressed += 1;
      return undefined;
    }
    window.reported += 1;
    const { suppressed } = window;
    window.suppressed = 0;
    return suppressed;
  }
}
