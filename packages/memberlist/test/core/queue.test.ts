/**
 * queue.test.ts: Go's TransmitLimitedQueue, step by step, and ours with it.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { BroadcastQueue } from '../../src/core/broadcast-queue.ts';

type Step = { readonly finished: readonly string[]; readonly queued: number } & (
  | { readonly op: 'queue'; readonly id: string; readonly size: number; readonly name?: string }
  | { readonly op: 'get'; readonly overhead: number; readonly limit: number; readonly got: readonly string[] }
  | { readonly op: 'prune'; readonly retain: number }
);

interface Vector {
  readonly name: string;
  readonly description: string;
  readonly numNodes: number;
  readonly retransmitMult: number;
  readonly steps: readonly Step[];
}

const file = new URL('../vectors/queue.json', import.meta.url);
const { vectors } = JSON.parse(readFileSync(file, 'utf8')) as { readonly vectors: readonly Vector[] };

describe('broadcast queue, as recorded from Go', () => {
  for (const { name, description, numNodes, retransmitMult, steps } of vectors)
    test(`${name}: ${description}`, () => {
      const queue = new BroadcastQueue({ retransmitMult, tableSize: () => numNodes });
      const ids = new Map<Uint8Array, string>();
      const finished: string[] = [];
      for (const [index, step] of steps.entries()) {
        let got: readonly string[] | undefined;
        switch (step.op) {
          case 'queue': {
            const message = new Uint8Array(step.size);
            ids.set(message, step.id);
            queue.add({
              message,
              finished: () => finished.push(step.id),
              ...(step.name === undefined ? {} : { subject: step.name }),
            });
            break;
          }
          case 'get':
            got = queue.take(step.overhead, step.limit).map((message) => ids.get(message)!);
            break;
          case 'prune':
            queue.prune(step.retain);
            break;
        }
        expect({ index, got, finished: finished.splice(0).sort(), queued: queue.length }).toEqual({
          index,
          got: step.op === 'get' ? step.got : undefined,
          finished: [...step.finished].sort(),
          queued: step.queued,
        });
      }
    });
});
