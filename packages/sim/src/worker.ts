/**
 * worker.ts: one thread of pool.ts: does what it is asked, one task at a time.
 */

import { parentPort } from 'node:worker_threads';
import type { Config } from '@fed/server/inside';
import { type DayResult, runFederationDay } from './federation/day.ts';
import { countFalsePositives, type FalsePositives, type LifeguardOptions } from './lifeguard.ts';
import { runScenario, type ScenarioResult } from './scenario.ts';
import { type SpreadOptions, spreadByGossipAlone, spreadInCluster } from './spread.ts';

export type Task =
  | { readonly kind: 'day'; readonly seed: number; readonly nodes: number; readonly twice: boolean }
  | {
      readonly kind: 'federation';
      readonly seed: number;
      readonly datacenters?: number;
      readonly twice: boolean;
      readonly logLevel: Config['logLevel'];
    }
  | ({ readonly kind: 'lifeguard' } & LifeguardOptions)
  | ({ readonly kind: 'spread'; readonly way: 'whole members' | 'gossip alone' } & SpreadOptions);

export type Outcome =
  | { readonly kind: 'day'; readonly result: ScenarioResult; readonly again: string; readonly tookMs: number }
  | {
      readonly kind: 'federation';
      readonly result: DayResult;
      readonly again: string;
      readonly tookMs: number;
    }
  | { readonly kind: 'lifeguard'; readonly found: FalsePositives }
  | { readonly kind: 'spread'; readonly rounds: readonly number[] };

async function perform(task: Task): Promise<Outcome> {
  switch (task.kind) {
    case 'day': {
      const began = performance.now();
      const result = await runScenario(task);
      const tookMs = performance.now() - began;
      const again = task.twice ? (await runScenario(task)).hash : result.hash;
      return { kind: 'day', result, again, tookMs };
    }
    case 'federation': {
      // A bad day makes tens of thousands of errors; nobody reads where, unless the day is run to be read.
      Error.stackTraceLimit = task.logLevel === 'info' ? 10 : 0;
      const began = performance.now();
      const result = await runFederationDay(task);
      const tookMs = performance.now() - began;
      const again = task.twice ? (await runFederationDay(task)).hash : result.hash;
      return { kind: 'federation', result, again, tookMs };
    }
    case 'lifeguard':
      return { kind: 'lifeguard', found: await countFalsePositives(task) };
    case 'spread': {
      const way = task.way === 'whole members' ? spreadInCluster : spreadByGossipAlone;
      return { kind: 'spread', rounds: await way(task) };
    }
  }
}

parentPort?.on('message', (task: Task) => {
  // A rejection is not caught: it ends the thread, and pool.ts hears of it as an error.
  void perform(task).then((outcome) => parentPort?.postMessage(outcome));
});
