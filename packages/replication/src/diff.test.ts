import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { copy, original } from '../test/rows.ts';
import { diff } from './diff.ts';
import type { FederationState } from './ports.ts';

describe('diff', () => {
  test('diff: only here is deleted, only there is written, in order of their names', () => {
    const local = [copy('gone2', 3), copy('dc1', 1), copy('gone1', 3)];
    const remote = [original('new2', 6), original('new1', 5), original('dc1', 1)];
    const { deletions, updates, unchanged } = diff(local, remote);
    expect(deletions).toEqual(['gone1', 'gone2']);
    expect(updates.map((state) => state.Datacenter)).toEqual(['new1', 'new2']);
    expect(unchanged).toBe(1);
  });

  test('diff: a copy carries the primary’s ModifyIndex (I2)', () => {
    expect(diff([], [original('dc1', 42)]).updates[0]?.PrimaryModifyIndex).toBe(42);
  });

  test('diff: what is already a copy is not written again, whatever our own log’s indexes', () => {
    expect(diff([copy('dc1', 5, 'g')], [original('dc1', 5, 'g')])).toEqual({
      deletions: [],
      updates: [],
      unchanged: 1,
    });
  });

  const written: readonly (readonly [string, FederationState, FederationState])[] = [
    ['a newer version of the same content', copy('dc1', 5, 'g'), original('dc1', 6, 'g')],
    ['another content under the same index', copy('dc1', 5, 'g'), original('dc1', 5, 'h')],
    ['an older index', copy('dc1', 5, 'g'), original('dc1', 4, 'g')],
    ['another spelling', copy('DC1', 5, 'g'), original('dc1', 5, 'g')],
  ];
  for (const [what, mine, wanted] of written) {
    test(`diff: ${what} is written`, () => {
      const { deletions, updates } = diff([mine], [wanted]);
      expect(deletions).toEqual([]);
      expect(updates).toHaveLength(1);
    });
  }

  test('diff: I5, applied to any local list it yields the remote one', () => {
    const names = fc.uniqueArray(fc.stringMatching(/^[a-d]{1,2}$/), { maxLength: 12 });
    const index = fc.integer({ min: 1, max: 4 });
    const host = fc.constantFrom('g', 'h');
    const states = names.chain((keys) =>
      fc.tuple(...keys.map((key) => fc.record({ key: fc.constant(key), index, host }))),
    );
    fc.assert(
      fc.property(states, states, (ours, theirs) => {
        const local = ours.map((s) => copy(s.key, s.index, s.host));
        const remote = theirs.map((s) => original(s.key, s.index, s.host));
        const { deletions, updates, unchanged } = diff(local, remote);
        const result = new Map(local.map((state) => [state.Datacenter, state]));
        for (const datacenter of deletions) expect(result.delete(datacenter)).toBe(true);
        for (const state of updates) result.set(state.Datacenter, state);
        expect(new Set(result.keys())).toEqual(new Set(remote.map((state) => state.Datacenter)));
        for (const state of remote) {
          expect(result.get(state.Datacenter)).toMatchObject({
            MeshGateways: state.MeshGateways,
            PrimaryModifyIndex: state.ModifyIndex,
          });
        }
        expect(updates.length + unchanged).toBe(remote.length);
        expect(diff([...result.values()], remote).updates).toEqual([]); // and once is enough
      }),
    );
  });

  test('diff: fifty created, fifty changed, fifty deleted', () => {
    const many = (index: number, host: string) =>
      Array.from({ length: 50 }, (_, n) => original(`dc${n}`, index + n, host));
    const created = diff([], many(10, 'g')).updates;
    expect(created).toHaveLength(50);
    expect(diff(created, many(100, 'h')).updates).toHaveLength(50);
    expect(diff(created, []).deletions).toHaveLength(50);
  });
});
