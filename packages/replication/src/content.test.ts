import { describe, expect, test } from 'vitest';
import { copy, gateway, original } from '../test/rows.ts';
import { inOrder, routableText, sameRecord } from './content.ts';

describe('content: the same record, to the letter', () => {
  test('content: where it is stored does not matter', () => {
    expect(sameRecord(copy('dc2', 5, 'g'), original('dc2', 9, 'g'))).toBe(true);
  });

  const base = original('dc2', 5, 'g');
  const differences: readonly (readonly [string, object])[] = [
    ['spelling of the datacenter', { Datacenter: 'DC2' }],
    ['UpdatedAt', { UpdatedAt: Uint8Array.of(1, 0, 0, 0, 14, 1, 2, 3, 4, 0, 0, 0, 0, 255, 255) }],
    ['a gateway', { MeshGateways: [gateway('h')] }],
    ['one more gateway', { MeshGateways: [gateway('g'), gateway('h')] }],
    ['nil instead of empty', { MeshGateways: null }],
    ['the text of a check', { MeshGateways: [gateway('g', { output: 'x' })] }],
    ['an index within a gateway', { MeshGateways: [gateway('g', { index: 9 })] }],
    ['a key we do not know', { Later: 'x' }],
  ];
  for (const [what, change] of differences) {
    test(`content: ${what} is a difference`, () => {
      expect(sameRecord(base, { ...base, ...change })).toBe(false);
      expect(sameRecord({ ...base, ...change }, base)).toBe(false);
    });
  }

  test('content: nil and empty are different when both say so', () => {
    const none = { ...base, MeshGateways: null };
    expect(sameRecord(none, { ...base, MeshGateways: [] })).toBe(false);
  });

  test('content: a key that one side lacks counts as its zero value', () => {
    expect(sameRecord(base, { ...base, Later: '' } as typeof base)).toBe(true);
    expect(sameRecord({ ...base, Later: null } as typeof base, base)).toBe(true);
    expect(sameRecord(base, { ...base, Later: { On: false, Names: [] } } as typeof base)).toBe(true);
  });
});

describe('content: nothing routable changed', () => {
  const a = gateway('10.0.0.1', { node: 'a' });
  const b = gateway('10.0.0.2', { node: 'b' });
  const text = routableText([a, b]);

  const irrelevant: readonly (readonly [string, ReturnType<typeof gateway>[]])[] = [
    ['order of gateways', [b, a]],
    ['order of checks', [{ ...a, Checks: [...a.Checks!].reverse() }, b]],
    ['what a check printed', [gateway('10.0.0.1', { node: 'a', output: '3 ms' }), b]],
    ['notes of a check', [{ ...a, Checks: a.Checks!.map((check) => ({ ...check, Notes: 'n' })) }, b]],
    ['indexes', [gateway('10.0.0.1', { node: 'a', index: 99 }), b]],
    ['nil or empty tags', [gateway('10.0.0.1', { node: 'a', tags: [] }), b]],
  ];
  for (const [what, gateways] of irrelevant) {
    test(`content: ${what} is no change`, () => expect(routableText(gateways)).toBe(text));
  }

  const relevant: readonly (readonly [string, ReturnType<typeof gateway>[]])[] = [
    ['a status', [gateway('10.0.0.1', { node: 'a', status: 'critical' }), b]],
    ['an address', [gateway('10.0.0.9', { node: 'a' }), b]],
    ['a port', [gateway('10.0.0.1', { node: 'a', port: 443 }), b]],
    ['a tag', [gateway('10.0.0.1', { node: 'a', tags: ['x'] }), b]],
    ['the wanfed meta', [{ ...a, Service: { ...a.Service, Meta: { 'consul-wan-federation': '1' } } }, b]],
    ['one gateway fewer', [a]],
    ['a key we do not know', [{ ...a, Later: 1 } as typeof a, b]],
  ];
  for (const [what, gateways] of relevant) {
    test(`content: ${what} is a change`, () => expect(routableText(gateways)).not.toBe(text));
  }

  test('content: nil is an empty list', () => {
    expect(routableText(null)).toBe(routableText([]));
    expect(routableText([])).not.toBe(text);
  });

  test('content: gateways are ordered by node, then service id, and passed on as they are', () => {
    const c = gateway('10.0.0.3', { node: 'a', id: 'second' });
    expect(inOrder([b, c, a])).toEqual([a, c, b]);
    expect(inOrder([b, c, a])[2]).toBe(b);
  });
});
