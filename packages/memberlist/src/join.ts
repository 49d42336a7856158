/**
 * join.ts: knocking on many doors.
 *
 * Every address of every target is tried, several at a time, so that a few dead seeds cost one timeout and not one
 * each. memberlist memberlist.go (Join), which goes one by one. Lives here: the trying and the bookkeeping.
 * Must not live here: resolving (targets.ts), the exchange (streams.ts).
 */
import type { JoinResult } from './api.ts';
import { type JoinError, MemberlistError, PeerError } from './errors.ts';
import type { Address } from './ports.ts';
import { text } from './streams.ts';

/** Addresses tried at the same time by one join. */
const joinsAtOnceMax = 8;

/** @throws MemberlistError 'join_failed' with all errors when there were targets and none worked */
export async function joinAll(
  targets: readonly string[],
  resolve: (target: string) => Promise<readonly Address[]>,
  pushPull: (to: Address) => Promise<void>,
): Promise<JoinResult> {
  const errors: JoinError[] = [];
  const found = await Promise.all(
    targets.map(async (target) => {
      try {
        return (await resolve(target)).map((address) => ({ target, address }));
      } catch (cause) {
        errors.push({ target, cause: asKnown(cause) });
        return [];
      }
    }),
  );
  const todo = found.flat();
  let joined = 0;
  const worker = async (): Promise<void> => {
    for (let next = todo.shift(); next !== undefined; next = todo.shift()) {
      const { target, address } = next;
      try {
        await pushPull(address);
        joined++;
      } catch (cause) {
        errors.push({ target, address: text({ ...address, name: '' }), cause: asKnown(cause) });
      }
    }
  };
  await Promise.all(Array.from({ length: joinsAtOnceMax }, worker));
  if (joined > 0 || errors.length === 0) return { joined, errors };
  const reasons = errors.map(({ target, cause }) => `${target}: ${cause.message}`).join('; ');
  throw new MemberlistError('join_failed', `no target worked: ${reasons}`, { errors });
}

/** Lets only errors pass that callers are told of; anything else is a bug of ours. */
export function asKnown(cause: unknown): MemberlistError | PeerError {
  if (cause instanceof MemberlistError || cause instanceof PeerError) return cause;
  throw cause;
}
