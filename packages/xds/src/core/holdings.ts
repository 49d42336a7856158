/**
 * holdings.ts: what a client has, resource by resource, beside what it should have.
 *
 * Lives here: the comparison, for people who ask why a gateway does what it does. Must not live here: what is sent.
 */
import type { Resource } from './resource.ts';
import type { ByName } from './snapshot.ts';

export interface Holding {
  readonly name: string;
  /**
   * `held`: the newest, accepted. `underWay`: sent, not answered yet. `refused`: the client said no to this version and
   * may have kept an older one. `outdated`: the client has another version, or one of something that is gone.
   * `missing`: asked for and not sent yet.
   */
  readonly state: 'held' | 'underWay' | 'refused' | 'outdated' | 'missing';
  /** The version the client has accepted. */
  readonly version?: string;
  /** What the server would have it hold; absent for what is gone. */
  readonly current?: Resource;
}

export interface Books {
  /** Name to version. */
  readonly accepted: ReadonlyMap<string, string>;
  readonly refused: ReadonlyMap<string, string>;
  readonly underWay: ReadonlySet<string>;
  covers(name: string): boolean;
}

/** Sorted by name. */
export function holdingsOf(books: Books, current: ByName): readonly Holding[] {
  const { accepted, refused, underWay } = books;
  const wanted = [...current.keys()].filter((name) => books.covers(name));
  const names = new Set([...accepted.keys(), ...refused.keys(), ...wanted]);
  return [...names].sort().map((name): Holding => {
    const version = accepted.get(name);
    const resource = current.get(name);
    const state = (): Holding['state'] => {
      if (underWay.has(name)) return 'underWay';
      if (refused.has(name)) return 'refused';
      if (version === undefined) return 'missing';
      return version === resource?.version ? 'held' : 'outdated';
    };
    return {
      name,
      state: state(),
      ...(version !== undefined ? { version } : {}),
      ...(resource !== undefined ? { current: resource } : {}),
    };
  });
}
