/**
 * measure.ts: running a thing for a while and saying how it went: rates, percentiles, tables.
 */

export interface Latencies {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** `workers` loops side by side for `seconds`; how many turns they made per second, and how long a turn took. */
export async function rate(
  seconds: number,
  workers: number,
  turn: () => Promise<unknown>,
): Promise<Latencies & { readonly perSecond: number }> {
  const { tookMs, lastedSeconds } = await turns(seconds, workers, turn);
  return { perSecond: Math.round(tookMs.length / lastedSeconds), ...percentiles(tookMs) };
}

/** The same, each turn told; they lasted until the last of them was over. */
export async function turns(
  seconds: number,
  workers: number,
  turn: () => Promise<unknown>,
): Promise<{ readonly tookMs: number[]; readonly lastedSeconds: number }> {
  const tookMs: number[] = [];
  const began = performance.now();
  const until = began + seconds * 1000;
  await Promise.all(
    Array.from({ length: workers }, async () => {
      while (performance.now() < until) {
        const turnBegan = performance.now();
        await turn();
        tookMs.push(performance.now() - turnBegan);
      }
    }),
  );
  return { tookMs, lastedSeconds: (performance.now() - began) / 1000 };
}

export function percentiles(tookMs: number[]): Latencies {
  tookMs.sort((a, b) => a - b);
  const at = (q: number): number =>
    round(tookMs[Math.min(tookMs.length - 1, Math.floor(tookMs.length * q))] ?? 0);
  return { p50Ms: at(0.5), p99Ms: at(0.99) };
}

/** Each of them in turn, there and back again: a machine that grows slower or faster meanwhile does so for all. */
export async function byTurns<T>(
  all: readonly T[],
  turns: number,
  take: (one: T) => Promise<void>,
): Promise<void> {
  for (let turn = 0; turn < turns; turn++)
    for (const one of turn % 2 === 0 ? all : all.toReversed()) await take(one);
}

/** The middle one; of an even number the greater of the middle two. */
export function median(all: readonly number[]): number {
  return all.toSorted((a, b) => a - b)[Math.floor(all.length / 2)] ?? Number.NaN;
}

export function round(n: number): number {
  return Math.round(n * 1000) / 1000;
}

export function printTable(rows: readonly (readonly string[])[]): void {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  for (const row of rows)
    console.log(
      `  ${row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd()}`,
    );
}
