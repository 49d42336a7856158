import { describe, expect, test } from 'vitest';
import { copy, original } from '../test/rows.ts';
import { PeerAnswerError } from './errors.ts';
import type { FederationState } from './ports.ts';
import {
  type Answer,
  afterFailure,
  checkAnswer,
  freshMemory,
  judge,
  type Plan,
  type ReplicaMemory,
} from './round.ts';

const here = { datacenter: 'dc2', primary: 'dc1' };

describe('round: an ordinary answer', () => {
  test('round: is applied, and the next question waits for something newer', () => {
    const local = [copy('dc1', 3, 'old'), copy('dc9', 4)];
    const plan = judge(freshMemory, answer(10, original('dc1', 10, 'new'), original('dc2', 8)), local, here);
    expect(show(plan)).toBe('delete dc9, write dc1 dc2');
    expect(plan.next).toEqual({ minIndex: 10, seenIndex: 10, doubted: undefined, doubts: 0 });
  });

  test('round: that lists only our own record may delete too', () => {
    expect(show(ask(at(9), answer(10, original('dc2', 8)), [copy('dc9', 4)]))).toBe('delete dc9, write dc2');
  });

  test('round: after a failure the next question is answered at once, and doubts start over', () => {
    expect(afterFailure({ minIndex: 9, seenIndex: 9, doubted: 'x', doubts: 2 })).toMatchObject({
      minIndex: 0,
      seenIndex: 9,
      doubted: undefined,
    });
  });
});

describe('round: an empty answer never wipes what we know', () => {
  const local = [copy('dc1', 5, 'g'), copy('dc2', 6, 'h')];

  test('round: not on the first question of this process, however often', () => {
    let memory: ReplicaMemory = freshMemory;
    for (let n = 1; n < 5; n++) {
      const plan = ask(memory, answer(20), local);
      expect(show(plan)).toBe('unproven_deletions: withheld dc1 dc2');
      expect(plan.next.minIndex).toBe(0);
      expect(plan.next.doubts).toBe(n);
      memory = plan.next;
    }
  });

  test('round: not from a server that knows less, until it said so twice, and not even then without the primary', () => {
    const first = ask(at(20), answer(1), local);
    expect(show(first)).toBe('index_went_back: withheld dc1 dc2');
    expect(show(ask(first.next, answer(1), local))).toBe('unproven_deletions: withheld dc1 dc2');
  });

  test('round: but when the index moved forward and two answers agree, everything is gone', () => {
    const first = ask(at(20), answer(21), local);
    expect(show(first)).toBe('unproven_deletions: withheld dc1 dc2');
    expect(show(ask(first.next, answer(22), local))).toBe('unproven_deletions: withheld dc1 dc2');
    const second = ask(first.next, answer(21), local);
    expect(show(second)).toBe('delete dc1 dc2');
    expect(second.next).toMatchObject({ minIndex: 21, seenIndex: 21 });
  });

  test('round: two answers with a failure between them do not agree', () => {
    const first = ask(at(20), answer(21), local);
    expect(show(ask(afterFailure(first.next), answer(21), local))).toBe(
      'unproven_deletions: withheld dc1 dc2',
    );
  });

  test('round: what an unproven answer does list is believed at once', () => {
    const plan = ask(at(20), answer(21, original('dc3', 21, 'new')), local);
    expect(show(plan)).toBe('unproven_deletions: write dc3, withheld dc1 dc2');
  });

  test('round: with nothing to delete there is nothing to prove', () => {
    expect(show(ask(freshMemory, answer(1), []))).toBe('nothing');
    expect(show(ask(freshMemory, answer(5, original('dc3', 5)), []))).toBe('write dc3');
  });
});

describe('round: an index that goes back', () => {
  const local = [copy('dc1', 50, 'new'), copy('dc2', 40)];
  const stale = answer(45, original('dc1', 30, 'old'), original('dc2', 40));

  test('round: a server that lags behind overwrites nothing', () => {
    const plan = ask(at(50), stale, local);
    expect(show(plan)).toBe('index_went_back: ');
    const caughtUp = ask(plan.next, answer(50, original('dc1', 50, 'new'), original('dc2', 40)), local);
    expect(show(caughtUp)).toBe('nothing');
  });

  test('round: our copies remember the index over a restart', () => {
    expect(show(ask(freshMemory, stale, local))).toBe('index_went_back: ');
  });

  test('round: said twice alike, the primary was rebuilt, and all it says counts', () => {
    const rebuilt = answer(12, original('dc1', 12, 'g'));
    const first = ask(at(50), rebuilt, local);
    const second = ask(first.next, rebuilt, local);
    expect(show(second)).toBe('delete dc2, write dc1');
    expect(second.next).toMatchObject({ minIndex: 12, seenIndex: 12, doubts: 0 });
  });

  test('round: said twice differently, it is still doubted', () => {
    const first = ask(at(50), answer(12, original('dc1', 12)), local);
    expect(show(ask(first.next, answer(13, original('dc1', 13)), local))).toBe(
      'index_went_back: withheld dc2',
    );
  });
});

describe('round: what is no answer', () => {
  const bad: readonly (readonly [string, Answer, PeerAnswerError['code']])[] = [
    ['no index', answer(Number.NaN), 'bad_index'],
    ['a negative index', answer(-1), 'bad_index'],
    ['half an index', answer(1.5), 'bad_index'],
    ['a record without datacenter', answer(1, original('', 1)), 'nameless_record'],
    ['a datacenter twice', answer(1, original('dc1', 1), original('DC1', 1)), 'duplicate_record'],
    [
      'too many records',
      answer(1, ...Array.from({ length: 4097 }, (_, n) => original(`dc${n}`, 1))),
      'too_many_records',
    ],
  ];
  for (const [what, given, code] of bad) {
    test(`round: ${what} is ${code}`, () => {
      expect(() => checkAnswer(given)).toThrow(PeerAnswerError);
      expect(() => checkAnswer(given)).toThrow(code);
    });
  }
});

// ---- fixtures ----

function answer(index: number, ...states: FederationState[]): Answer {
  return { index, states };
}
function at(index: number): ReplicaMemory {
  return { ...freshMemory, minIndex: index, seenIndex: index };
}
function ask(memory: ReplicaMemory, given: Answer, local: readonly FederationState[]): Plan {
  return judge(memory, given, local, here);
}
function show({ deletions, updates, doubt, withheld }: Plan): string {
  const names = updates.map((state) => state.Datacenter);
  const parts = [
    deletions.length > 0 && `delete ${deletions.join(' ')}`,
    names.length > 0 && `write ${names.join(' ')}`,
    withheld.length > 0 && `withheld ${withheld.join(' ')}`,
  ].filter((part) => part !== false);
  return `${doubt ? `${doubt}: ` : ''}${parts.join(', ') || (doubt ? '' : 'nothing')}`;
}
