import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { heapFactors } from '../src/heap.ts';

const heap = new URL('../src/heap.ts', import.meta.url).href;
const mebibyte = 2 ** 20;

/** In a process of its own: how large its young generation was, before load, under load, made small, under load again. */
const program = `
  import { getHeapSpaceStatistics } from 'node:v8';
  import { settleHeap } from '${heap}';
  const size = () => getHeapSpaceStatistics().find((s) => s.space_name === 'new_space').space_size;
  const kept = Array(20_000);
  const load = async () => {
    const sizes = [];
    for (let n = 0; n < 10_000_000; n++) {
      kept[n % kept.length] = { n, some: [n, n, n] };
      if (n % 5_000 > 0) continue;
      await new Promise((resolve) => setImmediate(resolve));
      sizes.push(size());
    }
    return { last: sizes.at(-1), most: Math.max(...sizes) };
  };
  using _heap = settleHeap(1);
  const first = size();
  const loaded = await load();
  gc({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  console.log(JSON.stringify({ first, loaded, shrunk: size(), again: await load() }));
`;

test('the young generation grows to 16 MiB and no further, again and again', () => {
  const flags = [
    '--expose-gc',
    '--disable-warning=ExperimentalWarning',
    '--input-type=module',
    '--eval',
    program,
  ];
  const said = JSON.parse(execFileSync(process.execPath, flags, { encoding: 'utf8' }));
  expect(said.first).toBeLessThan(8 * mebibyte);
  expect(said.shrunk).toBeLessThan(8 * mebibyte);
  for (const { last, most } of [said.loaded, said.again]) {
    expect(last / mebibyte).toBeCloseTo(16, 0); // a page more or less
    expect(most).toBeLessThan(24 * mebibyte);
  }
});

test('V8 looks through the heap when 64 MiB have come, and when it chooses where that is less than half of what lives', () => {
  const next = heapFactors();
  const after = (old: number): number => next({ young: 0, old: old * mebibyte })['heap-growing-percent'];
  expect(after(25)).toBe(256);
  expect(after(32)).toBeGreaterThan(240); // what has come since may be garbage
  expect(after(20)).toBe(320);
  for (let looks = 0; looks < 30; looks++) after(70); // it is not
  expect(after(70)).toBeLessThan(100);
  expect(after(300)).toBe(0); // a state has been restored
  expect(after(90)).toBe(71);
});
