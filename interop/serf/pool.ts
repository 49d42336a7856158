/**
 * pool.ts: two of our serfs and two real agents, joined both ways.
 *
 * ours-1 lives in the test's process and tells everything; ours-2 is a process of its own, which can be killed.
 * Lives here: opening and joining, what all four must agree on. Must not live here: stories.
 */
import { fileURLToPath } from 'node:url';
import { Driven } from '../lib/driven.ts';
import { until } from '../lib/until.ts';
import { Agent } from './agent.ts';
import { Ours } from './ours.ts';

/** News travels in a few gossip rounds of 200 ms; this is for a machine that has other things to do, too. */
export const newsMs = 15_000;

export class Pool implements AsyncDisposable {
  readonly ours1: Ours;
  readonly ours2: Driven;
  readonly theirs1: Agent;
  readonly theirs2: Agent;

  private constructor(o: { ours1: Ours; ours2: Driven; theirs1: Agent; theirs2: Agent }) {
    this.ours1 = o.ours1;
    this.ours2 = o.ours2;
    this.theirs1 = o.theirs1;
    this.theirs2 = o.theirs2;
  }

  /** @param keys base64, primary first; absent: plaintext */
  static async open(keys?: readonly string[]): Promise<Pool> {
    const opened = new AsyncDisposableStack();
    try {
      const options = {
        tags: { role: 'theirs', shape: 'grün und rund' },
        ...(keys === undefined ? {} : { keys }),
      };
      const script = fileURLToPath(new URL('our-serf.ts', import.meta.url));
      const ours2 = opened.use(new Driven('ours-2', process.execPath, ['--conditions=@fed/source', script]));
      const [ours1, theirs1, theirs2] = await Promise.all([
        Ours.open('ours-1', keys).then((ours) => opened.use(ours)),
        Agent.open('theirs-1', options).then((agent) => opened.use(agent)),
        Agent.open('theirs-2', options).then((agent) => opened.use(agent)),
        ours2.ask('open', { name: 'ours-2', ...(keys === undefined ? {} : { keys }) }),
      ]);
      await ours1.serf.join([theirs1.address]);
      await theirs2.serf('join', ours1.address);
      await ours2.ask('join', { target: theirs2.address });
      const pool = new Pool({ ours1, ours2, theirs1, theirs2 });
      await pool.agree({ 'ours-1': 'alive', 'ours-2': 'alive', 'theirs-1': 'alive', 'theirs-2': 'alive' });
      opened.move(); // from here on the pool closes them
      return pool;
    } catch (cause) {
      await opened.disposeAsync();
      throw cause;
    }
  }

  /** Waits until ours-1 and each of `agents` see exactly these members in these statuses. */
  async agree(
    expected: Readonly<Record<string, string>>,
    o: { readonly agents?: readonly Agent[]; readonly timeoutMs?: number } = {},
  ): Promise<void> {
    const { agents = [this.theirs1, this.theirs2], timeoutMs = newsMs } = o;
    const wanted = text(Object.entries(expected));
    const seen = new Map<string, string>();
    const agrees = async (
      who: string,
      statuses: () => Promise<readonly [string, string][]>,
    ): Promise<void> => {
      await until(`${who} sees ${wanted}`, timeoutMs, async () => {
        seen.set(who, text(await statuses()));
        return seen.get(who) === wanted;
      }).catch((cause: unknown) => {
        throw new Error(`${(cause as Error).message}; it sees ${seen.get(who)}`, { cause });
      });
    };
    await Promise.all([
      agrees('ours-1', async () => this.ours1.serf.members().map(({ name, status }) => [name, status])),
      ...agents.map((agent) =>
        agrees(agent.name, async () => (await agent.members()).map(({ name, status }) => [name, status])),
      ),
    ]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      [this.ours1, this.ours2, this.theirs1, this.theirs2].map((one) => one[Symbol.asyncDispose]()),
    );
  }
}

function text(statuses: readonly (readonly [string, string])[]): string {
  return statuses
    .map(([name, status]) => `${name} ${status}`)
    .sort()
    .join(', ');
}
