/**
 * stories.ts: what members of both kinds must get along in, told once for every release of hashicorp/memberlist.
 */
import { describe, expect, test } from 'vitest';
import { detectionMs, suspicionMinMs } from '../lib/bounds.ts';
import { Refusal } from '../lib/driven.ts';
import type { Line } from '../lib/journal.ts';
import { until } from '../lib/until.ts';
import { Cluster, joined, knowsAll, newKey, newsMs, profile, type Secrets } from './cluster.ts';

export interface Release {
  readonly version: string;
  /** Environment variable with the path of its program. */
  readonly variable: string;
  /** Since 0.3.0. */
  readonly labels: boolean;
  /** Since 0.1.6: leaving is not dying, and the name of one who left is free at once. */
  readonly saysLeft: boolean;
}

export function stories(release: Release): void {
  const { version, variable } = release;
  const kinds: readonly (readonly [string, Secrets])[] = [
    ['plain', {}],
    ['encrypted', { key: newKey(32) }],
    ...(release.labels
      ? ([
          ['labelled', { label: 'blue' }],
          ['labelled and encrypted', { label: 'blue', key: newKey(16) }],
        ] as const)
      : []),
  ];

  describe.each(kinds)(`memberlist ${version}, %s`, (_kind, secrets) => {
    test('two of ours and two of theirs join both ways; all are alive with their metas everywhere', async () => {
      await using c = await joined(variable, secrets);
      for (const member of c.cluster.members) {
        const metas = (await member.members()).map(({ name, meta }) => `${name}: ${meta}`).sort();
        expect(metas, member.name).toEqual([
          'ours-1: meta of ours-1',
          'ours-2: meta of ours-2',
          'theirs-1: meta of theirs-1',
          'theirs-2: meta of theirs-2',
        ]);
      }
    });

    test('a new meta reaches everybody, in both directions', async () => {
      await using c = await joined(variable, secrets);
      await Promise.all([
        c.ours1.driven.ask('updateMeta', { meta: 'ours, new' }),
        c.theirs1.driven.ask('updateMeta', { meta: 'theirs, new' }),
      ]);
      for (const member of c.cluster.members) {
        if (member !== c.ours1) expect((await member.hears('update', 'ours-1'))['meta']).toBe('ours, new');
        if (member !== c.theirs1)
          expect((await member.hears('update', 'theirs-1'))['meta']).toBe('theirs, new');
      }
    });

    test('messages arrive as they were sent, as packets and over streams, in both directions', async () => {
      await using c = await joined(variable, secrets);
      for (const reliable of [false, true])
        for (const [from, to] of [
          [c.ours1, c.theirs1],
          [c.theirs1, c.ours1],
        ] as const)
          for (const text of texts(from.name, reliable)) {
            await from.driven.ask('send', { to: to.name, text, reliable });
            const isIt = (line: Line): boolean => line['event'] === 'message' && line['text'] === text;
            await to.driven.event(`${text.length} characters of ${from.name}`, newsMs, isIt);
          }
    });

    test('who leaves has left, and is not taken for dead', async () => {
      await using c = await joined(variable, secrets);
      for (const [leaver, others] of [
        [c.ours2, [c.ours1, c.theirs1, c.theirs2]],
        [c.theirs2, [c.ours1, c.theirs1]],
      ] as const) {
        const started = performance.now();
        await leaver.driven.ask('leave');
        for (const other of others) {
          const { state } = await other.hears('leave', leaver.name, suspicionMinMs(profile, 4));
          if (other === c.ours1) expect(state).toBe(leaver === c.ours2 || release.saysLeft ? 'left' : 'dead');
          expect(other.driven.child.log.join('\n')).not.toMatch(
            /[Ss]uspect (ours|theirs)-2 has failed|Marking/,
          );
        }
        expect(performance.now() - started).toBeLessThan(suspicionMinMs(profile, 4) * 2);
        await leaver.driven.ask('shutdown');
      }
    });

    test('who is killed is found dead by the other kind within the bound of the profile', async () => {
      await using c = await joined(variable, secrets);
      const boundMs = detectionMs(profile, 4);
      await Promise.all([c.ours2.driven.child.kill(), c.theirs2.driven.child.kill()]);
      await Promise.all([
        c.theirs1.hears('leave', 'ours-2', boundMs),
        c.ours1.hears('leave', 'ours-2', boundMs),
        c.theirs1.hears('leave', 'theirs-2', boundMs),
        c.ours1.hears('leave', 'theirs-2', boundMs).then(({ state }) => expect(state).toBe('dead')),
      ]);
      expect((await c.ours1.members()).map(({ name }) => name).sort()).toEqual(['ours-1', 'theirs-1']);
      expect((await c.theirs1.members()).map(({ name }) => name).sort()).toEqual(['ours-1', 'theirs-1']);
    });
  });

  if (release.saysLeft)
    test(`memberlist ${version}: the name of one who left is free at once, for either kind`, async () => {
      await using c = await joined(variable, {});
      for (const [leaver, reopen] of [
        [c.ours2, () => c.cluster.theirs('ours-2')],
        [c.theirs2, () => c.cluster.ours('theirs-2')],
      ] as const) {
        const others = [c.ours1, c.theirs1];
        await leaver.driven.ask('leave');
        for (const other of others) await other.hears('leave', leaver.name);
        const since = new Map(others.map((other) => [other, other.driven.journal.lines.length]));
        await leaver.driven.ask('shutdown');
        const next = await reopen();
        await next.join(c.ours1);
        for (const other of others)
          expect((await other.hears('join', leaver.name, newsMs, since.get(other)))['port']).toBe(next.port);
      }
    });

  describe(`memberlist ${version}: strangers stay outside, and our side tells why`, () => {
    test.each<Stranger>([
      {
        what: 'another key',
        ours: { key: newKey(32) },
        theirs: { key: newKey(32) },
        said: /undecryptable.*no installed keys/,
        logged: 'undecryptable',
      },
      {
        what: 'a key where there is none',
        ours: { key: newKey(32) },
        theirs: {},
        said: /encryption_missing.*not encrypted/,
        logged: 'encryption_missing',
      },
      {
        what: 'no key where there is one',
        ours: {},
        theirs: { key: newKey(32) },
        said: /encryption_not_configured.*not configured/,
        logged: 'encryption_not_configured',
      },
      ...(release.labels
        ? [
            {
              what: 'another label',
              ours: { label: 'blue' },
              theirs: { label: 'green' },
              said: /the stream ended/, // they hang up without a word
              logged: 'label_mismatch',
            },
          ]
        : []),
    ])('$what', async ({ ours, theirs, said, logged }) => {
      await using cluster = new Cluster(variable);
      const [us, them] = await Promise.all([cluster.ours('ours', ours), cluster.theirs('theirs', theirs)]);

      const refused = await refusal(us.join(them));
      expect(refused['code']).toBe('join_failed');
      expect(refused['causes']).toEqual([
        { address: them.address, code: 'malformed', text: expect.stringMatching(said) },
      ]);
      await refusal(them.join(us));
      await until('our side logs why', 2_000, () =>
        us.driven.child.log.some((line) => line.includes(logged) && line.includes('127.0.0.1:')),
      );
      await knowsAll(us, [us]);
      await knowsAll(them, [them]);
    });
  });
}

interface Stranger {
  readonly what: string;
  readonly ours: Secrets;
  readonly theirs: Secrets;
  /** How our join explains itself. */
  readonly said: RegExp;
  /** The code under which we log the other's attempt. */
  readonly logged: string;
}

/** Packets that fit one datagram, and what only a stream carries. */
function texts(from: string, reliable: boolean): readonly string[] {
  const small = [`${from}, reliable ${reliable}`, `${from} ${reliable} `.repeat(50)];
  return reliable ? [...small, `${from} at length `.repeat(50_000)] : small;
}

/** What the program answered when it refused. */
async function refusal(asked: Promise<unknown>): Promise<Line> {
  try {
    await asked;
  } catch (cause) {
    if (cause instanceof Refusal) return cause.answer;
    throw cause;
  }
  throw new Error('it was not refused');
}
