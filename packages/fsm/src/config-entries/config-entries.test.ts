/** Config entries: their bytes, what their commands do, what is refused, and what a snapshot brings back. */
import assert from 'node:assert/strict';
import { decode, encode, Float, Reader, Writer } from '@fed/msgpack';
import { describe, test } from 'vitest';
import { type ApplyResult, apply } from '../apply.ts';
import { decodeCommand, encodeCommand } from '../command.ts';
import { FsmError } from '../errors.ts';
import { goJson } from '../go-json.ts';
import { restoreRecords, snapshotRecords } from '../snapshot.ts';
import { Store } from '../store.ts';
import type { ConfigEntryOp } from './apply.ts';
import { type ConfigEntryValue, newConfigEntry, sameConfigEntry } from './entry.ts';
import { configEntryJson } from './json.ts';
import { decodeConfigEntryRequest, encodeConfigEntryRequest } from './wire.ts';

/** The body of ConfigEntry.Apply as Consul 1.9.8 was recorded sending it, without its outer raw header. */
const recordedApply = Buffer.from(
  'b0736572766963652d64656661756c747384aa4461746163656e746572a3646331a5456e74727989ab437265617465496e64657800a64578706f736582a6436865636b73c2a55061746873c0ab45787465726e616c534e49a0a44b696e64b0736572766963652d64656661756c7473ab4d6573684761746577617981a44d6f6465a0a44d657461c0ab4d6f64696679496e64657800a44e616d65a3776562a850726f746f636f6ca468747470a24f70a6757073657274a5546f6b656ea0',
  'hex',
);

function machine() {
  const store = new Store();
  let index = 0;
  const write = (op: ConfigEntryOp, kind: string, value: ConfigEntryValue): ApplyResult =>
    apply(
      store,
      ++index,
      encodeCommand({
        type: 'configEntry',
        request: { op, entry: newConfigEntry(kind, { Kind: kind, ...value }) },
      }),
    );
  return {
    store,
    write,
    resolver: (Name: string, value: ConfigEntryValue = {}) =>
      write('upsert', 'service-resolver', { Name, ...value }),
    protocol: (Name: string, Protocol: string) => write('upsert', 'service-defaults', { Name, Protocol }),
  };
}

function refused(result: ApplyResult, message: RegExp): void {
  assert.ok(result instanceof FsmError, `was not refused: ${String(result)}`);
  assert.equal(result.code, 'invalid');
  assert.match(result.message, message);
}

describe('bytes', () => {
  test('a recorded request is read and written again byte for byte', () => {
    const request = decodeConfigEntryRequest(recordedApply);
    assert.equal(request.op, 'upsert');
    assert.deepEqual([request.entry.kind, request.entry.name], ['service-defaults', 'web']);
    assert.equal(
      Buffer.from(encodeConfigEntryRequest(request)).toString('hex'),
      recordedApply.toString('hex'),
    );
  });

  test('proxy-defaults is wrapped once more, and a whole float in it stays one', () => {
    const value = { Config: { limit: new Float(3) }, Kind: 'proxy-defaults', Name: 'global' };
    const bytes = encodeConfigEntryRequest({ op: 'upsert', entry: newConfigEntry('proxy-defaults', value) });
    const reader = new Reader(bytes);
    assert.equal(reader.str(), 'proxy-defaults');
    reader.map();
    assert.equal(reader.key(), 'Datacenter');
    reader.skip();
    assert.equal(reader.key(), 'Entry');
    assert.deepEqual(new Reader(reader.bytes()).value(), decode(encode(value)));
    assert.deepEqual(decodeConfigEntryRequest(bytes).entry.value, decode(encode(value)));
  });

  test.each([
    ['not a request', Uint8Array.of(0xc1)],
    ['no Entry', new Writer().str('service-defaults').map(0).take()],
    ['an Entry that is a number', new Writer().str('service-defaults').map(1).str('Entry').int(3).take()],
    ['a Name that is a number', new Writer().str('mesh').map(1).str('Entry').value({ Name: 3 }).take()],
  ])('%s is refused and changes nothing', (_what, inner) => {
    const store = new Store();
    const result = apply(store, 1, new Writer().u8(22).raw(inner).take());
    assert.ok(result instanceof FsmError);
    assert.deepEqual(store.configEntries(), { index: 0, rows: [] });
  });
});

