/**
 * twins.ts: two servers asked in turn, one read each, so that whatever this machine does besides falls on both alike.
 *
 * Lives here: the asking, and what may be said of two sets of latencies: how much longer the slow reads of one take, and how
 * sure that is. Must not live here: federations, faults, bounds.
 */
import { spawnSync } from 'node:child_process';
import { Agent, get } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';

/** What both were asked within the same second; in ms. */
export interface Window {
  readonly a: readonly number[];
  readonly b: readonly number[];
}

/** Latencies under what is looked at, and without. */
export interface Comparison {
  readonly with: readonly number[];
  readonly without: readonly number[];
}

/** In percent: negative where those `with` are faster. */
export interface More {
  readonly estimate: number;
  /** The 95 % interval. */
  readonly from: number;
  readonly to: number;
}

export const text = ({ estimate, from, to }: More): string =>
  `${estimate.toFixed(1)}, 95 % interval ${from.toFixed(1)} to ${to.toFixed(1)}`;

/** One read of each is answered before the next: far from what a server can do. */
const pauseMs = 2;
const windowMs = 1_000;

/** Asks both in turn for `ms`. Each pair begins with the one that was last in the pair before. */
export async function askBoth(a: string, b: string, ms: number): Promise<readonly Window[]> {
  const agents = [
    new Agent({ keepAlive: true, maxSockets: 1 }),
    new Agent({ keepAlive: true, maxSockets: 1 }),
  ];
  const windows = new Map<number, { a: number[]; b: number[] }>();
  try {
    const began = performance.now();
    for (let turn = 0; ; turn++) {
      const at = Math.floor((performance.now() - began) / windowMs);
      if (at >= ms / windowMs) return [...windows.values()];
      const window = windows.get(at) ?? { a: [], b: [] };
      windows.set(at, window);
      for (const which of turn % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const))
        window[which === 0 ? 'a' : 'b'].push(await tookMs(which === 0 ? a : b, agents[which] as Agent));
      await pause(pauseMs);
    }
  } finally {
    for (const agent of agents) agent.destroy();
  }
}

function tookMs(url: string, agent: Agent): Promise<number> {
  const began = performance.now();
  return new Promise((resolve, reject) => {
    get(url, { agent }, (response) => {
      response.once('error', reject).once('end', () => {
        if (response.statusCode === 200) resolve(performance.now() - began);
        else reject(new Error(`${url}: ${response.statusCode}`));
      });
      response.resume();
    }).once('error', reject);
  });
}

/**
 * Other programs of this machine wait for these from now on. Linux' real-time class, with which nothing else can keep them
 * from a core; niceness would not do: it counts within a session only. Whether that could be had.
 */
export function putFirst(pids: readonly number[]): boolean {
  const chrt = process.env['FED_PEER_CHRT'];
  if (!chrt) return false;
  for (const pid of pids) {
    const { status, stderr, error } = spawnSync(chrt, ['--all-tasks', '--rr', '--pid', '1', `${pid}`], {
      encoding: 'utf8',
    });
    if (status === 0) continue;
    console.error(`not put first: ${error?.message ?? stderr.trim()}`);
    return false;
  }
  return true;
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}

/**
 * By how much the p99 of all reads `with` exceeds that of all reads without. The interval is a bootstrap's: of as many
 * windows, drawn again and again with replacement. Windows and not reads, because slow reads come together.
 */
export function moreAtP99(windows: readonly Comparison[], resamples = 1_000): More {
  const of = (drawn: readonly Comparison[]): number =>
    100 *
    (quantile(
      drawn.flatMap((one) => one.with),
      0.99,
    ) /
      quantile(
        drawn.flatMap((one) => one.without),
        0.99,
      ) -
      1);
  const below = generator(windows.length);
  const drawn = Array.from({ length: resamples }, () =>
    of(Array.from(windows, () => windows[below()] as Comparison)),
  );
  return { estimate: of(windows), from: quantile(drawn, 0.025), to: quantile(drawn, 0.975) };
}

/** Always the same sequence, so that the same reads give the same interval. Source: Park and Miller's minimal standard. */
function generator(limit: number): () => number {
  const modulus = 2 ** 31 - 1;
  let state = 20_260_101;
  return () => {
    state = (state * 48_271) % modulus;
    return Math.floor((state / modulus) * limit);
  };
}
