/** What peers read of the mesh: our own answers, held against what Consul's server was recorded answering. */
import { randomBytes, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createMemoryFs, embeddedLog, type Fsm, newRegisterRequest, openFsm, splitRecords } from '@fed/fsm';
import { decode, encode, encodeSorted, Float, Reader, type Value, Writer } from '@fed/msgpack';
import type { Coordinate, SerfMember } from '@fed/serf';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Authority } from '../connect-ca/authority.ts';
import type { Endpoint } from './ask.ts';
import { Callers } from './callers.ts';
import { catalogEndpoints } from './catalog.ts';
import { configEntryEndpoints } from './config-entry.ts';
import { connectCaEndpoints } from './connect-ca.ts';
import { coordinateEndpoints } from './coordinate.ts';
import { intentionEndpoints } from './intention.ts';
import { internalEndpoints } from './internal.ts';
import { statusEndpoints } from './status.ts';

interface Recorded {
  readonly name: string;
  readonly method: string;
  readonly request: { readonly hex: string; readonly headerLength: number };
  readonly response: { readonly hex: string; readonly headerLength: number };
}

const times = new Set(['NotAfter', 'NotBefore', 'RotatedOutAt']);
const clock = { now: () => 0, at: () => ({ [Symbol.dispose]: () => {} }) };
const context = { signal: new AbortController().signal };

function recorded(file: string, name: string): { request: Value; reply: Uint8Array } {
  const text = readFileSync(new URL(`../../test/vectors/frames-${file}.json`, import.meta.url), 'utf8');
  const found = (JSON.parse(text) as { readonly cases: readonly Recorded[] }).cases.find(
    (one) => one.name === name,
  ) as Recorded;
  const bytes = (half: Recorded['response']): Uint8Array =>
    Buffer.from(half.hex, 'hex').subarray(half.headerLength);
  return { request: decode(bytes(found.request)), reply: bytes(found.response) };
}

/** Which keys stand where; of a list, those of its first item. */
function keysOf(value: Value): unknown {
  if (Array.isArray(value)) return value.length === 0 ? [] : [keysOf(value[0] as Value)];
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return '';
  return Object.entries(value).map(([key, item]) => [key, keysOf(item as Value)]);
}

let fsm: Fsm;
let endpoints: Readonly<Record<string, Endpoint>>;
let authority: Authority;
const wan = { members: [] as SerfMember[], coordinates: new Map<string, Coordinate>() };

beforeEach(async () => {
  const engine = embeddedLog({ dir: '/data', fs: createMemoryFs() });
  fsm = await openFsm({ engine, clock, rng: { below: () => 0 } });
  authority = new Authority({
    datacenter: 'dc1',
    primary: 'dc1',
    fsm,
    maker: { randomBytes, now: () => Date.UTC(2026, 0, 1) },
  });
  const common = { fsm, datacenter: 'dc1', primary: 'dc1', queryTimeDefaultMs: 1000, queryTimeMaxMs: 1000 };
  const callers = new Callers({ datacenter: 'dc1', domain: 'consul', verify: () => true });
  endpoints = {
    ...statusEndpoints({ address: '10.0.0.1:8300', fsm, peers: () => ['10.0.0.1:8300'] }),
    ...catalogEndpoints({ ...common, datacenters: () => ['dc1'] }),
    ...internalEndpoints({ ...common, lan: () => ({ userEvent: () => {} }) }),
    ...connectCaEndpoints({ ...common, authority, callers }),
    ...configEntryEndpoints({ ...common, callers }),
    ...intentionEndpoints(common),
    ...coordinateEndpoints({
      ...common,
      wan: () => ({ members: () => wan.members, coordinate: (name) => wan.coordinates.get(name) }),
    }),
  };
});

afterEach(async () => {
  await fsm[Symbol.asyncDispose]();
});

/** From a body as it stands on the wire to the reply as it stands there. */
async function answer(method: string, args: Value = {}): Promise<Value> {
  const { answer, wire } = endpoints[method] as Endpoint;
  const reply = await answer(wire?.readArgs?.(args) ?? (args as { readonly [key: string]: Value }), context);
  return wire?.writeReply?.(reply) ?? reply;
}

