/** encrypted.test.ts: the same stories with a key, and those that need one. */
import type { KeyOutcome } from '@fed/serf';
import { describe, expect, test } from 'vitest';
import { askAgain, until } from '../lib/until.ts';
import { Agent } from './agent.ts';
import { Ours } from './ours.ts';
import { newsMs, Pool } from './pool.ts';
import { newKey, stories } from './stories.ts';

stories('encrypted', [newKey()]);

describe('keys', () => {
  test('are rotated by us: agents install, use and remove them, in memory and in their files, while events flow', async () => {
    const [before, after] = [newKey(), newKey()];
    await using pool = await Pool.open([before]);
    const { ours1, agents } = pool;
    const [theirs1, theirs2] = agents;
    const bytes = (key: string): Uint8Array => Buffer.from(key, 'base64');
    const traffic = new Traffic(pool);
    const { keys } = ours1.serf;
    const done = { nodes: 6, responses: 6, errors: 0, failure: undefined };
    const byAll = (ask: () => Promise<KeyOutcome>): Promise<KeyOutcome> =>
      askAgain(ask, ({ responses }) => responses === 6);

    expect(await traffic.during(() => byAll(() => keys.install(bytes(after))))).toMatchObject(done);
    expect(await theirs1.keyring()).toEqual([before, after]);
    expect(await traffic.during(() => byAll(() => keys.use(bytes(after))))).toMatchObject(done);
    expect(await theirs2.keyring()).toEqual([after, before]);
    expect(await traffic.during(() => byAll(() => keys.remove(bytes(before))))).toMatchObject(done);
    expect(await theirs1.keyring()).toEqual([after]);

    const listed = await byAll(() => keys.list());
    expect(listed).toMatchObject(done);
    expect(Object.fromEntries(listed.keys)).toEqual({ [after]: 6 });
    expect(await theirs2.serf('keys', '-list')).toContain(after);
    const again = await byAll(() => keys.remove(bytes(after)));
    expect(again).toMatchObject({ errors: 6, failure: '6/6 nodes reported failure' });
    await traffic.arrived();
  });

  test('are rotated by an agent: we install, use and remove them, while events flow', async () => {
    const [before, after] = [newKey(), newKey()];
    await using pool = await Pool.open([before]);
    const { ours1, agents } = pool;
    const [theirs1] = agents;
    const traffic = new Traffic(pool);
    const ring = (): readonly string[] =>
      (ours1.serf.keyring?.keys() ?? []).map((key) => Buffer.from(key).toString('base64'));

    const keys = (flag: string): Promise<string> =>
      askAgain(
        () => theirs1.serf('keys', flag).catch((cause: Error) => `Error: ${cause.message}`),
        (answer) => !answer.startsWith('Error: '),
      );

    expect(await traffic.during(() => keys(`-install=${after}`))).not.toContain('Error');
    expect(ring()).toEqual([before, after]);
    expect(await traffic.during(() => keys(`-use=${after}`))).not.toContain('Error');
    expect(ring()).toEqual([after, before]);
    expect(await traffic.during(() => keys(`-remove=${before}`))).not.toContain('Error');
    expect(ring()).toEqual([after]);
    const listed = await askAgain(
      () => theirs1.serf('keys', '-list'),
      (text) => /\[6\/6\]/.test(text),
    );
    expect(listed.replaceAll(/ +/g, ' ')).toContain(`${after} [6/6]`);
    expect(listed).not.toContain(before);
    await expect(theirs1.serf('keys', `-remove=${after}`)).rejects.toThrow(/ours-1.*primary/);
    await traffic.arrived();
  });

  test('are needed to get in, both ways', async () => {
    await using agent = await Agent.open('theirs', { keys: [newKey()] });
    await using ours = await Ours.open('ours', [newKey()]);
    await expect(ours.serf.join([agent.address])).rejects.toMatchObject({ code: 'join_failed' });
    await expect(agent.serf('join', ours.address)).rejects.toThrow(/No installed keys/);
    expect(ours.serf.members().map(({ name }) => name)).toEqual(['ours']);
    expect((await agent.members()).map(({ name }) => name)).toEqual(['theirs']);
  });
});

/** User events of both kinds, sent while something else goes on; in the end all have arrived and nobody was lost. */
class Traffic {
  readonly #pool: Pool;
  readonly #said: string[] = [];

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  async during<T>(work: () => Promise<T>): Promise<T> {
    const done = work();
    const { ours1, ours2, agents } = this.#pool;
    for (let i = 0; i < 5; i++) {
      const round = this.#said.length;
      const [one, two, three] = [`${round} of ours-1;`, `${round} of ours-2;`, `${round} of theirs-2;`];
      ours1.serf.userEvent('deploy', Buffer.from(one));
      await ours2.ask('event', { name: 'deploy', payload: two });
      await agents[1].serf('event', '-coalesce=false', 'deploy', three);
      this.#said.push(one, two, three);
    }
    return await done;
  }

  async arrived(): Promise<void> {
    const { ours1, ours3, agents } = this.#pool;
    for (const text of this.#said) {
      const isIt = (payload: unknown): boolean => Buffer.from(payload as Uint8Array).toString() === text;
      await ours1.hears(text, newsMs, (event) => event.kind === 'user' && isIt(event.payload));
      await ours3.event(text, newsMs, ({ payload }) => payload === text);
      for (const agent of agents)
        await until(`${agent.name} has '${text}'`, newsMs, async () =>
          (await agent.deployed()).includes(text),
        );
    }
    const kinds = ours1.journal.lines.map(({ event }) => (event as { readonly kind: string }).kind);
    expect(kinds.filter((kind) => kind === 'member-failed' || kind === 'member-leave')).toEqual([]);
    for (const { child } of agents)
      expect(child.log.join('\n')).not.toMatch(/EventMember(Failed|Leave)|Marking \S+ as failed/);
  }
}
