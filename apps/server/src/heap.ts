/**
 * heap.ts: how V8 looks after a server's memory.
 *
 * Lives here: V8 flags, with what they are for. Must not live here: anything that needs loading, for that would come too late.
 */
import { setFlagsFromString } from 'node:v8';

/** To be called before the server's modules are loaded: loading them makes the young generation grow, and it never shrinks. */
export function settleHeap(): void {
  // It grows to 48 MiB under a short burst and stays so. A server that mostly waits has better use for memory.
  setFlagsFromString('--semi-space-growth-factor=1');
  // So little is collected by one thread in a moment. With others it takes as long, and longer where they get no core.
  setFlagsFromString('--no-parallel-scavenge');
}
