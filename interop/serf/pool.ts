/**
 * pool.ts: three of our serfs and three real agents, joined both ways.
 *
 * ours-1 lives in the test's process and tells everything; ours-2 and ours-3 are processes of their own, which can be
 * killed. Lives here: opening and joining, what all six must agree on, dividing them. Must not live here: stories.
 */
import { fileURLToPath } from 'node:url';
import { Driven } from '../lib/driven.ts';
import { until } from '../lib/until.ts';
import { Agent } from './agent.ts';
import { Ours } from './ours.ts';

/** News travels in a few gossip rounds of 200 ms, or with a push/pull of ours, one a second; this is for a machine that has other things to do, too. */
export const newsMs = 15_000;

export const ourNames = ['ours-1', 'ours-2', 'ours-3'] as const;
export const theirNames = ['theirs-1', 'theirs-2', 'theirs-3'] as const;
export const allNames = [...ourNames, ...theirNames] as const;
type Name = (typeof allNames)[number];

/** These statuses, and alive for all others. */
export function statuses(except: Partial<Record<Name, string>> = {}): Record<Name, string> {
  return Object.fromEntries(allNames.map((name) => [name, except[name] ?? 'alive'])) as Record<Name, string>;
}

/** Somebody who can be asked for the members and their statuses. */
type Seer = { readonly name: string; readonly see: () => Promise<readonly (readonly [string, string])[]> };

export class Pool implements AsyncDisposable {
  readonly ours1: Ours;
  readonly ours2: Driven;
  readonly ours3: Driven;
  readonly agents: readonly [Agent, Agent, Agent];
  readonly #ports: ReadonlyMap<Driven, number>;

  private constructor(o: {
    readonly ours1: Ours;
    readonly ours2: Driven;
    readonly ours3: Driven;
    readonly agents: readonly [Agent, Agent, Agent];
    readonly ports: ReadonlyMap<Driven, number>;
  }) {
    this.ours1 = o.ours1;
    this.ours2 = o.ours2;
    this.ours3 = o.ours3;
    this.agents = o.agents;
    this.#ports = o.ports;
  }

  /** @param keys base64, primary first; absent: plaintext */
  static async open(keys?: readonly string[]): Promise<Pool> {
    const opened = new AsyncDisposableStack();
    try {
      const secret = keys === undefined ? {} : { keys };
      const script = fileURLToPath(new URL('our-serf.ts', import.meta.url));
      const ours = async (name: string): Promise<readonly [Driven, number]> => {
        const driven = opened.use(new Driven(name, process.execPath, ['--conditions=@fed/source', script]));
        return [driven, (await driven.ask('open', { name, ...secret }))['port'] as number];
      };
      const theirs = async (name: string): Promise<Agent> =>
        opened.use(await Agent.open(name, { tags: { role: 'theirs', shape: 'grün und rund' }, ...secret }));
      const [ours1, [ours2, port2], [ours3, port3], ...agents] = await Promise.all([
        Ours.open('ours-1', keys).then((one) => opened.use(one)),
        ours('ours-2'),
        ours('ours-3'),
        theirs('theirs-1'),
        theirs('theirs-2'),
        theirs('theirs-3'),
      ]);
      await ours1.serf.join([agents[0].address]);
      await agents[1].serf('join', ours1.address);
      await ours2.ask('join', { target: agents[1].address });
      await agents[2].serf('join', `127.0.0.1:${port2}`);
      await ours3.ask('join', { target: agents[2].address });
      const ports = new Map([
        [ours2, port2],
        [ours3, port3],
      ]);
      const pool = new Pool({ ours1, ours2, ours3, agents, ports });
      await pool.agree(statuses());
      opened.move(); // from here on the pool closes them
      return pool;
    } catch (cause) {
      await opened.disposeAsync();
      throw cause;
    }
  }

  /** Waits until everybody who runs, or each of `seers`, sees exactly these members in these statuses. */
  async agree(
    expected: Readonly<Record<string, string>>,
    o: { readonly by?: readonly string[]; readonly timeoutMs?: number } = {},
  ): Promise<void> {
    const { by, timeoutMs = newsMs } = o;
    const wanted = text(Object.entries(expected));
    await Promise.all(
      this.#seers
        .filter(({ name }) => by?.includes(name) ?? true)
        .map(async ({ name, see }) => {
          let seen = '';
          await until(`${name} sees ${wanted}`, timeoutMs, async () => {
            seen = text(await see());
            return seen === wanted;
          }).catch((cause: unknown) => {
            throw new Error(`${(cause as Error).message}; it sees ${seen}`, { cause });
          });
        }),
    );
  }

  /** From now on ours and theirs hear nothing of each other. */
  async divide(): Promise<void> {
    await this.#cut(this.agents.map(({ port }) => port));
  }

  async heal(): Promise<void> {
    await this.#cut([]);
  }

  /** Agents have no door: ours are closed both ways, and to streams altogether, as nobody can tell whose they are. */
  async #cut(ports: readonly number[]): Promise<void> {
    const refuseStreams = ports.length > 0;
    this.ours1.gate.cut({ ports, refuseStreams });
    for (const driven of this.#ports.keys()) await driven.ask('cut', { ports, refuseStreams });
  }

  get #seers(): readonly Seer[] {
    const statusOf = ({ name, status }: { readonly name: string; readonly status: string }) =>
      [name, status] as const;
    const running = [...this.#ports.keys()].filter(({ child }) => child.running);
    return [
      { name: 'ours-1', see: async () => this.ours1.serf.members().map(statusOf) },
      ...running.map((driven) => ({
        name: driven.child.name,
        see: async () => (await driven.ask('members'))['members'] as [string, string][],
      })),
      ...this.agents
        .filter(({ child }) => child.running)
        .map((agent) => ({ name: agent.name, see: async () => (await agent.members()).map(statusOf) })),
    ];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const all = [this.ours1, this.ours2, this.ours3, ...this.agents];
    await Promise.all(all.map((one) => one[Symbol.asyncDispose]()));
  }
}

function text(seen: readonly (readonly [string, string])[]): string {
  return seen
    .map(([name, status]) => `${name} ${status}`)
    .sort()
    .join(', ');
}
