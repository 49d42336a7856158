import { describe, expect, test } from 'vitest';
import { Coalescer, heldNamesMax, MemberHolder, UserHolder } from './coalesce.ts';
import type { MemberEvent, SerfEvent, UserEvent } from './events.ts';

const times = { periodMs: 3_000, quiescentMs: 1_000 };
const vsn = { pMin: 1, pMax: 5, pCur: 2, dMin: 2, dMax: 5, dCur: 4 };

function member(kind: MemberEvent['kind'], ...names: string[]): MemberEvent {
  const members = names.map((name) => ({
    name,
    host: '10.0.0.1',
    port: 1,
    addr: new Uint8Array(4),
    tags: {},
    status: 'alive' as const,
    vsn,
  }));
  return { kind, members };
}
const user = (name: string, ltime: bigint, coalesce = true): UserEvent => ({
  kind: 'user',
  name,
  ltime,
  payload: new Uint8Array(0),
  coalesce,
});
const shown = (events: readonly SerfEvent[]): string[] =>
  events.map((e) =>
    e.kind === 'user'
      ? `${e.name}@${e.ltime}`
      : 'members' in e
        ? `${e.kind} ${e.members.map((m) => m.name)}`
        : e.kind,
  );

describe('when', () => {
  test('quiet for the quiescent time ends the wait', () => {
    const c = new Coalescer(times, new MemberHolder());
    expect(c.take(member('member-join', 'a'), 0)).toEqual([]);
    expect(c.deadline()).toBe(1_000);
    c.take(member('member-join', 'b'), 900);
    expect(c.deadline()).toBe(1_900);
    expect(c.expire(1_899)).toEqual([]);
    expect(shown(c.expire(1_900))).toEqual(['member-join a,b']);
    expect(c.deadline()).toBe(Number.POSITIVE_INFINITY);
  });

  test('without quiet the period ends it', () => {
    const c = new Coalescer(times, new MemberHolder());
    for (let now = 0; now <= 2_900; now += 100) c.take(member('member-join', `n${now}`), now);
    expect(c.deadline()).toBe(3_000);
    expect(c.expire(3_000)).toHaveLength(1);
  });

  test('switched off, everything passes', () => {
    const c = new Coalescer({ periodMs: 0, quiescentMs: 0 }, new MemberHolder());
    expect(c.take(member('member-join', 'a'), 0)).toHaveLength(1);
  });
});

describe('members', () => {
  const flush = (c: Coalescer, ...events: MemberEvent[]): string[] => {
    for (const e of events) c.take(e, 0);
    return shown(c.expire(0, true));
  };

  test('only the last event of a member is told, and not what was told before', () => {
    const c = new Coalescer(times, new MemberHolder());
    expect(flush(c, member('member-join', 'a', 'b'), member('member-failed', 'a'))).toEqual([
      'member-failed a',
      'member-join b',
    ]);
    expect(flush(c, member('member-join', 'a'), member('member-failed', 'a'))).toEqual([]);
    expect(flush(c, member('member-join', 'a'))).toEqual(['member-join a']);
  });

  test('updates are told every time, once', () => {
    const c = new Coalescer(times, new MemberHolder());
    expect(flush(c, member('member-update', 'a'), member('member-update', 'a'))).toEqual(['member-update a']);
    expect(flush(c, member('member-update', 'a'))).toEqual(['member-update a']);
    expect(flush(c)).toEqual([]);
  });

  test('user events pass', () => {
    const c = new Coalescer(times, new MemberHolder());
    expect(shown(c.take(user('x', 1n), 0))).toEqual(['x@1']);
  });
});

describe('user events', () => {
  test('of each name all of the newest time are told, older ones not', () => {
    const c = new Coalescer(times, new UserHolder());
    for (const e of [user('a', 1n), user('b', 5n), user('a', 2n), user('a', 2n), user('a', 1n)])
      expect(c.take(e, 0)).toEqual([]);
    expect(shown(c.expire(0, true))).toEqual(['a@2', 'a@2', 'b@5']);
  });

  test('those that may not be coalesced pass, and so do member events', () => {
    const c = new Coalescer(times, new UserHolder());
    expect(shown(c.take(user('a', 1n, false), 0))).toEqual(['a@1']);
    expect(c.take(member('member-join', 'a'), 0)).toHaveLength(1);
  });

  test('names beyond what is held are told at once', () => {
    const c = new Coalescer(times, new UserHolder());
    for (let i = 0; i < heldNamesMax; i++) c.take(user(`n${i}`, 1n), 0);
    expect(c.take(user('one more', 1n), 0)).toHaveLength(1);
  });
});
