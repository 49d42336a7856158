/**
 * diff.ts: what must happen to our copy so that it says what the primary says.
 *
 * Both sides sorted, two fingers moving along: only here, delete; only there, write; on both, write unless
 * ours already is that very version with that very content. Indexes of our own log take no part, and neither
 * does what we saw last time: the answer is right for any two lists.
 * Lives here: the comparison. Must not live here: whether the answer may be believed (round.ts).
 * Source: Consul agent/consul/federation_state_replication.go (diffFederationStates); better in that it skips
 * no-op writes.
 */
import { keyOf, sameRecord } from './content.ts';
import type { FederationState } from './ports.ts';

export interface Difference {
  /** Datacenters, by key. Deletions come first. */
  readonly deletions: readonly string[];
  /** Ready to be written: PrimaryModifyIndex is the primary's ModifyIndex. In order of their keys. */
  readonly updates: readonly FederationState[];
  readonly unchanged: number;
}

export function diff(local: readonly FederationState[], remote: readonly FederationState[]): Difference {
  const ours = byKey(local);
  const theirs = byKey(remote);
  const deletions: string[] = [];
  const updates: FederationState[] = [];
  let unchanged = 0;
  let left = 0;
  let right = 0;
  while (left < ours.length || right < theirs.length) {
    const mine = ours[left];
    const wanted = theirs[right];
    if (mine && (!wanted || mine.key < wanted.key)) {
      deletions.push(mine.state.Datacenter);
      left++;
    } else if (wanted && (!mine || wanted.key < mine.key)) {
      updates.push(asCopy(wanted.state));
      right++;
    } else if (mine && wanted) {
      if (isCopy(mine.state, wanted.state)) unchanged++;
      else updates.push(asCopy(wanted.state));
      left++;
      right++;
    }
  }
  return { deletions, updates, unchanged };
}

/** The primary's record as a secondary keeps it; our own log gives it the other two indexes. */
function asCopy(state: FederationState): FederationState {
  return { ...state, PrimaryModifyIndex: state.ModifyIndex };
}

function isCopy(mine: FederationState, original: FederationState): boolean {
  return mine.PrimaryModifyIndex === original.ModifyIndex && sameRecord(mine, original);
}

function byKey(
  states: readonly FederationState[],
): { readonly key: string; readonly state: FederationState }[] {
  return states
    .map((state) => ({ key: keyOf(state.Datacenter), state }))
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
}
