/**
 * figures.ts: what was measured beside what was promised, as a table at the end.
 *
 * A figure that misses its bound is marked; one that misses `fails` ends its test. Between the two lies what a machine with
 * other things to do may cost. Where several federations live through the same stories, each has a column, and only ours
 * is judged: what Consul does is told beside it.
 */
import { expect } from 'vitest';

interface Row {
  readonly story: string;
  readonly what: string;
  readonly unit: string;
  readonly bound: number;
  readonly measured: Map<string, { readonly value: number; readonly note: string }>;
}

export interface Judged {
  readonly unit: string;
  readonly bound: number;
  /** Default: three times the bound. */
  readonly fails?: number;
  /** Told behind the figure. */
  readonly note?: string;
  /** Whether missing `fails` ends the test. Default: true. */
  readonly judged?: boolean;
}

export class Figures {
  readonly #rows = new Map<string, Row>();
  readonly #columns: string[] = [];
  #column = 'measured';

  /** From now on figures belong to this federation. */
  of(column: string): void {
    this.#column = column;
  }

  /** `measured` may be Infinity: it did not happen while we waited. */
  add(story: string, what: string, measured: number, o: Judged): void {
    const key = `${story}: ${what}`;
    const row = this.#rows.get(key) ?? { story, what, unit: o.unit, bound: o.bound, measured: new Map() };
    this.#rows.set(key, row);
    if (!this.#columns.includes(this.#column)) this.#columns.push(this.#column);
    row.measured.set(this.#column, { value: measured, note: o.note === undefined ? '' : ` (${o.note})` });
    if (o.judged !== false)
      expect.soft(measured, `${key}, in ${o.unit}`).toBeLessThanOrEqual(o.fails ?? 3 * o.bound);
  }

  table(): string {
    const all = [
      ['story', 'measure', 'bound', ...this.#columns],
      ...[...this.#rows.values()].map(({ story, what, unit, bound, measured }) => [
        story,
        what,
        `<= ${text(bound)} ${unit}`,
        ...this.#columns.map((column) => {
          const cell = measured.get(column);
          if (cell === undefined) return '-';
          return `${text(cell.value)} ${unit}${cell.value <= bound ? '' : ' MISSED'}${cell.note}`;
        }),
      ]),
    ];
    const columns = Array.from({ length: all[0]?.length ?? 0 }, (_, at) => at);
    const widths = columns.map((column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
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

const text = (n: number): string => (Number.isFinite(n) ? String(Math.round(n * 10) / 10) : 'not at all:');
