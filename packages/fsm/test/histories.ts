/** Random histories over few names, so that commands meet: renames, stolen names, the last instance of a service, … */
import type { Value } from '@fed/msgpack';
import * as fc from 'fast-check';
import { apply } from '../src/apply.ts';
import { type Command, encodeCommand, newDeregisterRequest, newRegisterRequest } from '../src/command.ts';
import { newConfigEntry } from '../src/config-entries/entry.ts';
import { newCoordinate, newFederationState } from '../src/new-row.ts';
import type { ReadStore } from '../src/read-store.ts';
import { Store } from '../src/store.ts';

const node = fc.constantFrom('n1', 'N1', 'n2', 'n3');
const id = fc.constantFrom('', 'id-1', 'id-2', 'ID-1');
const serviceId = fc.constantFrom('web1', 'web2', 'gw');
const serviceName = fc.constantFrom('web', 'Web', 'db', 'mesh-gateway');
const kind = fc.constantFrom('', 'mesh-gateway');
const status = fc.constantFrom('passing', 'warning', 'critical', '');
const checkId = fc.constantFrom('serfHealth', 'c1', 'c2');
const datacenter = fc.constantFrom('dc1', 'DC1', 'dc2', 'dc3', '');
const small = fc.integer({ min: 0, max: 3 });

const service = fc.record({
  ID: serviceId,
  Service: serviceName,
  Kind: kind,
  Port: small,
  Tags: fc.constantFrom(null, [], ['a'], ['a', 'b']),
  Connect: fc.constantFrom({ Native: false, SidecarService: null }, { Native: true, SidecarService: null }),
});

const register: fc.Arbitrary<Command> = fc
  .record({
    Node: node,
    ID: id,
    Address: fc.constantFrom('10.0.0.1', '10.0.0.2'),
    SkipNodeUpdate: fc.boolean(),
    Service: fc.option(service),
    checks: fc.array(
      fc.record({
        CheckID: checkId,
        Status: status,
        ServiceID: fc.oneof(fc.constant(''), serviceId),
        elsewhere: fc.boolean(),
      }),
      { maxLength: 2 },
    ),
  })
  .map(({ checks, ...request }) => ({
    type: 'register',
    request: newRegisterRequest({
      ...request,
      Checks: checks.map(({ elsewhere, ...check }) => ({ ...check, Node: elsewhere ? 'n2' : request.Node })),
    }),
  }));

const deregister: fc.Arbitrary<Command> = fc
  .record({
    Node: node,
    ServiceID: fc.oneof(fc.constant(''), serviceId),
    CheckID: fc.oneof(fc.constant(''), checkId),
  })
  .map((request) => ({ type: 'deregister', request: newDeregisterRequest(request) }));

const federationState: fc.Arbitrary<Command> = fc
  .record({
    op: fc.constantFrom('upsert', 'upsert', 'delete', 'nonsense'),
    Datacenter: datacenter,
    PrimaryModifyIndex: small,
  })
  .map(({ op, ...state }) => ({ type: 'federationState', op, state: newFederationState(state) }));

const coordinates: fc.Arbitrary<Command> = fc
  .array(fc.record({ Node: node, Segment: fc.constantFrom('', 's') }), { maxLength: 2 })
  .map((updates) => ({ type: 'coordinates', updates: updates.map((update) => newCoordinate(update)) }));

const foreign: fc.Arbitrary<Command> = fc.constantFrom<Command>(
  { type: 'foreign', typeByte: 2, body: Uint8Array.of(0x80) },
  { type: 'foreign', typeByte: 21 | 0x80, body: Uint8Array.of(0xc0) },
);

const configEntry: fc.Arbitrary<Command> = fc
  .record({
    op: fc.constantFrom(
      'upsert',
      'upsert',
      'upsert-cas',
      'delete',
      'delete-cas',
      'replicate-upsert',
      'nonsense',
    ),
    kind: fc.constantFrom('service-resolver', 'service-defaults', 'from-tomorrow'),
    Name: fc.constantFrom('web', 'WEB', 'db', ''),
    ModifyIndex: small,
    Redirect: fc.constantFrom<Value>(null, { Service: 'web' }, { Service: 'db' }),
  })
  .map(({ op, kind, ...value }) => ({
    type: 'configEntry',
    request: { op, entry: newConfigEntry(kind, value) },
  }));

/** Log entries, as bytes. */
export const history: fc.Arbitrary<readonly Uint8Array[]> = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: register.map(encodeCommand) },
    { weight: 3, arbitrary: deregister.map(encodeCommand) },
    { weight: 3, arbitrary: federationState.map(encodeCommand) },
    { weight: 1, arbitrary: coordinates.map(encodeCommand) },
    { weight: 3, arbitrary: configEntry.map(encodeCommand) },
    { weight: 1, arbitrary: foreign.map(encodeCommand) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 6 }) },
  ),
  { maxLength: 40 },
);

/** Every question, for every name that occurs and some that never do. */
export const questions: readonly {
  readonly name: string;
  readonly ask: (store: ReadStore) => { readonly index: number };
}[] = [
  { name: 'nodes', ask: (s) => s.nodes() },
  { name: 'services', ask: (s) => s.services() },
  { name: 'serviceDump', ask: (s) => s.serviceDump() },
  { name: 'nativeServices', ask: (s) => s.nativeServices() },
  { name: 'coordinates', ask: (s) => s.coordinates() },
  { name: 'federationStates', ask: (s) => s.federationStates() },
  { name: 'configEntries', ask: (s) => s.configEntries() },
  ...['service-resolver', 'nothing'].flatMap((kind) => [
    { name: `configEntries ${kind}`, ask: (s: ReadStore) => s.configEntries(kind) },
    { name: `configEntry ${kind}`, ask: (s: ReadStore) => s.configEntry(kind, 'web') },
  ]),
  ...['n1', 'n2', 'n3', 'nobody'].flatMap((name) => [
    { name: `node ${name}`, ask: (s: ReadStore) => s.node(name) },
    { name: `nodeServices ${name}`, ask: (s: ReadStore) => s.nodeServices(name) },
    { name: `nodeChecks ${name}`, ask: (s: ReadStore) => s.nodeChecks(name) },
  ]),
  ...['web', 'db', 'mesh-gateway', 'nothing'].flatMap((name) => [
    { name: `serviceNodes ${name}`, ask: (s: ReadStore) => s.serviceNodes(name) },
    { name: `checkServiceNodes ${name}`, ask: (s: ReadStore) => s.checkServiceNodes(name) },
    { name: `serviceChecks ${name}`, ask: (s: ReadStore) => s.serviceChecks(name) },
  ]),
  ...['', 'mesh-gateway', 'none'].map((name) => ({
    name: `serviceKind ${name}`,
    ask: (s: ReadStore) => s.serviceKind(name),
  })),
  ...['passing', 'critical', 'any'].map((name) => ({
    name: `checksInState ${name}`,
    ask: (s: ReadStore) => s.checksInState(name),
  })),
  ...['dc1', 'dc2', 'dc9'].map((name) => ({
    name: `federationState ${name}`,
    ask: (s: ReadStore) => s.federationState(name),
  })),
];

export function replay(entries: readonly Uint8Array[]): Store {
  const store = new Store();
  entries.forEach((entry, i) => {
    apply(store, i + 1, entry);
  });
  return store;
}