describe('ConnectCA', () => {
  test('Roots has every key of the original, in its order', async () => {
    await authority.ensureRoot();
    const { request, reply } = recorded('connect-ca', 'roots');
    const ours = decode(encode(await answer('ConnectCA.Roots', request)), { binaryKeys: times });
    expect(keysOf(ours)).toEqual(keysOf(decode(reply, { binaryKeys: times })));
  });

  test('Roots names one active root, the trust domain, and the cluster id a secondary takes over', async () => {
    await authority.ensureRoot();
    const reply = (await answer('ConnectCA.Roots')) as unknown as {
      readonly ActiveRootID: string;
      readonly TrustDomain: string;
      readonly Roots: readonly {
        readonly ID: string;
        readonly RootCert: string;
        readonly Active: boolean;
        readonly ExternalTrustDomain: string;
      }[];
    };
    const root = reply.Roots[0];
    expect(reply.Roots).toHaveLength(1);
    expect(root).toMatchObject({ Active: true, ID: reply.ActiveRootID });
    expect(reply.TrustDomain).toBe(`${root?.ExternalTrustDomain}.consul`);
    const certificate = new X509Certificate(root?.RootCert as string);
    expect(certificate.fingerprint.toLowerCase()).toBe(root?.ID);
    expect(certificate.subjectAltName).toBe(`URI:spiffe://${reply.TrustDomain}`);
  });

  test('no answer holds the private key', async () => {
    await authority.ensureRoot();
    const key = fsm.store.caProviderState('consul').row?.PrivateKey as string;
    expect(key).toContain('PRIVATE KEY');
    const said = Buffer.from(encode(await answer('ConnectCA.Roots'))).toString('latin1');
    expect(said).not.toContain('PRIVATE KEY');
  });

  test('before there is a root, an error says so: an empty answer would be believed', async () => {
    await expect(answer('ConnectCA.Roots')).rejects.toThrow(/CA is uninitialized/);
    await expect(answer('ConnectCA.SignIntermediate', { CSR: '' })).rejects.toThrow(/CA is uninitialized/);
  });

  test('the root is made once: who comes to lead later finds it', async () => {
    await authority.ensureRoot();
    const first = await answer('ConnectCA.Roots');
    await authority.ensureRoot();
    expect(await answer('ConnectCA.Roots')).toEqual(first);
  });

  test('SignIntermediate says what is wrong with a request', async () => {
    await authority.ensureRoot();
    await expect(answer('ConnectCA.SignIntermediate', { CSR: 'x' })).rejects.toThrow(/PEM/);
  });

  test('SignIntermediate is the primary’s alone', async () => {
    const secondary = connectCaEndpoints({
      fsm,
      datacenter: 'dc2',
      primary: 'dc1',
      queryTimeDefaultMs: 1,
      queryTimeMaxMs: 1,
      authority,
      callers: new Callers({ datacenter: 'dc2', domain: 'consul', verify: () => true }),
    });
    const endpoint = secondary['ConnectCA.SignIntermediate'] as Endpoint;
    await expect(endpoint.answer({ CSR: '' }, context)).rejects.toThrow('not the primary datacenter');
  });

  test('a client’s certificate is no ticket to an intermediate', async () => {
    await authority.ensureRoot();
    const caller = { names: ['client.dc1.consul', 'localhost'], fingerprint: '', byAlpn: true };
    const endpoint = endpoints['ConnectCA.SignIntermediate'] as Endpoint;
    const asked = async () => endpoint.answer({ CSR: '' }, { ...context, caller });
    await expect(asked()).rejects.toThrow(/Permission denied.*names no server/);
  });
});

