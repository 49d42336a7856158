/**
 * troubles.ts: what an operator must mend, as long as it lasts.
 *
 * Some mistakes can only be seen at run time: a name taken twice, a primary that is none. Each is told once in the log when
 * it is first seen and once when it is over, and stands in the status in between. Seen again, it only moves its last time.
 * Lives here: the list. Must not live here: recognising trouble.
 */

export type TroubleCode =
  | 'primary_gateway_unresolved' // an entry of primary_gateways leads to no address
  | 'primary_gateway_wrong' // what answers there is no way to a server of the primary
  | 'wrong_primary' // primary_datacenter names a datacenter that is itself a secondary
  | 'datacenter_name_taken' // two datacenters, or two servers, go by one name
  | 'foreign_writer' // somebody else writes our record
  | 'foreign_write_refused'; // somebody wanted to write another datacenter's record

export interface Trouble {
  readonly code: TroubleCode;
  /** What it is about: an entry, an address, a name. With the code it tells troubles apart. */
  readonly subject: string;
  /** For people: what is wrong, and the remedy. */
  readonly text: string;
  readonly sinceMs: number;
  readonly lastSeenMs: number;
}

/** Subjects may be made up by peers. The oldest go. */
const troublesMax = 64;
/** Those that are events, not states: nobody says when they are over, so not being seen again for so long does. */
const events: ReadonlySet<TroubleCode> = new Set([
  'datacenter_name_taken',
  'foreign_writer',
  'foreign_write_refused',
]);
const eventMs = 15 * 60_000;

export class Troubles {
  readonly #o: {
    readonly wallMs: () => number;
    readonly began: (trouble: Trouble) => void;
    readonly ended: (trouble: Trouble) => void;
  };
  readonly #all = new Map<string, Trouble>();

  constructor(o: {
    /** The calendar, in Unix ms. */
    readonly wallMs: () => number;
    readonly began: (trouble: Trouble) => void;
    readonly ended: (trouble: Trouble) => void;
  }) {
    this.#o = o;
  }

  seen(code: TroubleCode, subject: string, text: string): void {
    const key = `${code} ${subject}`;
    const now = this.#o.wallMs();
    const known = this.#all.get(key);
    const trouble = { code, subject, text, sinceMs: known?.sinceMs ?? now, lastSeenMs: now };
    this.#all.set(key, trouble);
    if (known) return;
    if (this.#all.size > troublesMax) this.#all.delete(this.#all.keys().next().value as string);
    this.#o.began(trouble);
  }

  over(code: TroubleCode, subject: string): void {
    const key = `${code} ${subject}`;
    const known = this.#all.get(key);
    if (!known) return;
    this.#all.delete(key);
    this.#o.ended(known);
  }

  /** Oldest first. */
  list(): readonly Trouble[] {
    const before = this.#o.wallMs() - eventMs;
    for (const { code, subject, lastSeenMs } of [...this.#all.values()])
      if (events.has(code) && lastSeenMs < before) this.over(code, subject);
    return [...this.#all.values()];
  }
}
