/**
 * cluster.ts: members of both kinds in one cluster, each a process of its own, all spoken to in the same way.
 *
 * Lives here: opening, joining, what a member is asked to show. Must not live here: what a test expects of it.
 */
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { lan, local, type MemberlistConfig } from '@fed/memberlist';
import { Driven } from '../lib/driven.ts';
import type { Line } from '../lib/journal.ts';
import { program } from '../lib/peers.ts';
import { until } from '../lib/until.ts';

/**
 * The profile for one machine, in a hurry: a death is known within seconds, a loaded machine is still not taken for dead.
 * With its retransmitMult of 2 one member in four may not hear of a leave before the next push/pull; LAN's 4 tells all.
 */
export const profile: MemberlistConfig = {
  ...local,
  retransmitMult: lan.retransmitMult,
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

  async join(other: Member): Promise<void> {
    await this.driven.ask('join', { targets: [other.address] });
  }

  async members(): Promise<readonly Line[]> {
    return (await this.driven.ask('members'))['members'] as readonly Line[];
  }

  /** Awaits an event about a member, told so far or later. */
  async hears(
    event: 'join' | 'leave' | 'update',
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

/** Two of each kind, joined in both directions, and everybody knows everybody. */
export async function joined(variable: string, o: Secrets): Promise<Joined> {
  const cluster = new Cluster(variable);
  try {
    const [ours1, ours2, theirs1, theirs2] = await Promise.all([
      cluster.ours('ours-1', o),
      cluster.ours('ours-2', o),
      cluster.theirs('theirs-1', o),
      cluster.theirs('theirs-2', o),
    ]);
    await ours1.join(theirs1);
    await theirs2.join(ours1);
    await ours2.join(theirs2);
    await Promise.all(cluster.members.map((member) => knowsAll(member, cluster.members)));
    return {
      cluster,
      ours1,
      ours2,
      theirs1,
      theirs2,
      [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
    };
  } catch (cause) {
    await cluster[Symbol.asyncDispose]();
    throw cause;
  }
}

export interface Joined extends AsyncDisposable {
  readonly cluster: Cluster;
  readonly ours1: Member;
  readonly ours2: Member;
  readonly theirs1: Member;
  readonly theirs2: Member;
}

/** `member` has heard of every other and lists exactly all of them with their addresses and metas. */
export async function knowsAll(member: Member, all: readonly Member[]): Promise<void> {
  for (const { name } of all) await member.hears('join', name);
  const expected = all.map(({ name, port }) => ({ name, port })).sort(byName);
  await until(`${member.name} lists ${all.length} members`, newsMs, async () => {
    const listed = (await member.members()).map(({ name, port }) => ({ name, port }));
    return JSON.stringify((listed as { name: string }[]).sort(byName)) === JSON.stringify(expected);
  });
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : 1;
}
