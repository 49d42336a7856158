/**
 * heap.ts: how V8 looks after a server's memory.
 *
 * Lives here: V8 flags, with what they are for. Must not live here: when memory is short, and what is given up then.
 */
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';

/**
 * Of the young generation. Then what a read allocates is dead before it is full. At 8 MiB some of it survives into the old
 * generation, and marking that beside the program makes the slowest hundredth of reads take 2 to 5 ms in place of 1. Left to itself
 * it grows to 48 MiB under a short burst, and a server that mostly waits has better use for memory.
 */
const youngBytes = 16 * 2 ** 20;
const lookEveryMs = 1_000;

/**
 * V8 makes the young generation smaller when little is allocated, and lets it grow again by a factor, which is all that can be set
 * while it runs: 2 while it is too small, 1 else. Until disposed.
 */
export function settleHeap(everyMs = lookEveryMs): Disposable {
  // So little is collected by one thread in a moment. With others it takes as long, and longer where they get no core.
  setFlagsFromString('--no-parallel-scavenge');
  let factor: number | undefined;
  const look = (): void => {
    const wanted = youngSize() < youngBytes ? 2 : 1;
    if (wanted === factor) return;
    factor = wanted;
    setFlagsFromString(`--semi-space-growth-factor=${factor}`);
  };
  look();
  return setInterval(look, everyMs).unref();
}

/** What it may hold before it grows, in bytes. */
function youngSize(): number {
  return getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space')?.space_size ?? 0;
}
