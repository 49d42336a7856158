/** Against a plain Map that is sorted each time. */
import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { test } from 'vitest';
import { OrderedMap } from './ordered-map.ts';

const key = fc.string({ minLength: 0, maxLength: 3, unit: fc.constantFrom('a', 'b', '\0', 'é') });

test('after any edits it reads like a sorted map', async () => {
  const edit = fc.oneof(
    fc.record({ op: fc.constant('set' as const), key, value: fc.nat() }),
    fc.record({ op: fc.constant('delete' as const), key, value: fc.constant(0) }),
  );
  await fc.assert(
    fc.property(fc.array(edit), key, (edits, prefix) => {
      const model = new Map<string, number>();
      const map = new OrderedMap<number>();
      for (const { op, key, value } of edits) {
        if (op === 'set') {
          model.set(key, value);
          map.set(key, value);
        } else assert.equal(map.delete(key), model.delete(key));
        // Reading in between must not leave a stale listing behind.
        map.values();
      }
      const sorted = [...model].sort(([a], [b]) => (a < b ? -1 : 1));
      const matching = sorted.filter(([k]) => k.startsWith(prefix));
      assert.deepEqual(map.entries(), sorted);
      assert.deepEqual(
        map.values(),
        sorted.map(([, value]) => value),
      );
      assert.deepEqual(
        map.withPrefix(prefix),
        matching.map(([, value]) => value),
      );
      assert.equal(map.hasPrefix(prefix), matching.length > 0);
      assert.equal(map.size, model.size);
    }),
  );
});

test('a listing is shared until the next change', () => {
  const map = new OrderedMap<number>();
  map.set('a', 1);
  const before = map.values();
  assert.equal(map.values(), before);
  map.set('a', 2);
  assert.deepEqual([before, map.values()], [[1], [2]]);
});