describe('commands', () => {
  test('a write replaces what was there, whatever the case of its name, and keeps where it was created', () => {
    const m = machine();
    assert.equal(m.protocol('web', 'tcp'), true);
    assert.equal(m.protocol('Web', 'http'), true);
    const { index, rows } = m.store.configEntries('service-defaults');
    assert.equal(index, 2);
    assert.deepEqual(
      rows.map(({ name, value }) => [name, value['Protocol'], value['CreateIndex'], value['ModifyIndex']]),
      [['Web', 'http', 1, 2]],
    );
  });

  test('keys nobody here knows are kept', () => {
    const m = machine();
    m.write('upsert', 'service-resolver', { Name: 'web', FromTomorrow: { deep: [1, null] } });
    const { row } = m.store.configEntry('service-resolver', 'WEB');
    assert.equal(JSON.stringify(row?.value['FromTomorrow']), '{"deep":[1,null]}');
  });

  test('a conditional write is done when nobody wrote meanwhile; 0 means that there must be none', () => {
    const m = machine();
    const cas = (ModifyIndex: number) =>
      m.write('upsert-cas', 'service-defaults', { Name: 'web', ModifyIndex });
    assert.equal(cas(7), false);
    assert.equal(cas(0), true);
    assert.equal(cas(0), false);
    assert.equal(cas(2), true);
    assert.equal(cas(2), false);
    assert.equal(m.write('delete-cas', 'service-defaults', { Name: 'web', ModifyIndex: 2 }), false);
    assert.equal(m.write('delete-cas', 'service-defaults', { Name: 'web', ModifyIndex: 4 }), true);
    assert.deepEqual(m.store.configEntries(), { index: 7, rows: [] });
  });

  test('a deletion moves the index on; of what is not there, it does not', () => {
    const m = machine();
    m.protocol('web', 'tcp');
    assert.equal(m.write('delete', 'service-defaults', { Name: 'web' }), null);
    assert.equal(m.write('delete', 'service-defaults', { Name: 'web' }), null);
    assert.deepEqual(m.store.configEntries(), { index: 2, rows: [] });
  });

  test('who waits for a kind is woken by that kind only', () => {
    const m = machine();
    const { keys } = m.store.track((store) => store.configEntries('service-resolver'));
    const woken: string[] = [];
    m.store.park({ keys, wake: () => woken.push('resolver') });
    m.protocol('web', 'tcp');
    assert.deepEqual(woken, []);
    m.resolver('web');
    assert.deepEqual(woken, ['resolver']);
  });

  test('an operation nobody knows, or an entry without a name, is refused', () => {
    const m = machine();
    refused(m.write('upset' as ConfigEntryOp, 'mesh', {}), /invalid config entry operation "upset"/);
    refused(m.write('upsert', 'service-defaults', {}), /needs a kind and a name/);
  });
});

describe('what must make sense together', () => {
  const v1 = { v1: { Filter: '', OnlyPassing: false } };

  test('redirects that go in circles are refused, with the way they took', () => {
    const m = machine();
    m.resolver('a', { Redirect: { Service: 'b' } });
    refused(m.resolver('b', { Redirect: { Service: 'a' } }), /circular resolver redirect: \[b -> a -> b\]/);
    assert.equal(m.resolver('b', { Redirect: { Datacenter: 'dc2' } }), true);
  });

  test('a subset that is not there can be neither the end of a redirect nor of a failover', () => {
    const m = machine();
    refused(
      m.resolver('a', { Redirect: { Service: 'b', ServiceSubset: 'v1' } }),
      /service "b" does not have a subset named "v1"; .* none yet/,
    );
    refused(m.resolver('a', { Failover: { '*': { Service: 'b', ServiceSubset: 'v1' } } }), /named "v1"/);
    m.resolver('b', { Subsets: v1 });
    assert.equal(m.resolver('a', { Redirect: { Service: 'b', ServiceSubset: 'v1' } }), true);
    refused(m.resolver('b', {}), /named "v1"/);
    refused(m.write('delete', 'service-resolver', { Name: 'b' }), /named "v1"/);
  });

  test('a failover to another datacenter keeps the subset', () => {
    const m = machine();
    const Failover = { '*': { Datacenters: ['dc2'] } };
    assert.equal(m.resolver('a', { Subsets: v1, DefaultSubset: 'v1', Failover }), true);
  });

  test('services of one chain speak one protocol', () => {
    const m = machine();
    m.protocol('a', 'http');
    refused(m.resolver('a', { Redirect: { Service: 'b' } }), /"b" has "tcp" which is not "http"/);
    m.protocol('b', 'http');
    assert.equal(m.resolver('a', { Redirect: { Service: 'b' } }), true);
    refused(m.protocol('b', 'grpc'), /inconsistent protocols/);
    refused(m.write('upsert', 'service-defaults', { Name: 'b', Protocol: 'tcp' }), /inconsistent protocols/);
  });

  test('permissions need a protocol that has them, from proxy-defaults too', () => {
    const m = machine();
    const intentions = { Name: 'web', Sources: [{ Name: 'api', Permissions: [{ Action: 'allow' }] }] };
    refused(m.write('upsert', 'service-intentions', intentions), /incompatible with L7 intentions/);
    m.write('upsert', 'proxy-defaults', { Name: 'global', Config: { protocol: 'http' } });
    assert.equal(m.write('upsert', 'service-intentions', intentions), true);
    refused(m.write('delete', 'proxy-defaults', { Name: 'global' }), /incompatible with L7 intentions/);
  });

  test('a copy of the primary is not judged: what it refers to may come later', () => {
    const m = machine();
    const to = { Redirect: { Service: 'b', ServiceSubset: 'v1' } };
    assert.equal(m.write('replicate-upsert', 'service-resolver', { Name: 'a', ...to }), true);
    assert.equal(m.write('replicate-delete', 'service-resolver', { Name: 'a' }), null);
    assert.equal(m.store.configEntries().rows.length, 0);
  });
});