describe('ConfigEntry and Intention', () => {
  test('an empty ListAll is the original’s, byte for byte', async () => {
    const { request, reply } = recorded('config-entry', 'list-all-empty');
    const ours = await answer('ConfigEntry.ListAll', { ...(request as object), MinQueryIndex: 0 });
    expect(Buffer.from(encode(ours)).toString('hex')).toBe(Buffer.from(reply).toString('hex'));
  });

  test('entries that came with a snapshot are passed on: the recorded ones give the recorded answer', async () => {
    const { request, reply } = recorded('config-entry', 'list-all');
    await restoreEntries(reply);
    const ours = encode(await answer('ConfigEntry.ListAll', request));
    expect(Buffer.from(ours).toString('hex')).toBe(Buffer.from(reply).toString('hex'));
  });

  test('the recorded Apply is taken, and gives the recorded answer', async () => {
    const { request, reply } = recorded('config-entry', 'apply');
    expect(encode(await answer('ConfigEntry.Apply', request))).toEqual(reply);
    const { value } = fsm.store.configEntry('service-defaults', 'web').row as { value: Value };
    expect(value).toMatchObject({ Protocol: 'http', CreateIndex: 1, ModifyIndex: 1 });
  });

  test('Get is kind, entry and meta in one string; of what is not there an empty kind and meta', async () => {
    await answer('ConfigEntry.Apply', recorded('config-entry', 'apply').request);
    const got = async (Name: string) => {
      const reader = new Reader(
        (await answer('ConfigEntry.Get', {
          Datacenter: 'dc1',
          Kind: 'service-defaults',
          Name,
        })) as Uint8Array,
      );
      const kind = reader.str();
      return [kind, ...(kind === '' ? [] : [reader.value()]), reader.value()];
    };
    expect(await got('Web')).toMatchObject([
      'service-defaults',
      { Name: 'web', Protocol: 'http' },
      { Index: 1 },
    ]);
    expect(await got('nobody')).toMatchObject(['', { Index: 1 }]);
  });

  test('List is a count, the kind, and then a map that holds both again', async () => {
    await answer('ConfigEntry.Apply', recorded('config-entry', 'apply').request);
    const reader = new Reader(
      (await answer('ConfigEntry.List', { Datacenter: 'dc1', Kind: 'service-defaults' })) as Uint8Array,
    );
    expect([reader.int(), reader.str()]).toEqual([1, 'service-defaults']);
    const body = reader.value() as { readonly Entries: readonly Value[] };
    expect(Object.keys(body)).toEqual([
      'ConsistencyLevel',
      'Entries',
      'Index',
      'Kind',
      'KnownLeader',
      'LastContact',
      'NotModified',
    ]);
    expect(body.Entries).toMatchObject([{ Name: 'web' }]);
  });

  test('what these methods answer is read back as it was', async () => {
    const Config = { limit: new Float(3) };
    for (const [Kind, Entry] of [
      ['proxy-defaults', { Kind: 'proxy-defaults', Name: 'global', Config }],
      ['service-defaults', { Kind: 'service-defaults', Name: 'web', Protocol: 'http' }],
    ] as const)
      await answer('ConfigEntry.Apply', { Kind, Entry, Op: 'upsert' });
    for (const [method, args] of [
      ['ConfigEntry.Get', { Kind: 'proxy-defaults', Name: 'global' }],
      ['ConfigEntry.Get', { Kind: 'proxy-defaults', Name: 'other' }],
      ['ConfigEntry.List', { Kind: 'proxy-defaults' }],
      ['ConfigEntry.ListAll', {}],
    ] as const) {
      const { answer: plainly, wire } = endpoints[method] as Endpoint;
      const reply = await plainly(args, context);
      const written = wire?.writeReply?.(reply) as Value;
      expect(encodeSorted(wire?.readReply?.(written) as Value), method).toEqual(encodeSorted(reply));
    }
  });

  test.each([
    ['a body that is no request', Uint8Array.of(0xc1), /holds no config entries/],
    [
      'a kind nobody writes here',
      { Kind: 'service-router', Entry: { Name: 'web' } },
      /invalid config entry kind/,
    ],
    ['an entry without a name', { Kind: 'service-defaults', Entry: {} }, /Name is required/],
  ])('%s is refused in words', async (_what, body, words) => {
    await expect(answer('ConfigEntry.Apply', body as Value)).rejects.toThrow(words);
    expect(fsm.store.configEntries().rows).toEqual([]);
  });

  test('Apply on a condition says false when it came too late, and so does Delete', async () => {
    const Entry = { Kind: 'service-defaults', Name: 'web', Protocol: 'tcp' };
    const send = (method: string, Op: string, ModifyIndex: number) =>
      answer(method, { Kind: Entry.Kind, Entry: { ...Entry, ModifyIndex }, Op });
    expect(await send('ConfigEntry.Apply', 'upsert-cas', 4)).toBe(false);
    expect(await send('ConfigEntry.Apply', 'upsert-cas', 0)).toBe(true);
    expect(await send('ConfigEntry.Delete', 'delete-cas', 1)).toEqual({ Deleted: false });
    expect(await send('ConfigEntry.Delete', 'delete', 0)).toEqual({});
    expect(fsm.store.configEntries().rows).toEqual([]);
  });

  test('from abroad a certificate that names no server writes nothing; at home it may be a client agent’s', async () => {
    const endpoint = endpoints['ConfigEntry.Apply'] as Endpoint;
    const as = async (byAlpn: boolean) => {
      const caller = { commonName: 'x', names: ['client.dc1.consul'], fingerprint: 'x', byAlpn };
      return endpoint.answer({ Kind: 'mesh', Entry: {} }, { ...context, caller });
    };
    await expect(as(true)).rejects.toThrow(/Permission denied.*names no server/);
    expect(await as(false)).toBe(true);
  });

  test('only kinds that were asked for are sent; who does not say gets those of 1.8', async () => {
    const { reply } = recorded('config-entry', 'list-all');
    await restoreEntries(reply);
    const kinds = async (Kinds: readonly string[] | null): Promise<readonly string[]> =>
      entriesIn((await answer('ConfigEntry.ListAll', { Kinds })) as Uint8Array).map(({ kind }) => kind);
    expect(await kinds(['service-resolver'])).toEqual(['service-resolver']);
    expect(await kinds(['mesh'])).toEqual([]);
    expect(await kinds(null)).toEqual(['proxy-defaults', 'service-defaults', 'service-resolver']);
  });

  test('Intention.List has no legacy intentions, and is the recorded answer but for its index', async () => {
    const { request, reply } = recorded('intention', 'list-legacy (migration probe)');
    const ours = (await answer('Intention.List', request)) as { readonly [key: string]: Value };
    const theirs = decode(reply) as { readonly [key: string]: Value };
    expect(encode({ ...ours, Index: 0 })).toEqual(encode({ ...theirs, Index: 0 }));
  });

  test('the index of Intention.List is never above that of ConfigEntry.ListAll', async () => {
    const indexes = async () => {
      const intentions = (await answer('Intention.List', { Legacy: true })) as { readonly Index: number };
      const reader = new Reader((await answer('ConfigEntry.ListAll')) as Uint8Array);
      for (let left = 2 * Number(reader.int()); left > 0; left -= 1) reader.skip();
      const meta = reader.value() as { readonly Index: number };
      return { intentions: intentions.Index, entries: meta.Index };
    };
    expect(await indexes()).toEqual({ intentions: 1, entries: 1 });
    await restoreEntries(recorded('config-entry', 'list-all').reply);
    expect(await indexes()).toEqual({ intentions: 18, entries: 18 });
  });
});

