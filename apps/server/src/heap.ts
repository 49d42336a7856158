/**
 * heap.ts: how V8 looks after a server's memory.
 *
 * V8 decides by what a program puts on its heap; a server's bytes mostly lie outside of it, in buffers. Lives here: V8 flags, with
 * what they are for. Must not live here: when memory is short, and what is given up then.
 */
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';

const mebibyte = 2 ** 20;
/** Of the young generation. Left to itself it grows to 48 MiB under a short burst, and a server that mostly waits has better use for it. */
const youngBytes = 16 * mebibyte;
/**
 * What may be promoted, and allocated in buffers, before V8 looks through the whole heap. With one as small as ours it chooses 8 MiB
 * when little is promoted, and a server that passes on replies of 1 MiB spends more on looking than on them.
 */
const roomBytes = 64 * mebibyte;
const lookEveryMs = 1_000;
/** What lives is the least that was in use, unless it has become more since: so much a look, */
const lowGrowth = 1.05;
/** or at once, where there is more than garbage can account for, as after restoring a large state. */
const garbageMax = 1.5 * roomBytes;
/** Of a heap so large that the room is less V8 knows better. */
const growingPercentMin = 50;

/** In bytes. */
export interface HeapSizes {
  /** What the young generation may hold before it grows. */
  readonly young: number;
  /** What is in use of everything else, garbage included. */
  readonly old: number;
}

/** For V8: it takes no sizes while it runs, only factors. */
export interface HeapFactors {
  readonly 'semi-space-growth-factor': number;
  /** 0: as V8 chooses. */
  readonly 'heap-growing-percent': number;
}

/** What V8 is told each time the sizes have been looked at. */
export function heapFactors(): (sizes: HeapSizes) => HeapFactors {
  let low = Number.POSITIVE_INFINITY;
  return ({ young, old }) => {
    low = old > low + garbageMax ? old : Math.min(old, low * lowGrowth);
    const percent = Math.round((100 * roomBytes) / low);
    return {
      // V8 makes it smaller when little is allocated, and must be let grow again.
      'semi-space-growth-factor': young < youngBytes ? 2 : 1,
      'heap-growing-percent': percent < growingPercentMin ? 0 : percent,
    };
  };
}

/** Looks at once, and then regularly, until disposed. */
export function settleHeap(everyMs = lookEveryMs): Disposable {
  // So little is collected by one thread in a moment. With others it takes as long, and longer where they get no core.
  setFlagsFromString('--no-parallel-scavenge');
  const next = heapFactors();
  const known = new Map<string, number>();
  const look = (): void => {
    for (const [flag, value] of Object.entries(next(sizes()))) {
      if (known.get(flag) === value) continue;
      known.set(flag, value);
      setFlagsFromString(`--${flag}=${value}`);
    }
  };
  look();
  return setInterval(look, everyMs).unref();
}

function sizes(): HeapSizes {
  let [young, old] = [0, 0];
  for (const space of getHeapSpaceStatistics()) {
    if (space.space_name === 'new_space') young = space.space_size;
    else old += space.space_used_size;
  }
  return { young, old };
}
