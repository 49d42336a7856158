/**
 * members.ts: the table of members, and every transition of a member's status.
 *
 * Two voices decide about a member: memberlist says whether it can be reached, intents say whether it meant to go.
 * Gone with an intent is 'left', gone without is 'failed'. Gossip may have failed to bring us the intent, though; who says
 * goodbye to memberlist has meant to go as well (I1). In the original such a member fails, and leaves at the next push/pull.
 * serf serf.go: handleNodeJoin, handleNodeLeave, handleNodeUpdate, handleNodeLeaveIntent, handleNodeJoinIntent.
 * Rule 1: nothing outside this file changes a row. Rule 2: this file knows no message, clock or queue.
 */
import type { Member, Versions } from '@fed/memberlist';
import type { Millis, Rng } from '../ports.ts';
import type { LamportTime } from '../wire/message.ts';
import { decodeTags, type Tags } from '../wire/tags.ts';

export type MemberStatus = 'alive' | 'leaving' | 'left' | 'failed';

/** A snapshot of one member: it does not change when the member does. */
export interface SerfMember {
  readonly name: string;
  /** `addr` as text. */
  readonly host: string;
  readonly port: number;
  /** 4 or 16 bytes, as the member announced them. */
  readonly addr: Uint8Array;
  readonly tags: Tags;
  readonly status: MemberStatus;
  readonly vsn: Versions;
}

export interface Row {
  readonly name: string;
  host: string;
  port: number;
  addr: Uint8Array;
  tags: Tags;
  vsn: Versions;
  status: MemberStatus;
  /** Time of the newest intent about this member. */
  statusLTime: LamportTime;
  /** When it left or failed; undefined while it is here. */
  goneAt: Millis | undefined;
}

/** What a member's buffered intent says when memberlist first reports it. */
export interface EarlyIntent {
  readonly kind: 'join' | 'leave';
  readonly ltime: LamportTime;
}

/** I5: members that failed or left and are remembered; when there are more, the one gone longest is forgotten. */
export const goneMax = 131_072;

export class Members {
  readonly #rows = new Map<string, Row>();
  readonly #failed = new Set<Row>();
  readonly #left = new Set<Row>();

  get size(): number {
    return this.#rows.size;
  }
  get failed(): ReadonlySet<Row> {
    return this.#failed;
  }
  get left(): ReadonlySet<Row> {
    return this.#left;
  }
  get(name: string): Row | undefined {
    return this.#rows.get(name);
  }
  all(): IterableIterator<Row> {
    return this.#rows.values();
  }

  /** memberlist sees it (again). */
  joined(m: Member, early: EarlyIntent | undefined): Row {
    const known = this.#rows.get(m.name);
    if (known === undefined) {
      const row: Row = {
        name: m.name,
        ...seen(m),
        status: early?.kind === 'leave' ? 'leaving' : 'alive',
        statusLTime: early?.ltime ?? 0n,
        goneAt: undefined,
      };
      this.#rows.set(m.name, row);
      return row;
    }
    Object.assign(known, seen(m));
    known.status = 'alive';
    known.goneAt = undefined;
    this.#failed.delete(known);
    this.#left.delete(known);
    return known;
  }

  /** memberlist lost it (I1). Returns what that makes of it, or undefined when it changes nothing. */
  lost(name: string, now: Millis, meant: boolean): Row | undefined {
    const row = this.#rows.get(name);
    if (row === undefined) return undefined;
    switch (row.status) {
      case 'leaving':
        row.status = 'left';
        this.#left.add(row);
        break;
      case 'alive':
        row.status = meant ? 'left' : 'failed';
        (meant ? this.#left : this.#failed).add(row);
        break;
      case 'left':
      case 'failed':
        return undefined;
    }
    row.goneAt = now;
    return row;
  }

  /** Its address, tags or versions changed. */
  updated(m: Member): Row | undefined {
    const row = this.#rows.get(m.name);
    if (row !== undefined) Object.assign(row, seen(m));
    return row;
  }

  /** A newer leave intent. Every status takes its time, lest the intent travel for ever. True: it just became left. */
  leaveIntent(row: Row, ltime: LamportTime): boolean {
    row.statusLTime = ltime;
    switch (row.status) {
      case 'alive':
        row.status = 'leaving';
        return false;
      case 'failed':
        row.status = 'left';
        this.#failed.delete(row);
        this.#left.add(row);
        return true;
      case 'leaving':
      case 'left':
        return false;
    }
  }

  /** A newer join intent: one who was leaving has changed its mind. */
  joinIntent(row: Row, ltime: LamportTime): void {
    row.statusLTime = ltime;
    if (row.status === 'leaving') row.status = 'alive';
  }

  /** Whom to forget because too many are gone: of those who failed and those who left, who went first. */
  oneTooMany(): Row | undefined {
    if (this.#failed.size + this.#left.size <= goneMax) return undefined;
    const [failed] = this.#failed;
    const [left] = this.#left;
    if (failed === undefined || left === undefined) return failed ?? left;
    return (failed.goneAt ?? 0) <= (left.goneAt ?? 0) ? failed : left;
  }

  erase(row: Row): void {
    this.#rows.delete(row.name);
    this.#failed.delete(row);
    this.#left.delete(row);
  }

  /** Up to `count` different members that `suits`, in random order. serf query.go, kRandomMembers. */
  random(count: number, rng: Rng, suits: (row: Row) => boolean): Row[] {
    const candidates = [...this.#rows.values()].filter(suits);
    const picked: Row[] = [];
    while (picked.length < count && candidates.length > 0) {
      const [row] = candidates.splice(rng.below(candidates.length), 1);
      if (row !== undefined) picked.push(row);
    }
    return picked;
  }
}

export function view(row: Row): SerfMember {
  const { name, host, port, addr, tags, status, vsn } = row;
  return { name, host, port, addr, tags, status, vsn };
}

function seen(m: Member): Pick<Row, 'host' | 'port' | 'addr' | 'tags' | 'vsn'> {
  return { host: m.host, port: m.port, addr: m.addr, tags: decodeTags(m.meta), vsn: m.vsn };
}
