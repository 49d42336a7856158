/**
 * keys.ts: what stands where in etcd, below a prefix of our own.
 *
 *   <prefix>leader              who leads: JSON; the revision of its last change is the term; bound to the leader's lease
 *   <prefix>head                index of the last command and the id of the entry that holds it: JSON
 *   <prefix>log/<index>         an Entry (entry.ts) whose first command has this index
 *   <prefix>snapshot            which snapshot stands before the log: JSON
 *   <prefix>chunk/<folder>/<n>  the n-th piece of a snapshot
 *
 * Lives here: names. Must not live here: values.
 */

/** Digits of an index in a key: enough for 2^53, so that keys sort as numbers. */
const indexDigits = 16;

export class Keys {
  readonly prefix: string;
  readonly leader: string;
  readonly head: string;
  readonly snapshot: string;
  readonly chunks: string;
  readonly #log: string;

  /** @param prefix ends in "/"; nobody else writes below it */
  constructor(prefix: string) {
    this.prefix = prefix;
    this.leader = `${prefix}leader`;
    this.head = `${prefix}head`;
    this.snapshot = `${prefix}snapshot`;
    this.chunks = `${prefix}chunk/`;
    this.#log = `${prefix}log/`;
  }

  entry(index: number): string {
    return this.#log + digits(index);
  }

  /** Index in the key of an entry; undefined for any other key. */
  indexOf(key: string): number | undefined {
    const text = key.startsWith(this.#log) ? key.slice(this.#log.length) : '';
    return /^\d{16}$/.test(text) ? Number(text) : undefined;
  }

  /** The end of all entries, which is behind each of them. */
  get logEnd(): string {
    return endOf(this.#log);
  }

  get logStart(): string {
    return this.#log;
  }

  folder(index: number, term: number): string {
    return `${this.chunks}${digits(index)}-${term}/`;
  }

  chunk(folder: string, n: number): string {
    return folder + digits(n);
  }
}

/** The first key behind all that begin with `prefix`; our prefixes end in "/", which has a successor. */
export function endOf(prefix: string): string {
  return prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1);
}

function digits(n: number): string {
  return String(n).padStart(indexDigits, '0');
}
