/**
 * figures.ts: what was measured beside what was promised, as a table at the end.
 *
 * A figure that misses its bound is marked; one that misses `fails` ends its test. Between the two lies what a machine with
 * other things to do may cost.
 */
import { expect } from 'vitest';

interface Row {
  readonly story: string;
  readonly what: string;
  readonly unit: string;
  readonly bound: number;
  readonly measured: number;
}

export class Figures {
  readonly #rows: Row[] = [];

  /** @param fails default: three times the bound. */
  add(
    story: string,
    what: string,
    measured: number,
    o: { unit: string; bound: number; fails?: number },
  ): void {
    this.#rows.push({ story, what, unit: o.unit, bound: o.bound, measured });
    expect.soft(measured, `${story}: ${what}, in ${o.unit}`).toBeLessThanOrEqual(o.fails ?? 3 * o.bound);
  }

  table(): string {
    const text = (n: number): string => String(Math.round(n * 10) / 10);
    const rows = this.#rows.map(({ story, what, unit, bound, measured }) => [
      story,
      what,
      `<= ${text(bound)} ${unit}`,
      `${text(measured)} ${unit}`,
      measured <= bound ? '' : 'MISSED',
    ]);
    const all = [['story', 'measure', 'bound', 'measured', ''], ...rows];
    const widths = [0, 1, 2, 3].map((column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
    return all
      .map((row) =>
        row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join('  ')
          .trimEnd(),
      )
      .join('\n');
  }
}
