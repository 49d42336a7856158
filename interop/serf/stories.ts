/**
 * stories.ts: what our serfs and real agents must get along in, with keys and without.
 */
import { randomBytes } from 'node:crypto';
import { lan } from '@fed/memberlist';
import { distanceNs } from '@fed/serf';
import { describe, expect, test } from 'vitest';
import { detectionMs, partitionMs } from '../lib/bounds.ts';
import { askAgain, until } from '../lib/until.ts';
import { Agent } from './agent.ts';
import { Ours } from './ours.ts';
import { allNames, newsMs, ourNames, Pool, statuses, theirNames } from './pool.ts';

/** How long answers are waited for: a query lasts so long however soon all have answered. */
const queryMs = 1_500;
/** An agent holds such user events back as allow it until none has come for a second, three seconds at most. */
const coalesceMs = 3_000;

export const newKey = (): string => randomBytes(32).toString('base64');

export function stories(kind: string, keys?: readonly string[]): void {
  describe(`serf agents and ours, ${kind}`, () => {
    test('join both ways, and see each other’s addresses and tags, also when they change', async () => {
      await using pool = await Pool.open(keys);
      const { ours1, agents } = pool;
      const [theirs1, theirs2] = agents;
      for (const agent of agents) {
        const tags = Object.fromEntries((await agent.members()).map((m) => [m.name, m.tags]));
        expect(tags['ours-1']).toEqual({ role: 'ours', empty: '', unicode: 'grüße' });
        expect(tags['theirs-1']).toEqual({ role: 'theirs', shape: 'grün und rund' });
        expect((await agent.member('ours-1'))?.addr).toBe(ours1.address);
      }
      expect({ ...ours1.serf.member('theirs-2')?.tags }).toEqual({ role: 'theirs', shape: 'grün und rund' });
      expect(ours1.serf.member('theirs-2')).toMatchObject({ host: '127.0.0.1', port: theirs2.port });

      await Promise.all([
        ours1.serf.setTags({ role: 'ours', color: 'blue' }),
        theirs1.serf('tags', '-set', 'color=red'),
      ]);
      await ours1.hears(
        'the new tag of theirs-1',
        newsMs,
        (event) =>
          event.kind === 'member-update' &&
          event.members.some((m) => m.name === 'theirs-1' && m.tags['color'] === 'red'),
      );
      for (const agent of agents)
        await until(`${agent.name} sees the new tags of ours-1`, newsMs, async () => {
          const tags = (await agent.member('ours-1'))?.tags;
          return tags?.['color'] === 'blue' && tags['empty'] === undefined;
        });
    });

    test('hear each other’s user events, payloads unchanged', async () => {
      await using pool = await Pool.open(keys);
      const { ours1, agents } = pool;
      const [theirs1] = agents;
      for (const coalesce of [false, true]) {
        const text = `of ours-1, ö, coalesce ${coalesce}`;
        ours1.serf.userEvent('deploy', Buffer.from(text), { coalesce });
        for (const agent of agents)
          await until(`${agent.name} has '${text}'`, newsMs + coalesceMs, async () =>
            (await agent.deployed()).includes(text),
          );
      }
      await theirs1.serf('event', '-coalesce=false', 'restart', 'of theirs-1, ü');
      const heard = await ours1.hears(
        'restart',
        newsMs,
        (event) => event.kind === 'user' && event.name === 'restart',
      );
      expect(heard).toMatchObject({ coalesce: false });
      expect(Buffer.from((heard as { payload: Uint8Array }).payload).toString()).toBe('of theirs-1, ü');
    });

    test('answer each other’s queries, all of them and those meant, and acknowledge them', async () => {
      await using pool = await Pool.open(keys);
      const { ours1, agents } = pool;
      const [theirs1] = agents;
      const asking = { ack: true, relayFactor: 1, timeoutMs: queryMs };
      const { acks, responses } = await askAgain(
        () => ours1.serf.query('uptime', Buffer.from('ours-1?'), asking).done,
        (answer) => answer.acks.length === allNames.length && answer.responses.length === 4,
      );
      expect([...acks].sort()).toEqual(allNames);
      expect(responses.map(({ payload }) => Buffer.from(payload).toString().trim()).sort()).toEqual([
        'ours-1 answers ours-1?',
        'theirs-1 answers ours-1?',
        'theirs-2 answers ours-1?',
        'theirs-3 answers ours-1?',
      ]);

      const only = {
        filterTags: { role: '^their' },
        filterNodes: ['ours-1', 'theirs-2'],
        timeoutMs: queryMs,
      };
      const some = await askAgain(
        () => ours1.serf.query('uptime', Buffer.from('who is red'), only).done,
        (answer) => answer.responses.length > 0,
      );
      expect(some.responses.map(({ from }) => from)).toEqual(['theirs-2']);

      const args = ['-format=json', `-timeout=${queryMs}ms`, '-relay-factor=1', 'uptime', 'theirs-1?'];
      const all = await askAgain(
        async () => JSON.parse(await theirs1.serf('query', ...args)) as Asked,
        (answer) => answer.Acks.length === allNames.length && Object.keys(answer.Responses).length === 4,
      );
      expect([...all.Acks].sort()).toEqual(allNames);
      expect(all.Responses['ours-1']).toBe('ours-1 answers theirs-1?');
      expect(Object.keys(all.Responses).sort()).toEqual(['ours-1', ...theirNames]);

      const filters = ['-node=ours-1', '-node=theirs-2', '-tag', 'role=^ours$'];
      const meant = await askAgain(
        async () => JSON.parse(await theirs1.serf('query', ...filters, ...args)) as Asked,
        (answer) => Object.keys(answer.Responses).length > 0,
      );
      expect(Object.keys(meant.Responses)).toEqual(['ours-1']);
      const reached = 'Successfully contacted all live nodes';
      expect(
        await askAgain(
          () => theirs1.serf('reachability').catch(String),
          (text) => text.includes(reached),
        ),
      ).toContain(reached);
    });

    test('know how far each other are: coordinates travel on acks', async () => {
      await using pool = await Pool.open(keys);
      const { ours1, agents } = pool;
      const [theirs1] = agents;
      await until('theirs-1 has a coordinate of ours-1', newsMs, async () =>
        /Estimated .* rtt: [0-9.]+ ms/.test(await theirs1.serf('rtt', 'ours-1')),
      );
      await until('ours-1 has a coordinate of theirs-1', newsMs, () => {
        const [here, there] = [ours1.serf.coordinate(), ours1.serf.coordinate('theirs-1')];
        return here !== undefined && there !== undefined && Number.isFinite(Number(distanceNs(here, there)));
      });
    });

    test('leave, and have left for both kinds', async () => {
      await using pool = await Pool.open(keys);
      const { ours1, agents } = pool;
      const [theirs1, theirs2, theirs3] = agents;
      await theirs3.serf('leave');
      const others = allNames.filter((name) => name !== 'theirs-3');
      await pool.agree(statuses({ 'theirs-3': 'left' }), { by: others });
      expect(ours1.journal.lines.map((line) => (line['event'] as { kind: string }).kind)).not.toContain(
        'member-failed',
      );
      await ours1.serf.leave();
      const by = others.filter((name) => name !== 'ours-1');
      await pool.agree(statuses({ 'theirs-3': 'left', 'ours-1': 'left' }), { by });
      // An agent that gossip has not brought the intent calls us failed until the next push/pull; nobody suspects us.
      for (const { child } of [theirs1, theirs2])
        expect(child.log.join('\n')).not.toMatch(/Marking ours-1 as failed/);
    });

    test('are killed, and have failed for both kinds within the bound of the profile; forced out, they have left', async () => {
      await using pool = await Pool.open(keys);
      const { ours1, ours3, agents } = pool;
      const [theirs1, , theirs3] = agents;
      const timeoutMs = detectionMs(lan, 6);
      await Promise.all([ours3.child.kill(), theirs3.child.kill()]);
      await pool.agree(statuses({ 'ours-3': 'failed', 'theirs-3': 'failed' }), { timeoutMs });
      await theirs1.serf('force-leave', 'ours-3');
      await pool.agree(statuses({ 'ours-3': 'left', 'theirs-3': 'failed' }));
      await ours1.serf.forceLeave('theirs-3');
      await pool.agree(statuses({ 'ours-3': 'left', 'theirs-3': 'left' }));
      const { 'ours-3': _ours, 'theirs-3': _theirs, ...rest } = statuses();
      // No push/pull tells whom gossip has missed to forget somebody: then it is said once more.
      await until('both are forgotten', 3 * newsMs, async () => {
        await theirs1.serf('force-leave', '-prune', 'ours-3');
        await ours1.serf.forceLeave('theirs-3', { prune: true });
        await pool.agree(rest, { timeoutMs: newsMs / 3 });
        return true;
      });
    });

    test('are divided, and have failed for each other; the network healed, they find each other again', async () => {
      await using pool = await Pool.open(keys);
      const timeoutMs = partitionMs(lan, 6);
      await pool.divide();
      const [ours, theirs] = [ourNames, theirNames].map((names) =>
        statuses(Object.fromEntries(names.map((name) => [name, 'failed']))),
      );
      await Promise.all([
        pool.agree(theirs!, { by: ourNames, timeoutMs }),
        pool.agree(ours!, { by: theirNames, timeoutMs }),
      ]);
      await pool.heal();
      await pool.agree(statuses(), { timeoutMs });
    }, 360_000);

    test('quarrel over a name: who came later and finds the others against him goes', async () => {
      await using pool = await Pool.open(keys);
      const { ours1, agents } = pool;
      await using agent = await Agent.open('ours-1', keys && { keys });
      await using ours = await Ours.open('theirs-1', keys);
      await agent.serf('join', agents[1].address);
      await ours.serf.join([ours1.address]);
      expect(await ours.serf.closed).toBe('name_conflict');
      await agent.child.exited;
      expect(agent.child.log.join('\n')).toMatch(/minority in name conflict resolution/);
      await pool.agree(statuses());
      expect(ours1.serf.member('theirs-1')?.port).toBe(agents[0].port);
      expect((await agents[0].member('ours-1'))?.port).toBe(ours1.serf.local().port);
    });
  });
}

/** What `serf query -format=json` prints. */
interface Asked {
  readonly Acks: readonly string[];
  readonly Responses: Readonly<Record<string, string>>;
}
