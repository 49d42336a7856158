import { newCoordinate } from '@fed/fsm';
import { Float } from '@fed/msgpack';
import { expect, test } from 'vitest';
import { byDistance, nearestFirst } from './nearest.ts';

const at = (Node: string, x: number) =>
  newCoordinate({
    Node,
    Segment: '',
    Coord: {
      Adjustment: new Float(0),
      Error: new Float(1),
      Height: new Float(0.001),
      Vec: [x, 0, 0, 0, 0, 0, 0, 0].map((n) => new Float(n)),
    },
  });
const places = [at('a', 0), at('b', 0.01), at('c', 0.002)];

test('near: the closest node comes first, unmeasured ones last and in their order', () => {
  const rows = ['x', 'b', 'y', 'c', 'a'];
  expect(byDistance(rows, places, 'A', (row) => row)).toEqual(['a', 'c', 'b', 'x', 'y']);
});

test('near: without a place for the one who asks nothing is reordered', () => {
  expect(byDistance(['b', 'a'], places, 'nobody', (row) => row)).toEqual(['b', 'a']);
});

test('near: a question from another datacenter is answered as it comes', async () => {
  const endpoints = nearestFirst(
    {
      'Catalog.ListNodes': {
        belongs: 'datacenter',
        answer: () => ({ Nodes: [{ Node: 'b' }, { Node: 'a' }], Index: 3 }),
      },
    },
    { datacenter: 'dc1', store: () => ({ coordinates: () => ({ index: 1, rows: places }) }) },
  );
  const ask = (Datacenter: string) =>
    endpoints['Catalog.ListNodes']?.answer(
      { Source: { Datacenter, Node: 'a' } },
      { signal: new AbortController().signal },
    );
  expect(await ask('dc1')).toEqual({ Nodes: [{ Node: 'a' }, { Node: 'b' }], Index: 3 });
  expect(await ask('dc2')).toEqual({ Nodes: [{ Node: 'b' }, { Node: 'a' }], Index: 3 });
});
