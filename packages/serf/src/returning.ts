/**
 * returning.ts: finding each other again: we the pool after a restart, the pool a member that failed.
 *
 * serf serf.go: handleRejoin, reconnect. Lives here: a join that may fail. Must not live here: whom and when (core/).
 */
import type { Memberlist } from '@fed/memberlist';
import type { LogEvent, Rng } from './ports.ts';

export interface ReturningOptions {
  readonly memberlist: () => Memberlist;
  readonly signal: AbortSignal;
  readonly rng: Rng;
  readonly log: (e: LogEvent) => void;
}

/** A push/pull with somebody who may be there again; false when it is not. */
export async function reconnect(target: string, o: ReturningOptions): Promise<boolean> {
  try {
    await o.memberlist().join([target], { signal: o.signal });
    o.log({ level: 'info', code: 'reconnected', text: `joined ${target} again` });
    return true;
  } catch (cause) {
    o.log({ level: 'debug', code: 'reconnect_failed', text: `${target} is still away`, cause });
    return false;
  }
}

/** One after another in random order, until one is there. */
export async function rejoin(targets: readonly string[], o: ReturningOptions): Promise<void> {
  const left = [...targets];
  while (left.length > 0 && !o.signal.aborted)
    for (const target of left.splice(o.rng.below(left.length), 1)) if (await reconnect(target, o)) return;
}
