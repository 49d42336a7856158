import { decode, encode, type Value } from '@fed/msgpack';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RawBody } from './raw-body.ts';
import { ReplyMemory } from './reply-memory.ts';

function memory(bytesMax = 1_000) {
  const kept = new ReplyMemory(bytesMax);
  let decoded = 0;
  const ask = (question: string, reply: Value, binaryKeys?: ReadonlySet<string>): Value => {
    const body = new RawBody([encode(reply)]);
    return kept.valueOf(question, body, binaryKeys, () => {
      decoded += 1;
      return decode(body.bytes, binaryKeys === undefined ? {} : { binaryKeys });
    });
  };
  return { kept, ask, decodings: () => decoded };
}

test('the same bytes are the same object from the second time on, and frozen', () => {
  const { ask, decodings } = memory();
  const first = ask('q', { Nodes: [{ Node: 'a' }] });
  const second = ask('q', { Nodes: [{ Node: 'a' }] }) as { readonly Nodes: readonly object[] };
  expect(second).toEqual(first);
  expect(ask('q', { Nodes: [{ Node: 'a' }] })).toBe(second);
  expect(decodings()).toBe(2);
  expect([second, second.Nodes, second.Nodes[0]].every(Object.isFrozen)).toBe(true);
});

test('other bytes are never answered with old ones, nor other questions, nor other ways to read them', () => {
  const { ask } = memory();
  for (let n = 0; n < 3; n += 1) ask('q', 'old');
  expect(ask('q', 'new')).toBe('new');
  expect(ask('r', 'old')).toBe('old');
  for (let n = 0; n < 3; n += 1) ask('b', { Value: 'x' });
  expect(ask('b', { Value: 'x' }, new Set(['Value']))).toEqual({ Value: Uint8Array.of(120) });
});

test('the longest untold goes first when there is no room, and what is too large is not kept', () => {
  const { kept, ask, decodings } = memory(40);
  ask('a', 'x'.repeat(10));
  ask('b', 'x'.repeat(10));
  ask('a', 'x'.repeat(10));
  ask('c', 'x'.repeat(10));
  ask('d', 'x'.repeat(10)); // b has to go
  const before = decodings();
  ask('a', 'x'.repeat(10));
  expect(decodings()).toBe(before);
  ask('e', 'x'.repeat(100));
  expect(kept.bytes).toBeLessThanOrEqual(40);
});

test('whatever is asked, the answer is that of the bytes, and the limit holds', () => {
  const asks = fc.array(
    fc.tuple(fc.constantFrom('p', 'q', 'r', 's'), fc.constantFrom('', 'u', 'v'.repeat(15), 'w'.repeat(40))),
  );
  fc.assert(
    fc.property(asks, (script) => {
      const { kept, ask } = memory(50);
      for (const [question, reply] of script) {
        expect(ask(question, reply)).toBe(reply);
        expect(kept.bytes).toBeLessThanOrEqual(50);
      }
    }),
  );
});
