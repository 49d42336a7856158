/**
 * cluster.ts: members of both kinds in one cluster, each a process of its own, all spoken to in the same way.
 *
 * Lives here: opening, joining, what a member is asked to show. Must not live here: what a test expects of it.
 */
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { local, type MemberlistConfig } from '@fed/memberlist';
import { Driven } from '../lib/driven.ts';
import type { Line } from '../lib/journal.ts';
import { program } from '../lib/peers.ts';
import { until } from '../lib/until.ts';

/**
 * The profile for one machine, in a hurry: a death is known within seconds, a loaded machine is still not taken for dead.
 * With its retransmitMult of 2, and six members, one member in four may not hear of a leave before the next push/pull; with
 * LAN's 4 one in three hundred, and with this one in a hundred thousand.
 */
export const profile: MemberlistConfig = {
  ...local,
  enableCompression: true,
  retransmitMult: 8,
  probeIntervalMs: 300,
  probeTimeoutMs: 150,
  gossipIntervalMs: 20,
  pushPullIntervalMs: 1_000,
};
/** News travels in gossip rounds, and with the next push/pull at the latest. */
export const newsMs: number = 2 * profile.pushPullIntervalMs + 5_000;

const { retransmitMult, suspicionMult, suspicionMaxTimeoutMult } = profile;
const { probeIntervalMs, probeTimeoutMs, gossipIntervalMs, pushPullIntervalMs } = profile;
const timing: Line = {
  retransmitMult,
  suspicionMult,
  suspicionMaxTimeoutMult,
  probeIntervalMs,
  probeTimeoutMs,
  gossipIntervalMs,
  pushPullIntervalMs,
};

/** What the members of a cluster must have in common. */
export interface Secrets {
  readonly key?: string;
  readonly label?: string;
}

export const newKey = (bytes: 16 | 24 | 32): string => randomBytes(bytes).toString('base64');

export class Member implements AsyncDisposable {
  readonly name: string;
  readonly driven: Driven;
  readonly port: number;

  constructor(name: string, driven: Driven, port: number) {
    this.name = name;
    this.driven = driven;
    this.port = port;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Where its journal ends now: what is told from here on is new. */
  get mark(): number {
    return this.driven.journal.lines.length;
  }

  async join(other: Member): Promise<void> {
    await this.driven.ask('join', { targets: [other.address] });
  }

  /** From now on nothing passes between it and these, as far as it is concerned. */
  async cut(others: readonly Member[]): Promise<void> {
    await this.driven.ask('cut', { ports: others.map(({ port }) => port) });
  }

  async members(): Promise<readonly Line[]> {
    return (await this.driven.ask('members'))['members'] as readonly Line[];
  }

  /** Awaits an event about a member, told so far or later. */
  async hears(
    event: 'join' | 'leave' | 'update' | 'conflict',
    name: string,
    timeoutMs: number = newsMs,
    since: number = 0,
  ): Promise<Line> {
    return await this.driven.event(
      `${event} of ${name}`,
      timeoutMs,
      (line) => line['event'] === event && line['name'] === name,
      since,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.driven[Symbol.asyncDispose]();
  }
}

/** Opens members; all of them end with the block. */
export class Cluster implements AsyncDisposable {
  readonly members: Member[] = [];
  readonly #variable: string;

  /** @param variable tells where the program of their release is */
  constructor(variable: string) {
    this.#variable = variable;
  }

  async ours(name: string, o: Secrets = {}): Promise<Member> {
    const script = fileURLToPath(new URL('our-member.ts', import.meta.url));
    return await this.#open(name, o, process.execPath, ['--conditions=@fed/source', script]);
  }

  async theirs(name: string, o: Secrets = {}): Promise<Member> {
    return await this.#open(name, o, program(this.#variable), []);
  }

  async #open(name: string, o: Secrets, path: string, args: readonly string[]): Promise<Member> {
    const driven = new Driven(name, path, args);
    try {
      const { port } = await driven.ask('open', { name, meta: `meta of ${name}`, ...o, ...timing });
      const member = new Member(name, driven, port as number);
      this.members.push(member);
      return member;
    } catch (cause) {
      await driven[Symbol.asyncDispose]();
      throw cause;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.members.map((member) => member[Symbol.asyncDispose]()));
  }
}

/** Three of each kind. */
export type Three = readonly [Member, Member, Member];

export interface Joined extends AsyncDisposable {
  readonly cluster: Cluster;
  readonly ours: Three;
  readonly theirs: Three;
  readonly all: readonly Member[];
}

/** Three of each kind, joined in both directions, and everybody knows everybody. */
export async function joined(variable: string, o: Secrets): Promise<Joined> {
  const cluster = new Cluster(variable);
  try {
    const [ours, theirs] = await Promise.all([
      Promise.all([cluster.ours('ours-1', o), cluster.ours('ours-2', o), cluster.ours('ours-3', o)]),
      Promise.all([
        cluster.theirs('theirs-1', o),
        cluster.theirs('theirs-2', o),
        cluster.theirs('theirs-3', o),
      ]),
    ]);
    await ours[0].join(theirs[0]);
    await theirs[1].join(ours[0]);
    await ours[1].join(theirs[1]);
    await theirs[2].join(ours[1]);
    await ours[2].join(theirs[2]);
    const all = [...ours, ...theirs];
    await Promise.all(all.map((member) => knowsAll(member, all)));
    return { cluster, ours, theirs, all, [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose]() };
  } catch (cause) {
    await cluster[Symbol.asyncDispose]();
    throw cause;
  }
}

/** `member` has heard of every other. */
export async function knowsAll(member: Member, all: readonly Member[]): Promise<void> {
  for (const { name } of all) await member.hears('join', name);
  await listsExactly(member, all);
}

/** `member` lists exactly these with their addresses, or soon will. */
export async function listsExactly(member: Member, all: readonly Member[]): Promise<void> {
  const expected = all.map(({ name, port }) => ({ name, port })).sort(byName);
  await until(`${member.name} lists ${all.length} members`, newsMs, async () => {
    const listed = (await member.members()).map(({ name, port }) => ({ name, port }));
    return JSON.stringify((listed as { name: string }[]).sort(byName)) === JSON.stringify(expected);
  });
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : 1;
}