test('a snapshot brings back every entry byte for byte, kinds we know nothing of included', () => {
  const m = machine();
  m.protocol('web', 'http');
  m.write('upsert', 'proxy-defaults', { Name: 'global', Config: { a: new Float(1) } });
  m.write('replicate-upsert', 'from-tomorrow', { Name: 'x', Anything: [true] });
  const records = [...snapshotRecords(m.store)];
  const copy = new Store();
  restoreRecords(copy, records);
  assert.deepEqual(copy.configEntries(), m.store.configEntries());
  assert.deepEqual([...snapshotRecords(copy)], records);
  assert.equal(copy.configEntries().index, 3);
});

test('a snapshot with a config entry that is none is refused, and names the record', () => {
  const header = new Writer().value({ LastIndex: 9 }).take();
  assert.throws(
    () => restoreRecords(new Store(), [header, new Writer().u8(22).raw(Uint8Array.of(0xc1)).take()]),
    { code: 'malformed_record', record: 1 },
  );
});

test('the same entry under other indexes is the same; another value or name is not', () => {
  const entry = (value: ConfigEntryValue) => newConfigEntry('service-defaults', value);
  const web = entry({
    Kind: 'service-defaults',
    Name: 'web',
    Protocol: 'http',
    CreateIndex: 3,
    ModifyIndex: 4,
  });
  assert.ok(sameConfigEntry(web, entry({ Kind: 'service-defaults', Name: 'web', Protocol: 'http' })));
  assert.ok(!sameConfigEntry(web, entry({ Kind: 'service-defaults', Name: 'web', Protocol: 'tcp' })));
  assert.ok(!sameConfigEntry(web, entry({ Kind: 'service-defaults', Name: 'api', Protocol: 'http' })));
});

describe('JSON', () => {
  const shown = (kind: string, value: ConfigEntryValue): string =>
    goJson(configEntryJson(newConfigEntry(kind, value)));

  test('fields stand in the order of the original, durations are text, and what is empty is left out', () => {
    const recorded = decodeConfigEntryRequest(recordedApply).entry.value;
    assert.equal(
      shown('service-defaults', recorded),
      '{"Kind":"service-defaults","Name":"web","Protocol":"http","TransparentProxy":{},"MeshGateway":{},"Expose":{},"CreateIndex":0,"ModifyIndex":0}',
    );
    assert.equal(
      shown('service-resolver', {
        Kind: 'service-resolver',
        Name: 'web',
        ConnectTimeout: 33_000_000_000,
        Subsets: { v1: { Filter: 'Service.Meta.version == v1', OnlyPassing: false } },
        Meta: null,
        CreateIndex: 18,
        ModifyIndex: 19,
      }),
      '{"ConnectTimeout":"33s","Kind":"service-resolver","Name":"web","Subsets":{"v1":{"Filter":"Service.Meta.version == v1"}},"CreateIndex":18,"ModifyIndex":19}',
    );
  });

  test('a key of a later version, and a kind of one, are shown as they are', () => {
    assert.equal(
      shown('service-resolver', { Kind: 'service-resolver', Name: 'web', RequestTimeout: 5 }),
      '{"Kind":"service-resolver","Name":"web","RequestTimeout":5,"CreateIndex":0,"ModifyIndex":0}',
    );
    assert.equal(
      shown('from-tomorrow', { Name: 'x', B: true, A: null }),
      '{"Kind":"from-tomorrow","Name":"x","A":null,"B":true,"CreateIndex":0,"ModifyIndex":0}',
    );
  });
});

test('any entry stands in the log as it was written', () => {
  const entry = newConfigEntry('mesh', { TransparentProxy: { MeshDestinationsOnly: true } });
  const bytes = encodeCommand({ type: 'configEntry', request: { op: 'upsert', entry } });
  assert.deepEqual(encodeCommand(decodeCommand(bytes)), bytes);
  assert.equal(entry.name, 'mesh');
});
