/** snapshot.test.ts: an agent starts from what we remember, and we from what an agent does. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { TempFolder } from '../lib/temp-folder.ts';
import { until } from '../lib/until.ts';
import { Agent } from './agent.ts';
import { Ours } from './ours.ts';
import { newsMs } from './pool.ts';

test('a snapshot of ours brings an agent back into the pool, and its own brings us back; old events stay old', async () => {
  await using folder = await TempFolder.open();
  const snapshotPath = join(folder.path, 'snapshot');
  await using stays = await Agent.open('stays');
  const alive = async (name: string): Promise<boolean> => (await stays.member(name))?.status === 'alive';
  const isTold = async (line: string): Promise<boolean> =>
    (await readFile(snapshotPath, 'utf8')).includes(line);

  {
    await using ours = await Ours.open('ours', undefined, { snapshotPath });
    await ours.serf.join([stays.address]);
    ours.serf.userEvent('deploy', Buffer.from('first;'));
    await until('ours has written down who stays', newsMs, () => isTold(`alive: stays ${stays.address}\n`));
    await until('stays has heard of the first', newsMs, async () =>
      (await stays.deployed()).includes('first;'),
    );
  }

  {
    await using theirs = await Agent.open('theirs', { snapshotPath });
    await until('theirs is back by itself', newsMs, () => alive('theirs'));
    await stays.serf('event', '-coalesce=false', 'deploy', 'second;');
    await until('theirs has heard of the second', newsMs, async () =>
      (await theirs.deployed()).includes('second;'),
    );
    expect((await theirs.deployed()).trim()).toBe('second;');
    await until('theirs has written that down', newsMs, () => isTold('event-clock: 2\n'));
  }

  await using ours = await Ours.open('ours again', undefined, { snapshotPath });
  await until('ours is back by itself', newsMs, () => alive('ours again'));
  await stays.serf('event', '-coalesce=false', 'deploy', 'third;');
  const event = await ours.hears('an event', newsMs, ({ kind }) => kind === 'user');
  expect(Buffer.from((event as { payload: Uint8Array }).payload).toString()).toBe('third;');
});
