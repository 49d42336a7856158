/**
 * round.ts: how far an answer of the primary may be believed.
 *
 * What an answer lists is news; what it does not list may be a deletion, or a server that knows less than we
 * do. Deleting the addresses of every gateway because a freshly started server answered "none" would cut us
 * off from whoever could tell us better. Hence:
 *
 *   - An answer that is older than what we already have (its index is smaller) is set aside until it comes twice alike;
 *     then the primary was rebuilt, and what it says counts in full.
 *   - Deletions are believed when the answer lists the primary's own record or ours: the primary writes its own within
 *     seconds of having a leader, so a list without both is no primary's list. Without either they are believed only
 *     when the index moved forward from one this process saw and two answers in a row agree.
 *   - Everything else, above all every address, is believed at once.
 *
 * Lives here: that judgement, as a function. Must not live here: fetching, applying, waiting.
 */
import { keyOf } from './content.ts';
import { type Difference, diff } from './diff.ts';
import { PeerAnswerError } from './errors.ts';
import type { FederationState } from './ports.ts';

export interface Answer {
  /** Of the primary's table. */
  readonly index: number;
  readonly states: readonly FederationState[];
}

/** What is remembered from round to round. */
export interface ReplicaMemory {
  /** To ask the next time; 0: answer at once. */
  readonly minIndex: number;
  /** Largest index believed in this process, if any. */
  readonly seenIndex: number | undefined;
  /** The previous answer, if it was doubted. */
  readonly doubted: string | undefined;
  /** Doubts in a row. */
  readonly doubts: number;
}

export const freshMemory: ReplicaMemory = {
  minIndex: 0,
  seenIndex: undefined,
  doubted: undefined,
  doubts: 0,
};

export type Doubt = 'index_went_back' | 'unproven_deletions';

export interface Plan extends Difference {
  /** Why something was held back; ask again in a while. */
  readonly doubt: Doubt | undefined;
  /** Deletions that were held back. */
  readonly withheld: readonly string[];
  readonly next: ReplicaMemory;
}

/** Records in one answer; there are as many as datacenters. */
const statesMax = 4096;

/** Throws PeerAnswerError if it is no answer at all. */
export function checkAnswer({ index, states }: Answer): void {
  if (!Number.isSafeInteger(index) || index < 0) throw new PeerAnswerError('bad_index', `index ${index}`);
  if (states.length > statesMax)
    throw new PeerAnswerError('too_many_records', `${states.length} federation states`);
  const seen = new Set<string>();
  for (const { Datacenter } of states) {
    if (typeof Datacenter !== 'string' || Datacenter === '')
      throw new PeerAnswerError('nameless_record', 'a federation state without datacenter');
    if (seen.has(keyOf(Datacenter)))
      throw new PeerAnswerError('duplicate_record', `two records of ${Datacenter}`);
    seen.add(keyOf(Datacenter));
  }
}

export function judge(
  memory: ReplicaMemory,
  answer: Answer,
  local: readonly FederationState[],
  o: { readonly datacenter: string; readonly primary: string },
): Plan {
  const difference = diff(local, answer.states);
  const twice = memory.doubted === fingerprint(answer);
  if (answer.index < newestIndex(memory, local) && !twice) {
    return { deletions: [], updates: [], unchanged: 0, ...doubted('index_went_back') };
  }
  if (difference.deletions.length > 0 && !listsPrimaryOrUs(answer, o)) {
    const movedForward = memory.seenIndex !== undefined && answer.index > memory.seenIndex;
    if (!(twice && movedForward)) return { ...difference, deletions: [], ...doubted('unproven_deletions') };
  }
  return {
    ...difference,
    doubt: undefined,
    withheld: [],
    next: { minIndex: answer.index, seenIndex: answer.index, doubted: undefined, doubts: 0 },
  };

  function doubted(doubt: Doubt): Pick<Plan, 'doubt' | 'withheld' | 'next'> {
    const next = { ...memory, minIndex: 0, doubted: fingerprint(answer), doubts: memory.doubts + 1 };
    return { doubt, withheld: difference.deletions, next };
  }
}

/**
 * A primary's own record was written into its own log, so both indexes of it are one number. Where they differ, the record
 * was copied, and who answers is a secondary of somebody else.
 */
export function isSecondhand({ states }: Answer, primary: string): boolean {
  const own = states.find((state) => keyOf(state.Datacenter) === keyOf(primary));
  return own !== undefined && own.PrimaryModifyIndex !== 0 && own.PrimaryModifyIndex !== own.ModifyIndex;
}

/** After a failure: ask for an immediate answer, which also proves that the way works again. */
export function afterFailure(memory: ReplicaMemory): ReplicaMemory {
  return { ...memory, minIndex: 0, doubted: undefined };
}

/** Our copies remember the primary's index over restarts. */
function newestIndex(memory: ReplicaMemory, local: readonly FederationState[]): number {
  return local.reduce((newest, state) => Math.max(newest, state.PrimaryModifyIndex), memory.seenIndex ?? 0);
}

function listsPrimaryOrUs(
  { states }: Answer,
  o: { readonly datacenter: string; readonly primary: string },
): boolean {
  const telling = new Set([keyOf(o.primary), keyOf(o.datacenter)]);
  return states.some((state) => telling.has(keyOf(state.Datacenter)));
}

function fingerprint({ index, states }: Answer): string {
  const records = states.map((state) => `${keyOf(state.Datacenter)}@${state.ModifyIndex}`).sort();
  return `${index}: ${records.join(' ')}`;
}
