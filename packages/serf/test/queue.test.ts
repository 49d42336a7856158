/**
 * The broadcast queue scenarios recorded from Go, except those with named messages: serf names none.
 */
import { describe, expect, test } from 'vitest';
import { BroadcastQueue, retransmitLimit } from '../src/core/broadcast-queue.ts';
import { type Json, vectorFile } from './go-json.ts';

describe('queue', () => {
  for (const v of vectorFile('queue').vectors)
    if (!v.steps.some((s: Json) => s.name !== undefined)) test(`${v.name}: ${v.description}`, () => play(v));
});

function play(v: Json): void {
  const queue = new BroadcastQueue();
  const ids: string[] = [];
  const byMessage = new Map<Uint8Array, string>();
  for (const [i, s] of v.steps.entries()) {
    let finished: readonly number[] = [];
    let got: string[] | undefined;
    if (s.op === 'queue') {
      const message = new Uint8Array(s.size);
      byMessage.set(message, s.id);
      queue.push(message, ids.push(s.id) - 1);
    } else if (s.op === 'prune') finished = queue.prune(s.retain);
    else {
      const transmissionsMax = retransmitLimit(v.retransmitMult, v.numNodes);
      const taken = queue.take({ overhead: s.overhead, limit: s.limit, transmissionsMax });
      finished = taken.finished;
      got = taken.messages.map((m) => byMessage.get(m)!);
    }
    const step = `step ${i}, ${s.op}`;
    if (s.got !== undefined) expect(got, step).toEqual(s.got);
    expect(finished.map((token) => ids[token]).sort(), step).toEqual([...s.finished].sort());
    expect(queue.length, step).toBe(s.queued);
  }
}
