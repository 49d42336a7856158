/**
 * until.ts: waiting for what only asking can show.
 *
 * What a program of ours does is an event and is awaited as one. A foreign program may offer nothing but its present
 * state; then it is asked again and again, here and nowhere else. Every wait has an end and says what it waited for.
 * Lives here: the two ways to wait. Must not live here: what is waited for.
 */
import { setTimeout as pause } from 'node:timers/promises';

/** Between two looks, in ms: short beside gossip, long beside starting a command line client. */
const lookAgainMs = 50;

/** The first answer of `check` that is neither undefined nor false. Throws, with `check`'s last error as cause. */
export async function until<T>(
  what: string,
  timeoutMs: number,
  check: () => Promise<T | undefined | false> | T | undefined | false,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    let cause: unknown;
    try {
      const found = await check();
      if (found !== undefined && found !== false) return found;
    } catch (error) {
      cause = error;
    }
    if (performance.now() >= deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`, { cause });
    await pause(lookAgainMs);
  }
}

/** `event`, unless it takes longer than `timeoutMs`: then an error that says what did not happen. */
export async function within<T>(what: string, timeoutMs: number, event: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`not within ${timeoutMs} ms: ${what}`)), timeoutMs);
  try {
    return await Promise.race([event, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Asks until an answer is whole, as an operator would: gossip among six misses one of them once in sixty tellings, and
 * nothing repairs that for a query. Returns the last answer, whole or not.
 */
export async function askAgain<T>(ask: () => Promise<T>, whole: (answer: T) => boolean): Promise<T> {
  const triesMax = 5;
  let answer = await ask();
  for (let tries = 1; tries < triesMax && !whole(answer); tries++) answer = await ask();
  return answer;
}