describe('Coordinate', () => {
  test('ListDatacenters is the recorded answer, byte for byte', async () => {
    const member = { name: 's1', host: '10.0.0.1', status: 'alive', tags: tagsOf('dc1') };
    wan.members = [member as unknown as SerfMember];
    wan.coordinates.set('s1', {
      vec: [0.5, -0.25, 0, 0, 0, 0, 0, 0],
      error: 1.5,
      adjustment: 0,
      height: 0.00001,
    });
    const { reply } = recorded('coordinate', 'list-datacenters');
    const ours = encode(await answer('Coordinate.ListDatacenters'));
    expect(Buffer.from(ours).toString('hex')).toBe(Buffer.from(reply).toString('hex'));
  });

  test('who has left, or is no server, has no place', async () => {
    wan.members = [
      { name: 's1', host: '10.0.0.1', status: 'left', tags: tagsOf('dc1') } as unknown as SerfMember,
      { name: 'x', host: '10.0.0.1', status: 'alive', tags: {} } as unknown as SerfMember,
    ];
    expect(await answer('Coordinate.ListDatacenters')).toEqual([]);
  });

  test('of the nodes, those are listed that have written theirs', async () => {
    await fsm.apply({ type: 'register', request: registration('n1') });
    const Coord = { Adjustment: 0.5, Error: 1.5, Height: 0.25, Vec: [0.5] };
    await fsm.apply({ type: 'coordinates', updates: [{ Node: 'n1', Segment: '', Coord }] });
    const all = (await answer('Coordinate.ListNodes')) as {
      readonly Coordinates: Value;
      readonly Index: number;
    };
    expect(all).toMatchObject({ Coordinates: [{ Node: 'n1', Coord }], Index: 2 });
    expect(await answer('Coordinate.Node', { Node: 'N1' })).toEqual(all);
    expect(await answer('Coordinate.Node', { Node: 'n2' })).toMatchObject({ Coordinates: [] });
  });

  test('a node’s place is written, if the node is registered and the place is one', async () => {
    await fsm.apply({ type: 'register', request: newRegisterRequest({ Node: 'n1', Address: '10.0.0.1' }) });
    const Coord = { Vec: [1, 2, 3, 4, 5, 6, 7, 8.5], Error: 1.5, Adjustment: 0, Height: 0.00001 };
    expect(await answer('Coordinate.Update', { Node: 'n1', Coord })).toBeNull();
    await answer('Coordinate.Update', { Node: 'none', Coord });
    const { rows } = fsm.store.coordinates();
    expect(rows.map(({ Node, Coord }) => [Node, Coord?.Vec?.length, Coord?.Error])).toEqual([['n1', 8, 1.5]]);
    for (const [bad, why] of [
      [{ ...Coord, Vec: [0] }, 'incompatible coordinate'],
      [{ ...Coord, Vec: null }, 'incompatible coordinate'],
      [{ ...Coord, Height: 'x' }, 'invalid coordinate'],
      [{ ...Coord, Vec: [0, 0, 0, 0, 0, 0, 0, Number.NaN] }, 'invalid coordinate'],
      [null, 'invalid coordinate'],
    ] as const)
      await expect(answer('Coordinate.Update', { Node: 'n1', Coord: bad })).rejects.toThrow(why);
  });
});

