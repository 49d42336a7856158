import { describe, expect, test } from 'vitest';
import { datacenterSupports, type GateServer } from './gate.ts';

describe('gate', () => {
  // servers: +dc understands, -dc does not; a letter behind: f failed, l left, v leaving
  const table: readonly (readonly [string, string, boolean])[] = [
    ['dc1', '', false],
    ['dc1', '-dc1', false],
    ['dc1', '+dc1', true],
    ['dc1', '+dc1 -dc1', false],
    ['dc1', '+dc1 +dc1', true],
    ['dc1', '+dc1 -dc2', true],
    ['dc2', '+dc1 +dc2', true],
    ['dc2', '+dc1 -dc2', false],
    ['dc2', '-dc1 +dc2', false],
    ['dc2', '+dc2', false], // the primary is not known yet
    ['dc2', '+dc1', true],
    ['dc2', '+dc1 -dc3 +dc2', true],
    ['dc1', '+dc1f', true],
    ['dc1', '+dc1 -dc1f', false],
    ['dc1', '+dc1 -dc1l', true],
    ['dc1', '+dc1 -dc1v', true],
    ['dc1', '+dc1l', false],
    ['dc1', '+DC1', true],
  ];
  for (const [datacenter, sketch, open] of table) {
    test(`gate: in ${datacenter}, with servers ${sketch || 'none'}: ${open ? 'open' : 'closed'}`, () => {
      expect(gate(datacenter, sketch)).toBe(open);
    });
  }

  test('gate: once open it stays open, though tags regress', () => {
    expect(gate('dc2', '-dc1', { sticky: true })).toBe(true);
  });
  test('gate: records in our store prove support, even while the primary is dark', () => {
    expect(gate('dc2', '', { hasRecords: true })).toBe(true);
  });
  test('gate: only the value 1 means yes', () => {
    const server = { datacenter: 'dc1', status: 'alive', tags: { ft_fs: '0' } } as const;
    const o = { datacenter: 'dc1', primary: 'dc1', servers: [server], sticky: false, hasRecords: false };
    expect(datacenterSupports(o)).toBe(false);
  });
});

// ---- fixtures ----

const statuses = { '': 'alive', f: 'failed', l: 'left', v: 'leaving' } as const;

function gate(
  datacenter: string,
  sketch: string,
  o: { sticky?: boolean; hasRecords?: boolean } = {},
): boolean {
  const servers = sketch
    .split(' ')
    .filter(Boolean)
    .map((text): GateServer => {
      const [, sign, dc, letter] = /^([+-])(dc\d)([flv]?)$/i.exec(text)!;
      const tags: Record<string, string> = sign === '+' ? { ft_fs: '1' } : {};
      return { datacenter: dc!, status: statuses[letter as keyof typeof statuses], tags };
    });
  return datacenterSupports({ datacenter, primary: 'dc1', servers, sticky: false, hasRecords: false, ...o });
}
