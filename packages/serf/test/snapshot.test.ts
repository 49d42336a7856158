import { describe, expect, test } from 'vitest';
import type { SerfMember } from '../src/core/members.ts';
import { readSnapshot, SnapshotRecorder } from '../src/core/snapshot.ts';
import { comparable, vectorFile } from './go-json.ts';

describe('snapshot files as serf reads them', () => {
  for (const v of vectorFile('snapshot').vectors)
    test(`${v.name}: ${v.description}`, () => {
      const state = readSnapshot(v.content, { rejoinAfterLeave: v.rejoin });
      const alive = Array.from(state.alive, ([name, addr]) => ({ addr, name }));
      const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : 1);
      expect(alive.sort(byName)).toEqual(v.decoded.alive.sort(byName));
      expect([state.clock, state.eventClock, state.queryClock]).toEqual(
        [v.decoded.clock, v.decoded.eventClock, v.decoded.queryClock].map((t) => comparable(t)),
      );
    });
});

const vsn = { pMin: 1, pMax: 5, pCur: 2, dMin: 2, dMax: 5, dCur: 4 };
const member = (name: string, host: string): SerfMember => ({
  name,
  host,
  port: 7946,
  addr: new Uint8Array(4),
  tags: {},
  status: 'alive',
  vsn,
});

describe('recording', () => {
  test('what is recorded reads back as it was, and so does its compacted form', () => {
    const recorder = new SnapshotRecorder({ rejoinAfterLeave: false });
    const log = [
      recorder.record(
        { kind: 'member-join', members: [member('a', '10.0.0.1'), member('b six', '2001:db8::1')] },
        5n,
      ),
      recorder.record({ kind: 'member-failed', members: [member('a', '10.0.0.1')] }, 6n),
      recorder.record({ kind: 'user', ltime: 9n, name: 'x', payload: new Uint8Array(), coalesce: false }, 6n),
      recorder.queryAt(12n),
    ].join('');
    expect(log).toBe(
      'alive: a 10.0.0.1:7946\nalive: b six [2001:db8::1]:7946\nclock: 4\nnot-alive: a\nclock: 5\nevent-clock: 9\nquery-clock: 12\n',
    );
    const state = readSnapshot(log, { rejoinAfterLeave: false });
    expect(state).toEqual(recorder.state());
    expect(readSnapshot(recorder.compacted(), { rejoinAfterLeave: false })).toEqual(state);
  });

  test('nothing is recorded after leaving, and everything before is forgotten', () => {
    const recorder = new SnapshotRecorder({ rejoinAfterLeave: false });
    recorder.record({ kind: 'member-join', members: [member('a', '10.0.0.1')] }, 5n);
    expect(recorder.leave()).toBe('leave\n');
    expect(recorder.record({ kind: 'member-join', members: [member('b', '10.0.0.2')] }, 9n)).toBe('');
    expect(recorder.state().alive.size).toBe(0);
  });

  test('one who means to come back keeps what it knew', () => {
    const recorder = new SnapshotRecorder({ rejoinAfterLeave: true });
    recorder.record({ kind: 'member-join', members: [member('a', '10.0.0.1')] }, 5n);
    recorder.leave();
    expect(readSnapshot(recorder.compacted(), { rejoinAfterLeave: true }).alive.get('a')).toBe(
      '10.0.0.1:7946',
    );
  });

  test('a name cannot forge lines', () => {
    const recorder = new SnapshotRecorder({ rejoinAfterLeave: false });
    expect(recorder.record({ kind: 'member-join', members: [member('a\nleave', '10.0.0.1')] }, 1n)).toBe('');
  });

  test('the log is rewritten above 128 KiB, or above 256 bytes for each member alive', () => {
    const recorder = new SnapshotRecorder({ rejoinAfterLeave: false });
    expect([recorder.tooLong(131_072), recorder.tooLong(131_073)]).toEqual([false, true]);
    for (let i = 0; i < 1_000; i++)
      recorder.record({ kind: 'member-join', members: [member(`n${i}`, '10.0.0.1')] }, 1n);
    expect([recorder.tooLong(256_000), recorder.tooLong(256_001)]).toEqual([false, true]);
  });
});
