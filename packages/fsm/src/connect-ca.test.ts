/** The certificate authority's commands, and what of them a snapshot keeps. */
import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { type ApplyResult, apply } from './apply.ts';
import { encodeCommand, newCaRequest } from './command.ts';
import type { CaOp } from './connect-ca.ts';
import { FsmError } from './errors.ts';
import { newCaConfig, newCaProviderState, newCaRoot } from './new-row.ts';
import { restoreRecords, snapshotRecords } from './snapshot.ts';
import { Store } from './store.ts';

type Request = Omit<Partial<Parameters<typeof newCaRequest>[0] & object>, 'Op'>;

function machine(): { readonly store: Store; at(index: number, op: CaOp, request?: Request): ApplyResult } {
  const store = new Store();
  return {
    store,
    at: (index, op, request = {}) =>
      apply(
        store,
        index,
        encodeCommand({ type: 'connectCa', request: newCaRequest({ ...request, Op: op }) }),
      ),
  };
}

const root = (ID: string, Active: boolean) => newCaRoot({ ID, Active, Name: `root ${ID}` });

function refused(result: ApplyResult, message: RegExp): void {
  assert.ok(result instanceof FsmError);
  assert.equal(result.code, 'invalid');
  assert.match(result.message, message);
}

describe('roots', () => {
  test('are replaced as a whole; one that stays keeps the index it was created at', () => {
    const m = machine();
    assert.equal(m.at(5, 'set-roots', { Roots: [root('a', true)] }), true);
    assert.equal(m.at(7, 'set-roots', { Index: 5, Roots: [root('a', false), root('b', true)] }), true);
    const { index, rows } = m.store.caRoots();
    assert.equal(index, 7);
    assert.deepEqual(
      rows.map((row) => [row.ID, row.Active, row.CreateIndex, row.ModifyIndex]),
      [
        ['a', false, 5, 7],
        ['b', true, 7, 7],
      ],
    );
  });

  test('a writer who has not seen the present ones changes nothing', () => {
    const m = machine();
    m.at(5, 'set-roots', { Roots: [root('a', true)] });
    assert.equal(m.at(6, 'set-roots', { Index: 4, Roots: [root('b', true)] }), false);
    assert.deepEqual([m.store.caRoots().index, m.store.caRoots().rows[0]?.ID], [5, 'a']);
  });

  test('exactly one is active, and each has an ID', () => {
    const m = machine();
    refused(m.at(1, 'set-roots', { Roots: [] }), /exactly one/);
    refused(m.at(2, 'set-roots', { Roots: [root('a', true), root('b', true)] }), /exactly one/);
    refused(m.at(3, 'set-roots', { Roots: [root('', true)] }), /needs an ID/);
    assert.deepEqual(m.store.caRoots(), { index: 0, rows: [] });
  });

  test('with a configuration that is refused, they are not replaced either', () => {
    const m = machine();
    m.at(1, 'set-config', { Config: newCaConfig({ ClusterID: 'one' }) });
    const Config = newCaConfig({ ClusterID: 'two', ModifyIndex: 9 });
    refused(m.at(2, 'set-roots-config', { Config, Roots: [root('a', true)] }), /somebody else/);
    assert.deepEqual(m.store.caRoots().rows, []);
    const right = newCaConfig({ ClusterID: 'one', Provider: 'consul', ModifyIndex: 1 });
    assert.equal(m.at(3, 'set-roots-config', { Config: right, Roots: [root('a', true)] }), true);
    assert.equal(m.store.caConfig().row?.Provider, 'consul');
  });
});

test('configuration: the cluster id stays when a later one does not name it', () => {
  const m = machine();
  assert.equal(
    m.at(3, 'set-config', { Config: newCaConfig({ ClusterID: 'one', Provider: 'consul' }) }),
    null,
  );
  m.at(4, 'set-config', { Config: newCaConfig({ Provider: 'consul', Config: { LeafCertTTL: '72h' } }) });
  const { index, row } = m.store.caConfig();
  assert.deepEqual([index, row?.ClusterID, row?.CreateIndex, row?.ModifyIndex], [4, 'one', 3, 4]);
});

test('serial numbers: each is one above the last, and the first above the indexes of the signing state', () => {
  const m = machine();
  m.at(6, 'set-provider-state', { ProviderState: newCaProviderState({ ID: 'x', PrivateKey: 'k' }) });
  assert.equal(m.at(9, 'increment-provider-serial'), 7);
  assert.equal(m.at(10, 'increment-provider-serial'), 8);
});

test('signing state: found by its ID until it is deleted', () => {
  const m = machine();
  const ProviderState = newCaProviderState({ ID: 'x', PrivateKey: 'k' });
  m.at(6, 'set-provider-state', { ProviderState });
  assert.equal(m.store.caProviderState('x').row?.PrivateKey, 'k');
  m.at(7, 'delete-provider-state', { ProviderState });
  assert.deepEqual(m.store.caProviderState('x'), { index: 7, row: undefined });
});

test('an operation nobody knows, or one without its row, is refused', () => {
  const m = machine();
  refused(m.at(1, 'set-moon' as CaOp), /invalid CA operation "set-moon"/);
  refused(m.at(2, 'set-config'), /needs Config/);
  refused(m.at(3, 'set-provider-state'), /needs ProviderState/);
});

test('a snapshot brings back roots, configuration, signing state and the serial number', () => {
  const m = machine();
  m.at(1, 'set-config', { Config: newCaConfig({ ClusterID: 'one' }) });
  m.at(2, 'set-provider-state', { ProviderState: newCaProviderState({ ID: 'x', PrivateKey: 'k' }) });
  m.at(3, 'set-roots', { Roots: [root('a', true)] });
  m.at(4, 'increment-provider-serial');
  const copy = new Store();
  restoreRecords(copy, [...snapshotRecords(m.store)]);
  assert.deepEqual(copy.caRoots(), m.store.caRoots());
  assert.deepEqual(copy.caConfig(), m.store.caConfig());
  assert.deepEqual(copy.caProviderState('x'), m.store.caProviderState('x'));
  assert.equal(
    apply(
      copy,
      5,
      encodeCommand({ type: 'connectCa', request: newCaRequest({ Op: 'increment-provider-serial' }) }),
    ),
    4,
  );
});
