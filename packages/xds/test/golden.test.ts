/** Whole gateways against recorded resources: every name, order, field and byte. */
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { recommended, upstream } from '../src/core/profile.ts';
import type { Resource } from '../src/core/resource.ts';
import { resourceTypeOf } from '../src/core/resource.ts';
import { snapshotOf } from '../src/core/workshop.ts';
import { anyToJson, type JsonObject } from '../src/wire/json.ts';
import { vector, worldOf } from './scenario.ts';

interface Golden {
  clusters: JsonObject[];
  endpoints: JsonObject[];
  listeners: JsonObject[];
}
const gateways = ['golden-dc1-gw1a', 'golden-dc2-gw2a'] as const;

for (const name of gateways) {
  const golden = vector<Golden>(name);
  const { resources } = snapshotOf(worldOf(name), upstream);
  describe(name, () => {
    test('clusters', () => expect(messages(resources.Cluster)).toEqual(golden.clusters));
    test('endpoints', () => expect(messages(resources.ClusterLoadAssignment)).toEqual(golden.endpoints));
    test('listeners', () => expect(messages(resources.Listener)).toEqual(golden.listeners));
  });
}

const wire = vector<{
  resources: { typeUrl: string; name: string; hex: string; bytes: number; sha256: string }[];
}>('wire');
describe('wire: fields in number order, defaults left out, a chosen empty oneof member written', () => {
  const { resources } = snapshotOf(worldOf('golden-dc1-gw1a'), upstream);
  for (const { typeUrl, name, hex, bytes, sha256 } of wire.resources)
    test(`${typeUrl.split('.').at(-1)} ${name}`, () => {
      const resource = resources[resourceTypeOf(typeUrl)!].get(name)!;
      expect(Buffer.from(resource.bytes).toString('hex')).toBe(hex);
      expect(resource.bytes.length).toBe(bytes);
      expect(resource.version).toBe(sha256);
      expect(createHash('sha256').update(resource.bytes).digest('hex')).toBe(sha256);
      expect(anyToJson(typeUrl, Buffer.from(hex, 'hex'))).toEqual(resource.message);
    });
});

describe('deviations: resources as recommended', () => {
  const { examples } = vector<{ examples: Record<string, JsonObject> }>('deviations');
  const { resources } = snapshotOf(worldOf('golden-dc1-gw1a'), recommended);
  for (const [title, expected] of Object.entries(examples))
    test(title, () => {
      const type = resourceTypeOf(String(expected['@type']))!;
      expect(resources[type].get(String(expected['name']))!.message).toEqual(expected);
    });
});

test('I1: a different order of rows changes no byte', () => {
  for (const name of gateways) {
    const world = worldOf(name);
    const shuffled = {
      ...world,
      servers: world.servers.toReversed(),
      services: world.services!.toReversed().map((s) => ({ ...s, instances: s.instances.toReversed() })),
      federationStates: world.federationStates
        .toReversed()
        .map((s) => ({ ...s, MeshGateways: s.MeshGateways?.toReversed() ?? null })),
    };
    for (const profile of [upstream, recommended])
      expect(versions(snapshotOf(shuffled, profile))).toEqual(versions(snapshotOf(world, profile)));
  }
});

function messages(resources: ReadonlyMap<string, Resource>): unknown[] {
  return [...resources.values()].map((r) => r.message);
}

function versions(snapshot: ReturnType<typeof snapshotOf>): unknown {
  return Object.values(snapshot.resources).map((byName) =>
    [...byName.values()].map((r) => [r.name, r.version]),
  );
}
