/**
 * linearizable.ts: could one register, used by one at a time, have given these answers?
 *
 * A history is linearizable when each operation can be given one moment between its start and its end, so that every read
 * finds what the last write before it has put there. The search takes any operation that may come next (nothing that is
 * still to be placed ended before it began), remembers the situations it has been in, and goes back when stuck. A read
 * that fits is taken at once: it changes nothing, so placing it later cannot help anybody.
 * Lives here: the search, for registers, each key by itself. Must not live here: recording a history.
 * Sources: Wing & Gong, Testing and Verifying Concurrent Objects (1993); Lowe, Testing for linearizability (2017).
 */

export interface Operation {
  readonly key: string;
  readonly kind: 'read' | 'write';
  /** What was written, or read; undefined: nothing was there. */
  readonly value: string | undefined;
  readonly startedAt: number;
  /** Undefined: a write whose outcome nobody knows. It may have happened at any moment since, or never. */
  readonly endedAt: number | undefined;
  /** For whoever reads the verdict. */
  readonly by?: string;
}

/** Undefined when the history is linearizable; otherwise which key's is not, and where the search got stuck. */
export function notLinearizable(
  history: readonly Operation[],
): { readonly key: string; readonly stuck: string } | undefined {
  const keys = new Set(history.map((one) => one.key));
  for (const key of keys) {
    const operations = history.filter((one) => one.key === key);
    const stuck = search(operations);
    if (stuck !== undefined) return { key, stuck };
  }
  return undefined;
}

interface Situation {
  /** All finished operations before this one are placed, in the order of their start; and of the later ones, these. */
  readonly base: number;
  readonly ahead: ReadonlySet<number>;
  readonly doubtful: ReadonlySet<number>;
  readonly value: string | undefined;
}

function search(operations: readonly Operation[]): string | undefined {
  const inOrder = [...operations].sort((a, b) => a.startedAt - b.startedAt);
  const known = inOrder.filter((one) => one.endedAt !== undefined);
  const wasRead = new Set(known.filter(({ kind }) => kind === 'read').map(({ value }) => value));
  // A doubtful write that nobody has read need not have happened.
  const doubtful = inOrder.filter((one) => one.endedAt === undefined && wasRead.has(one.value));
  const seen = new Set<string>();
  let furthest: Situation = { base: 0, ahead: new Set(), doubtful: new Set(), value: undefined };
  const open: Situation[] = [furthest];
  for (let now = open.pop(); now !== undefined; now = open.pop()) {
    if (now.base === known.length) return undefined;
    if (now.base + now.ahead.size > furthest.base + furthest.ahead.size) furthest = now;
    for (const next of followers(now, known, doubtful)) {
      const name = nameOf(next);
      if (seen.has(name)) continue;
      seen.add(name);
      open.push(next);
    }
  }
  return describe(furthest, known);
}

/** The last one is tried first. */
function followers(
  now: Situation,
  known: readonly Operation[],
  doubtful: readonly Operation[],
): readonly Situation[] {
  const next: Situation[] = [];
  const candidates = window(now, known);
  for (const i of candidates) {
    const { kind, value } = known[i]!;
    if (kind !== 'read' || value !== now.value) continue;
    return [placed(now, i, value)];
  }
  const until = earliestEnd(now, known);
  for (const [i, { value, startedAt }] of doubtful.entries())
    if (!now.doubtful.has(i) && startedAt <= until)
      next.push({ ...now, doubtful: new Set([...now.doubtful, i]), value });
  for (const i of [...candidates].reverse()) {
    const { kind, value } = known[i]!;
    if (kind === 'write') next.push(placed(now, i, value));
  }
  return next;
}

/** What may come next: begun before anything that is still to be placed has ended. */
function window(now: Situation, known: readonly Operation[]): readonly number[] {
  const until = earliestEnd(now, known);
  const found: number[] = [];
  for (let i = now.base; i < known.length && known[i]!.startedAt <= until; i++)
    if (!now.ahead.has(i)) found.push(i);
  return found;
}

function earliestEnd(now: Situation, known: readonly Operation[]): number {
  let until = Number.POSITIVE_INFINITY;
  for (let i = now.base; i < known.length && known[i]!.startedAt <= until; i++)
    if (!now.ahead.has(i)) until = Math.min(until, known[i]!.endedAt!);
  return until;
}

function placed(now: Situation, i: number, value: string | undefined): Situation {
  const ahead = new Set(now.ahead);
  ahead.add(i);
  let { base } = now;
  while (ahead.delete(base)) base++;
  return { ...now, base, ahead, value };
}

function nameOf({ base, ahead, doubtful, value }: Situation): string {
  const list = (set: ReadonlySet<number>): string => [...set].sort((a, b) => a - b).join();
  return JSON.stringify([base, list(ahead), list(doubtful), value ?? null]);
}

function describe(now: Situation, known: readonly Operation[]): string {
  const waiting = window(now, known)
    .map((i) => known[i]!)
    .map(
      ({ kind, value, startedAt, endedAt, by }) =>
        `${by === undefined ? '' : `${by} `}${kind} ${value ?? 'nothing'} [${startedAt}, ${endedAt}]`,
    );
  return `after ${now.base + now.ahead.size} of ${known.length} operations the register holds ${now.value ?? 'nothing'}, and none of these can be next: ${waiting.join('; ')}`;
}
