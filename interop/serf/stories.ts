/**
 * stories.ts: what our serfs and real agents must get along in, with keys and without.
 */
import { randomBytes } from 'node:crypto';
import { lan } from '@fed/memberlist';
import { distanceNs } from '@fed/serf';
import { describe, expect, test } from 'vitest';
import { detectionMs } from '../lib/bounds.ts';
import { until } from '../lib/until.ts';
import { newsMs, Pool } from './pool.ts';

/** An agent holds such user events back as allow it until none has come for a second, three seconds at most. */
const coalesceMs = 3_000;

export const newKey = (): string => randomBytes(32).toString('base64');

export function stories(kind: string, keys?: readonly string[]): void {
  describe(`serf agents and ours, ${kind}`, () => {
    test('join both ways, and see each other’s addresses and tags, also when they change', async () => {
      await using pool = await Pool.open(keys);
      const { ours1, theirs1, theirs2 } = pool;
      for (const agent of [theirs1, theirs2]) {
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
      for (const agent of [theirs1, theirs2])
        await until(`${agent.name} sees the new tags of ours-1`, newsMs, async () => {
          const tags = (await agent.member('ours-1'))?.tags;
          return tags?.['color'] === 'blue' && tags['empty'] === undefined;
        });
    });

    test('hear each other’s user events, payloads unchanged', async () => {
      await using pool = await Pool.open(keys);
      const { ours1, theirs1, theirs2 } = pool;
      for (const coalesce of [false, true]) {
        const text = `of ours-1, ö, coalesce ${coalesce}`;
        ours1.serf.userEvent('deploy', Buffer.from(text), { coalesce });
        for (const agent of [theirs1, theirs2])
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
      const { ours1, theirs1 } = pool;
      const ask = ours1.serf.query('uptime', Buffer.from('ours-1?'), {
        ack: true,
        relayFactor: 1,
        timeoutMs: 2_000,
      });
      const { acks, responses } = await ask.done;
      expect([...acks].sort()).toEqual(['ours-1', 'ours-2', 'theirs-1', 'theirs-2']);
      expect(responses.map(({ payload }) => Buffer.from(payload).toString().trim()).sort()).toEqual([
        'ours-1 answers ours-1?',
        'theirs-1 answers ours-1?',
        'theirs-2 answers ours-1?',
      ]);

      const some = ours1.serf.query('uptime', Buffer.from('who is red'), {
        filterTags: { role: '^their' },
        filterNodes: ['ours-1', 'theirs-2'],
        timeoutMs: 2_000,
      });
      expect((await some.done).responses.map(({ from }) => from)).toEqual(['theirs-2']);

      const args = ['-format=json', '-timeout=2s', '-relay-factor=1', 'uptime', 'theirs-1?'];
      const all = JSON.parse(await theirs1.serf('query', ...args)) as Asked;
      expect([...all.Acks].sort()).toEqual(['ours-1', 'ours-2', 'theirs-1', 'theirs-2']);
      expect(all.Responses['ours-1']).toBe('ours-1 answers theirs-1?');
      expect(Object.keys(all.Responses).sort()).toEqual(['ours-1', 'theirs-1', 'theirs-2']);

      const filters = ['-node=ours-1', '-node=theirs-2', '-tag', 'role=^ours$'];
      const meant = JSON.parse(await theirs1.serf('query', ...filters, ...args)) as Asked;
      expect(Object.keys(meant.Responses)).toEqual(['ours-1']);
      expect(await theirs1.serf('reachability')).toContain('Successfully contacted all live nodes');
    });

    test('know how far each other are: coordinates travel on acks', async () => {
      await using pool = await Pool.open(keys);
      const { ours1, theirs1 } = pool;
      await until('theirs-1 has a coordinate of ours-1', newsMs, async () =>
        /Estimated .* rtt: [0-9.]+ ms/.test(await theirs1.serf('rtt', 'ours-1')),
      );
      await until('ours-1 has a coordinate of theirs-1', newsMs, () => {
        const [here, there] = [ours1.serf.coordinate(), ours1.serf.coordinate('theirs-1')];
        return here !== undefined && there !== undefined && Number.isFinite(Number(distanceNs(here, there)));
      });
    });

    test('leave, and have left for the other kind', async () => {
      await using pool = await Pool.open(keys);
      const { ours1, theirs1, theirs2 } = pool;
      await theirs2.serf('leave');
      await pool.agree(
        { 'ours-1': 'alive', 'ours-2': 'alive', 'theirs-1': 'alive', 'theirs-2': 'left' },
        { agents: [theirs1] },
      );
      expect(ours1.journal.lines.map((line) => (line['event'] as { kind: string }).kind)).not.toContain(
        'member-failed',
      );
      await ours1.serf.leave();
      await until('theirs-1 sees that ours-1 has left', newsMs, async () => {
        const seen = await theirs1.member('ours-1');
        return seen?.status === 'left';
      });
      expect(theirs1.child.log.join('\n')).not.toMatch(/EventMemberFailed|Marking ours-1 as failed/);
    });

    test('are killed, and have failed for the other kind within the bound of the profile; forced out, they have left', async () => {
      await using pool = await Pool.open(keys);
      const { ours1, ours2, theirs1, theirs2 } = pool;
      const alive = { 'ours-1': 'alive', 'theirs-1': 'alive' };
      const one = { agents: [theirs1], timeoutMs: detectionMs(lan, 4) };
      await Promise.all([ours2.child.kill(), theirs2.child.kill()]);
      await pool.agree({ ...alive, 'ours-2': 'failed', 'theirs-2': 'failed' }, one);
      await theirs1.serf('force-leave', 'ours-2');
      await pool.agree({ ...alive, 'ours-2': 'left', 'theirs-2': 'failed' }, one);
      await ours1.serf.forceLeave('theirs-2');
      await pool.agree({ ...alive, 'ours-2': 'left', 'theirs-2': 'left' }, one);
      await theirs1.serf('force-leave', '-prune', 'ours-2');
      await ours1.serf.forceLeave('theirs-2', { prune: true });
      await pool.agree(alive, one);
    });
  });
}

/** What `serf query -format=json` prints. */
interface Asked {
  readonly Acks: readonly string[];
  readonly Responses: Readonly<Record<string, string>>;
}