describe('Catalog, Health, Internal and Status', () => {
  test.each([
    ['catalog', 'list-nodes', 'Catalog.ListNodes'],
    ['catalog', 'list-services', 'Catalog.ListServices'],
    ['health', 'service-nodes', 'Health.ServiceNodes'],
    ['health', 'service-nodes-empty', 'Health.ServiceNodes'],
  ])('%s: the reply to %s has every key of the original', async (file, name, method) => {
    await fsm.apply({ type: 'register', request: registration('n1') });
    const { reply } = recorded(file, name);
    const ours = decode(encode(await answer(method, { ServiceName: 'web', Node: 'n1' })));
    expect(topKeys(ours)).toEqual(topKeys(decode(reply)));
  });

  test('sidecars and instances that speak the mesh themselves are found by Connect', async () => {
    await fsm.apply({ type: 'register', request: registration('n1') });
    const sidecar = { ...service, ID: 'p', Service: 'web-proxy', Kind: 'connect-proxy' };
    const standsFor = { ...sidecar, Proxy: { DestinationServiceName: 'Web' } };
    await fsm.apply({ type: 'register', request: registration('n1', standsFor) });
    const native = { ...service, ID: 'w2', Connect: { Native: true } };
    await fsm.apply({ type: 'register', request: registration('n1', native) });
    const asked = { ServiceName: 'web', Connect: true };
    const found = (await answer('Health.ServiceNodes', asked)) as unknown as {
      readonly Nodes: readonly { readonly Service: { readonly ID: string } }[];
    };
    expect(found.Nodes.map((row) => row.Service.ID)).toEqual(['p', 'w2']);
    const flat = (await answer('Catalog.ServiceNodes', asked)) as unknown as {
      readonly ServiceNodes: readonly { readonly ServiceID: string }[];
    };
    expect(flat.ServiceNodes.map((row) => row.ServiceID)).toEqual(['p', 'w2']);
  });

  test('a filter is refused: an unfiltered answer would look like a filtered one', async () => {
    await expect(answer('Catalog.ListNodes', { Filter: 'Node == n1' })).rejects.toThrow(/filter/);
    await expect(answer('Internal.ServiceDump', { Filter: 'x' })).rejects.toThrow(/filter/);
  });

  test('who allows it is told that nothing is new, instead of the same list again', async () => {
    await fsm.apply({ type: 'register', request: registration('n1') });
    const args = { MinQueryIndex: 1, MaxQueryTime: 1, AllowNotModifiedResponse: true };
    const patient = {
      now: () => 0,
      at: (_when: number, wake: () => void): Disposable => {
        queueMicrotask(wake); // the wait is over as soon as it has begun
        return { [Symbol.dispose]: () => {} };
      },
    };
    const engine = embeddedLog({ dir: '/other', fs: createMemoryFs() });
    await using other = await openFsm({ engine, clock: patient, rng: { below: () => 0 } });
    await other.apply({ type: 'register', request: registration('n1') });
    const asked = catalogEndpoints({
      fsm: other,
      queryTimeDefaultMs: 1,
      queryTimeMaxMs: 1,
      datacenters: () => [],
    });
    const reply = await (asked['Catalog.ListNodes'] as Endpoint).answer(args, context);
    expect(reply).toMatchObject({ Nodes: null, NotModified: true, Index: 1 });
  });

  test('a node is dumped with its services and checks, a stranger not at all', async () => {
    await fsm.apply({ type: 'register', request: registration('n1') });
    const one = (await answer('Internal.NodeInfo', { Node: 'n1' })) as { readonly Dump: Value };
    expect(one.Dump).toMatchObject([{ Node: 'n1', Services: [{ ID: 'web' }], Checks: [{ CheckID: 'c' }] }]);
    expect(await answer('Internal.NodeDump')).toEqual(one);
    expect(await answer('Internal.NodeInfo', { Node: 'n2' })).toMatchObject({ Dump: [] });
  });

  test('RaftStats tells index and term of the log', async () => {
    await fsm.apply({ type: 'register', request: registration('n1') });
    expect(await answer('Status.RaftStats')).toEqual({ LastContact: '0', LastIndex: 1, LastTerm: 1 });
  });
});

