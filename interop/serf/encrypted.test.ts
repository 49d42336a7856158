/** encrypted.test.ts: the same stories with a key, and those that need one. */
import { describe, expect, test } from 'vitest';
import { Agent } from './agent.ts';
import { Ours } from './ours.ts';
import { Pool } from './pool.ts';
import { newKey, stories } from './stories.ts';

stories('encrypted', [newKey()]);

describe('keys', () => {
  test('are rotated by us: agents install, use and remove them, in memory and in their files', async () => {
    const [before, after] = [newKey(), newKey()];
    await using pool = await Pool.open([before]);
    const { ours1, theirs1, theirs2 } = pool;
    const bytes = (key: string): Uint8Array => Buffer.from(key, 'base64');
    const done = { nodes: 4, responses: 4, errors: 0, failure: undefined };

    expect(await ours1.serf.keys.install(bytes(after))).toMatchObject(done);
    expect(await theirs1.keyring()).toEqual([before, after]);
    expect(await ours1.serf.keys.use(bytes(after))).toMatchObject(done);
    expect(await theirs2.keyring()).toEqual([after, before]);
    expect(await ours1.serf.keys.remove(bytes(before))).toMatchObject(done);
    expect(await theirs1.keyring()).toEqual([after]);

    const listed = await ours1.serf.keys.list();
    expect(listed).toMatchObject(done);
    expect(Object.fromEntries(listed.keys)).toEqual({ [after]: 4 });
    expect(await theirs2.serf('keys', '-list')).toContain(after);
    const again = await ours1.serf.keys.remove(bytes(after));
    expect(again).toMatchObject({ errors: 4, failure: '4/4 nodes reported failure' });
  });

  test('are rotated by an agent: we install, use and remove them', async () => {
    const [before, after] = [newKey(), newKey()];
    await using pool = await Pool.open([before]);
    const { ours1, theirs1 } = pool;
    const ring = (): readonly string[] =>
      (ours1.serf.keyring?.keys() ?? []).map((key) => Buffer.from(key).toString('base64'));

    await theirs1.serf('keys', `-install=${after}`);
    expect(ring()).toEqual([before, after]);
    await theirs1.serf('keys', `-use=${after}`);
    expect(ring()).toEqual([after, before]);
    await theirs1.serf('keys', `-remove=${before}`);
    expect(ring()).toEqual([after]);
    const listed = await theirs1.serf('keys', '-list');
    expect(listed.replaceAll(/ +/g, ' ')).toContain(`${after} [4/4]`);
    expect(listed).not.toContain(before);
    await expect(theirs1.serf('keys', `-remove=${after}`)).rejects.toThrow(/ours-1.*primary/);
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
