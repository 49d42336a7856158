/**
 * name-claims.ts: two datacenters that go by one name, told from what the WAN pool's members say of themselves.
 *
 * Two signs. A member of our own datacenter's name that is not in our own datacenter's pool is of another datacenter of that
 * name: its servers would be asked for ours, and its leader overwrites our record. And one member name whose node id changes
 * back and forth is two servers that refute each other.
 * Lives here: these two rules. Must not live here: the pools, what is done about it.
 * The original sees neither; its catalogs and records then change hands with every write.
 */
import type { Serf, SerfEvent } from '@fed/serf';
import type { Observed } from './observed.ts';

export interface NameClaimsOptions {
  readonly datacenter: string;
  readonly clock: { now(): number; at(when: number, wake: () => void): Disposable };
  /** Names of the members of our own datacenter's pool, whatever their status. */
  readonly ours: () => readonly string[];
  /** `<node>.<datacenter>` is claimed by another than we thought. */
  readonly seen: (name: string, text: string) => void;
  readonly over: (name: string) => void;
}

/** A new server of ours may be heard of over the wide area before the near one. */
const graceMs = 30_000;
const namesMax = 4096;

/** Follows the pools of a server. */
export function watchNames(o: {
  readonly datacenter: string;
  readonly clock: NameClaimsOptions['clock'];
  readonly wan: Pick<Serf, 'events' | 'members'>;
  readonly lan: Pick<Serf, 'members'>;
  readonly observed: Pick<Observed, 'troubles'>;
}): Disposable {
  const { troubles } = o.observed;
  const claims = new NameClaims({
    datacenter: o.datacenter,
    clock: o.clock,
    ours: () => o.lan.members().map(({ name }) => name),
    seen: (name, text) => troubles.seen('datacenter_name_taken', name, text),
    over: (name) => troubles.over('datacenter_name_taken', name),
  });
  const listening = o.wan.events((event) => claims.event(event));
  claims.event({ kind: 'member-join', members: o.wan.members() });
  return {
    [Symbol.dispose]() {
      listening[Symbol.dispose]();
      claims[Symbol.dispose]();
    },
  };
}

export class NameClaims implements Disposable {
  readonly #o: NameClaimsOptions;
  /** The node id each name goes by, and the one before. */
  readonly #ids = new Map<string, readonly [now: string, before: string | undefined]>();
  readonly #doubted = new Map<string, Disposable>();

  constructor(o: NameClaimsOptions) {
    this.#o = o;
  }

  event(event: SerfEvent): void {
    if (event.kind === 'user' || event.kind === 'query') return;
    for (const { name, tags } of event.members) {
      if (event.kind === 'member-leave' || event.kind === 'member-reap') this.#gone(name);
      else this.#here(name, tags);
    }
  }

  [Symbol.dispose](): void {
    for (const timer of this.#doubted.values()) timer[Symbol.dispose]();
    this.#doubted.clear();
  }

  #here(name: string, tags: Readonly<Record<string, string>>): void {
    const id = tags['id'] ?? '';
    const [now, before] = this.#ids.get(name) ?? [undefined, undefined];
    if (id !== '' && id !== now && (now !== undefined || this.#ids.size < namesMax)) {
      this.#ids.set(name, [id, now]);
      if (id === before)
        this.#o.seen(
          name,
          `two servers are called ${name} (node ids ${now} and ${id}) and refute each other; every datacenter, and every node within one, needs a name of its own: change datacenter or node_name of one of them`,
        );
    }
    if (tags['dc'] === this.#o.datacenter && !this.#doubted.has(name) && !this.#isOurs(name)) {
      const { clock } = this.#o;
      this.#doubted.set(
        name,
        clock.at(clock.now() + graceMs, () => this.#judge(name)),
      );
    }
  }

  #judge(name: string): void {
    this.#doubted.delete(name);
    if (this.#isOurs(name)) return;
    const { datacenter, seen } = this.#o;
    seen(
      name,
      `${name} says it is a server of ${datacenter}, and is no member of ours: two datacenters are called ${datacenter}; give one of them another name`,
    );
  }

  #isOurs(name: string): boolean {
    const short = name.slice(0, -this.#o.datacenter.length - 1);
    return this.#o.ours().includes(short);
  }

  #gone(name: string): void {
    this.#doubted.get(name)?.[Symbol.dispose]();
    this.#doubted.delete(name);
    this.#ids.delete(name);
    this.#o.over(name);
  }
}
