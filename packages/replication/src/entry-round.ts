/**
 * entry-round.ts: what must happen to our copy of the config entries, and how far an answer may be believed.
 *
 * Entries belong to the primary; what it does not list any more is deleted here. But a server that was just started, or
 * restored, lists less than there is, so: an index below one we have seen, and deletions by the first answer of this process,
 * count only when they are said twice alike. Everything an answer does list is believed at once.
 * Lives here: that judgement, as a function. Must not live here: fetching, applying, waiting.
 * Source: Consul agent/consul/config_replication.go; better in that it compares what entries say instead of the primary's
 * indexes, so that an answer is right for any two lists, and nothing is written twice.
 */
import { type ConfigEntry, sameConfigEntry } from '@fed/fsm';
import { PeerAnswerError } from './errors.ts';

export interface EntryAnswer {
  /** Of the primary's table. */
  readonly index: number;
  readonly entries: readonly ConfigEntry[];
}

/** What is remembered from round to round. */
export interface EntryMemory {
  /** To ask the next time; 0: answer at once. */
  readonly minIndex: number;
  /** Largest index believed in this process, if any. */
  readonly seenIndex: number | undefined;
  /** The previous answer, if it was doubted. */
  readonly doubted: string | undefined;
  /** Doubts in a row. */
  readonly doubts: number;
}

export const freshEntryMemory: EntryMemory = {
  minIndex: 0,
  seenIndex: undefined,
  doubted: undefined,
  doubts: 0,
};

export interface EntryPlan {
  readonly deletions: readonly ConfigEntry[];
  readonly updates: readonly ConfigEntry[];
  readonly doubt: 'index_went_back' | 'unproven_deletions' | undefined;
  readonly next: EntryMemory;
}

/** Throws PeerAnswerError if it is no answer at all. */
export function checkEntries({ index, entries }: EntryAnswer): void {
  if (!Number.isSafeInteger(index) || index < 0) throw new PeerAnswerError('bad_index', `index ${index}`);
  const seen = new Set<string>();
  for (const entry of entries) {
    if (entry.kind === '' || entry.name === '')
      throw new PeerAnswerError('nameless_record', `a config entry of kind "${entry.kind}" without a name`);
    if (seen.has(keyOf(entry)))
      throw new PeerAnswerError('duplicate_record', `two config entries ${entry.kind}/${entry.name}`);
    seen.add(keyOf(entry));
  }
}

export function judgeEntries(
  memory: EntryMemory,
  answer: EntryAnswer,
  local: readonly ConfigEntry[],
): EntryPlan {
  const fingerprint = fingerprintOf(answer);
  const twice = memory.doubted === fingerprint;
  const doubting = { ...memory, minIndex: 0, doubted: fingerprint, doubts: memory.doubts + 1 };
  const { deletions, updates } = difference(local, answer.entries);
  if (memory.seenIndex !== undefined && answer.index < memory.seenIndex && !twice)
    return { deletions: [], updates: [], doubt: 'index_went_back', next: doubting };
  const isMoved = memory.seenIndex !== undefined && answer.index > memory.seenIndex;
  if (deletions.length > 0 && !isMoved && !twice)
    return { deletions: [], updates, doubt: 'unproven_deletions', next: doubting };
  const { index } = answer;
  return {
    deletions,
    updates,
    doubt: undefined,
    next: { minIndex: index, seenIndex: index, doubted: undefined, doubts: 0 },
  };
}

/** A failure says nothing about what was seen; the next question is answered at once. */
export function afterEntryFailure(memory: EntryMemory): EntryMemory {
  return { ...memory, minIndex: 0, doubted: undefined };
}

function difference(
  local: readonly ConfigEntry[],
  remote: readonly ConfigEntry[],
): Pick<EntryPlan, 'deletions' | 'updates'> {
  const ours = new Map(local.map((entry) => [keyOf(entry), entry]));
  const theirs = new Set(remote.map(keyOf));
  return {
    deletions: local.filter((entry) => !theirs.has(keyOf(entry))),
    updates: remote.filter((entry) => {
      const mine = ours.get(keyOf(entry));
      return mine === undefined || !sameConfigEntry(mine, entry);
    }),
  };
}

function fingerprintOf({ index, entries }: EntryAnswer): string {
  const records = entries.map((entry) => `${keyOf(entry)}@${String(entry.value['ModifyIndex'] ?? 0)}`);
  return `${index}: ${records.sort().join(' ')}`;
}

const keyOf = ({ kind, name }: ConfigEntry): string => `${kind}\0${name.toLowerCase()}`;
