/**
 * stories.ts: what members of both kinds must get along in, told once for every release of hashicorp/memberlist.
 */
import { describe, expect, test } from 'vitest';
import { detectionMs, partitionMs } from '../lib/bounds.ts';
import { Refusal } from '../lib/driven.ts';
import type { Line } from '../lib/journal.ts';
import { until } from '../lib/until.ts';
import {
  Cluster,
  joined,
  knowsAll,
  listsExactly,
  type Member,
  newKey,
  newsMs,
  profile,
  type Secrets,
} from './cluster.ts';

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
    test('three of ours and three of theirs join both ways; all are alive with their metas everywhere', async () => {
      await using c = await joined(variable, secrets);
      const expected = c.all.map(({ name }) => `${name}: meta of ${name}`).sort();
      for (const member of c.all) {
        const metas = (await member.members()).map(({ name, meta }) => `${name}: ${meta}`).sort();
        expect(metas, member.name).toEqual(expected);
      }
    });

    test('a new meta reaches everybody, in both directions', async () => {
      await using c = await joined(variable, secrets);
      const [ours] = c.ours;
      const [theirs] = c.theirs;
      await Promise.all([
        ours.driven.ask('updateMeta', { meta: 'ours, new' }),
        theirs.driven.ask('updateMeta', { meta: 'theirs, new' }),
      ]);
      for (const member of c.all) {
        if (member !== ours) expect((await member.hears('update', 'ours-1'))['meta']).toBe('ours, new');
        if (member !== theirs) expect((await member.hears('update', 'theirs-1'))['meta']).toBe('theirs, new');
      }
    });

    test('messages arrive as they were sent, as packets and over streams, in both directions', async () => {
      await using c = await joined(variable, secrets);
      for (const reliable of [false, true])
        for (const [from, to] of [
          [c.ours[0], c.theirs[0]],
          [c.theirs[0], c.ours[0]],
        ] as const)
          for (const text of texts(from.name, reliable)) await delivers(from, to, { text, reliable });
    });

    test('who leaves has left, and is not taken for dead', async () => {
      await using c = await joined(variable, secrets);
      let left = c.all;
      for (const leaver of [c.ours[2], c.theirs[2]]) {
        left = left.filter((member) => member !== leaver);
        await leaver.driven.ask('leave');
        for (const other of left) {
          const { state } = await other.hears('leave', leaver.name);
          // What theirs think of it shows in the next story but one: the name of one who left is free at once.
          if (c.ours.includes(other))
            expect(state).toBe(c.ours.includes(leaver) || release.saysLeft ? 'left' : 'dead');
          expect(other.driven.child.log.join('\n')).not.toMatch(
            /[Ss]uspect (ours|theirs)-3 has failed|Marking/,
          );
        }
        await leaver.driven.ask('shutdown');
      }
    });

    test('who is killed is found dead by both kinds within the bound of the profile', async () => {
      await using c = await joined(variable, secrets);
      const boundMs = detectionMs(profile, 6);
      const killed = [c.ours[2], c.theirs[2]];
      const others = c.all.filter((member) => !killed.includes(member));
      await Promise.all(killed.map((member) => member.driven.child.kill()));
      for (const other of others)
        for (const { name } of killed) {
          const { state } = await other.hears('leave', name, boundMs);
          if (c.ours.includes(other)) expect(state).toBe('dead');
        }
      await Promise.all(others.map((other) => listsExactly(other, others)));
    });

    test('a divided network is two clusters of both kinds, and one again when somebody of either joins across', async () => {
      await using c = await joined(variable, secrets);
      const sides = [
        [c.ours[0], c.theirs[0]],
        [c.ours[1], c.theirs[1], c.ours[2], c.theirs[2]],
      ] as const;
      const boundMs = partitionMs(profile, 6);
      await Promise.all(sides.flatMap((side, i) => side.map((one) => one.cut(sides[1 - i]!))));
      for (const [i, side] of sides.entries())
        for (const one of side) {
          for (const { name } of sides[1 - i]!) await one.hears('leave', name, boundMs);
          await listsExactly(one, side);
        }

      const marks = new Map(c.all.map((member) => [member, member.mark]));
      await Promise.all(c.all.map((member) => member.cut([])));
      const [from, to] = secrets.key === undefined ? [c.ours[0], c.theirs[2]] : [c.theirs[0], c.ours[2]];
      await from.join(to);
      for (const [i, side] of sides.entries())
        for (const one of side) {
          for (const { name } of sides[1 - i]!) await one.hears('join', name, newsMs, marks.get(one));
          await listsExactly(one, c.all);
        }
    });

    test('a name that is taken stays with who has it, and the conflict is told to both kinds', async () => {
      await using c = await joined(variable, secrets);
      for (const [owner, impostor, others] of [
        [c.theirs[0], await c.cluster.ours('theirs-1', secrets), [c.ours[0], c.theirs[1]]],
        [c.ours[1], await c.cluster.theirs('ours-2', secrets), [c.theirs[2], c.ours[2]]],
      ] as const) {
        // Who ignores a claim does not pass it on: it is made to each of them.
        for (const member of others) await impostor.join(member);
        for (const member of [impostor, ...others]) await member.hears('conflict', owner.name);
        for (const member of others) {
          const { port, otherPort } = await member.hears('conflict', owner.name);
          expect({ port, otherPort }).toEqual({ port: owner.port, otherPort: impostor.port });
          await listsExactly(member, c.all);
        }
        await impostor.driven.child.kill();
      }
    });

    if (secrets.key !== undefined)
      test('keys are rotated while messages flow: none is lost, nobody is taken for dead, the old key opens nothing', async () => {
        await using c = await joined(variable, secrets);
        const before = secrets.key;
        const after = newKey(24);
        const marks = new Map(c.all.map((member) => [member, member.mark]));
        let round = 0;
        for (const [op, key] of [
          ['install', after],
          ['use', after],
          ['remove', before],
        ] as const)
          for (const member of c.all) {
            round++;
            await Promise.all([
              member.driven.ask('key', { op, key }),
              ...c.all.map((from, i) =>
                delivers(from, c.all[(i + round) % c.all.length]!, {
                  text: `${from.name} in round ${round}`,
                  reliable: true,
                }),
              ),
            ]);
          }
        for (const member of c.all) {
          await listsExactly(member, c.all);
          const since = member.driven.journal.lines.slice(marks.get(member));
          expect(since.filter(({ event }) => event === 'leave')).toEqual([]);
        }
        const late = { ...secrets, key: after };
        const [stranger, newcomer] = [
          await c.cluster.ours('old key', secrets),
          await c.cluster.ours('new key', late),
        ];
        for (const member of [c.ours[0], c.theirs[0]]) await refusal(stranger.join(member));
        await newcomer.join(c.theirs[0]);
        await Promise.all([...c.all, newcomer].map((member) => listsExactly(member, [...c.all, newcomer])));
      });
  });

  if (release.saysLeft)
    test(`memberlist ${version}: the name of one who left is free at once, for either kind`, async () => {
      await using c = await joined(variable, {});
      for (const [leaver, reopen] of [
        [c.ours[2], () => c.cluster.theirs('ours-3')],
        [c.theirs[2], () => c.cluster.ours('theirs-3')],
      ] as const) {
        const others = [c.ours[0], c.theirs[0]];
        await leaver.driven.ask('leave');
        for (const other of others) await other.hears('leave', leaver.name);
        const since = new Map(others.map((other) => [other, other.mark]));
        await leaver.driven.ask('shutdown');
        const next = await reopen();
        await next.join(c.ours[0]);
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

/** Sends it and awaits its arrival, unchanged. */
async function delivers(
  from: Member,
  to: Member,
  { text, reliable }: { readonly text: string; readonly reliable: boolean },
): Promise<void> {
  await from.driven.ask('send', { to: to.name, text, reliable });
  const isIt = (line: Line): boolean => line['event'] === 'message' && line['text'] === text;
  await to.driven.event(`${text.length} characters of ${from.name}`, newsMs, isIt);
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