const service = { ID: 'web', Service: 'web', Port: 80 };

function registration(Node: string, Service: object = service) {
  const check = { Node, CheckID: 'c', Name: 'c', Status: 'passing', ServiceID: 'web' };
  return newRegisterRequest({ Node, Address: '10.0.0.1', Datacenter: 'dc1', Service, Check: check });
}

/** Keys of the reply and of what stands first in its list; rows themselves are held against Consul's in @fed/fsm. */
function topKeys(value: Value): unknown {
  const reply = value as { readonly [key: string]: Value };
  return Object.keys(reply);
}

function tagsOf(dc: string): Record<string, string> {
  return { role: 'consul', dc, port: '8300', vsn: '2', build: '1.9.8:fed', id: 'x' };
}

function entriesIn(reply: Uint8Array): readonly { readonly kind: string; readonly value: Uint8Array }[] {
  const reader = new Reader(reply);
  return Array.from({ length: Number(reader.int()) }, () => {
    const kind = reader.str();
    const start = reader.offset;
    reader.skip();
    return { kind, value: reply.subarray(start, reader.offset) };
  });
}

/** Puts the entries of a recorded ListAll into the store, as a snapshot of the original would. */
async function restoreEntries(reply: Uint8Array): Promise<void> {
  const inner = new Reader(reply).bytes();
  const records = entriesIn(inner).map(({ kind, value }) => {
    const request = new Writer().str(kind).map(4).str('Datacenter').str('').str('Entry').verbatim(value);
    return new Writer().u8(22).raw(request.str('Op').str('').str('Token').str('').take()).take();
  });
  const header = new Writer().value({ LastIndex: 18 }).take();
  const index = new Writer().u8(16).value({ Key: 'config-entries', Value: 18 }).take();
  const snapshot = Buffer.concat([header, ...records, index]);
  expect(splitRecords(snapshot)).toHaveLength(records.length + 2);
  await fsm.restore(snapshot);
}
