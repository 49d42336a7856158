import { describe, expect, test } from 'vitest';
import { copy, gateway } from '../test/rows.ts';
import {
  acknowledge,
  type Decision,
  decide,
  foreignWrite,
  nothingPublished,
  recordOf,
  type Seen,
  writing,
} from './publication.ts';

describe('publication', () => {
  test('publication: without a record one is written, even an empty one', () => {
    expect(at(0, seen([]))).toEqual({ kind: 'publish', reason: 'first' });
  });

  test('publication: what came back the same needs nothing, though indexes and output differ', () => {
    expect(at(0, seen(['g'], ['g']))).toEqual({ kind: 'same' });
    const noisy = { ...seen([], ['g']), gateways: [gateway('g', { output: '3 ms', index: 77 })] };
    expect(at(0, noisy)).toEqual({ kind: 'same' });
  });

  test('publication: a change goes out at once, the next a second later', () => {
    expect(at(0, seen(['g'], ['old']))).toEqual({ kind: 'publish', reason: 'changed' });
    const memory = acknowledge(nothingPublished, seen(['g'], ['old']), { began: 5_000, now: 5_050 });
    expect(at(5_999, seen(['h'], ['old']), memory)).toEqual({ kind: 'tooSoon', until: 6_000 });
    expect(at(6_000, seen(['h'], ['old']), memory)).toEqual({ kind: 'publish', reason: 'changed' });
  });

  test('publication: what was acknowledged is not written again while it is on its way back', () => {
    const memory = acknowledge(nothingPublished, seen(['g']), { began: 0, now: 100 });
    expect(at(50_000, seen(['g']), memory)).toEqual({ kind: 'underWay', until: 60_100 });
    expect(at(60_100, seen(['g']), memory)).toEqual({ kind: 'publish', reason: 'first' });
  });

  test('publication: earlier writes may come back before the last one does', () => {
    const first = acknowledge(nothingPublished, seen(['g']), { began: 0, now: 100 });
    const second = acknowledge(first, seen(['h']), { began: 1_000, now: 1_100 });
    expect(at(2_000, seen(['h'], ['g']), second).kind).toBe('underWay');
    expect(at(2_000, seen(['h']), second).kind).toBe('underWay');
    expect(at(2_000, seen(['h'], ['h']), second).kind).toBe('same');
  });

  test('publication: a record that turns into something else is written again, acknowledged or not', () => {
    const memory = acknowledge(nothingPublished, seen(['g'], ['old']), { began: 0, now: 100 });
    expect(at(2_000, seen(['g'], ['strange']), memory).kind).toBe('publish');
    expect(at(2_000, seen(['g']), memory).kind).toBe('publish'); // the primary was rebuilt
  });

  test('publication: a record that says what we never wrote was written by somebody else', () => {
    const began = foreignWrite(nothingPublished, seen(['g'], ['old']));
    expect(began.foreign).toBe(false); // whoever led before us wrote it
    const memory = writing(began.memory, seen(['g']));
    for (const stored of [['old'], ['g'], undefined])
      expect(foreignWrite(memory, seen(['h'], stored)).foreign).toBe(false);
    expect(foreignWrite(memory, seen(['h'], ['strange'])).foreign).toBe(true);
    const harmless = foreignWrite(memory, seen(['h'], ['h']));
    expect(harmless.foreign).toBe(false);
    expect(foreignWrite(harmless.memory, seen(['i'], ['h'])).foreign).toBe(false);
  });

  test('publication: rows or a record of another datacenter are refused', () => {
    const rows = { ...seen(['g']), gateways: [gateway('g', { datacenter: 'dc3' })] };
    expect(at(0, rows)).toEqual({ kind: 'refuse', foreign: 'dc3' });
    expect(at(0, { ...seen(['g']), stored: copy('dc1', 1) })).toEqual({ kind: 'refuse', foreign: 'dc1' });
    expect(at(0, { ...seen(['g']), gateways: [gateway('g', { datacenter: 'DC2' })] }).kind).toBe('publish');
  });

  test('publication: the record leaves its indexes to the primary’s log', () => {
    const time = Uint8Array.of(1);
    const rows = [gateway('g')];
    expect(recordOf('dc2', rows, time)).toEqual({
      Datacenter: 'dc2',
      MeshGateways: rows,
      UpdatedAt: time,
      PrimaryModifyIndex: 0,
      CreateIndex: 0,
      ModifyIndex: 0,
    });
  });
});

// ---- fixtures ----

function seen(hosts: readonly string[], stored?: readonly string[]): Seen {
  return {
    index: 1,
    gateways: hosts.map((host) => gateway(host)),
    stored: stored && copy('dc2', 1, ...stored),
  };
}
function at(now: number, what: Seen, memory = nothingPublished): Decision {
  return decide(memory, what, { datacenter: 'dc2', now, spacingMs: 1_000, returnMs: 60_000 });
}
