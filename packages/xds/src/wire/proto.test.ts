import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { descriptors } from '@fed/tooling/proto';
import protobuf from 'protobufjs';
import { describe, expect, test } from 'vitest';
import { vector } from '../../test/scenario.ts';
import { bundle } from './bundle.ts';

type Entry = Record<string, [number, string, string?]> & { enum?: Record<string, number> };
const subset = vector<{
  grpc: { service: string; methods: Record<string, [string, string]> };
  types: Record<string, Entry>;
}>('proto-subset');
/** Used beside what the table lists. */
subset.types['envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol'] = {
  allow_requests_without_proxy_protocol: [2, 'bool'],
} as Entry;
const root = protobuf.Root.fromJSON(JSON.parse(bundle) as protobuf.INamespace);
root.resolveAll();

describe('every type of the bundle has the numbers, types and oneofs of the public API', () => {
  for (const [name, fields] of Object.entries(subset.types))
    test(name, () => {
      const found = root.lookupTypeOrEnum(name);
      if (found instanceof protobuf.Enum) {
        expect(found.values).toEqual(fields.enum);
        return;
      }
      const described = (found as protobuf.Type).fieldsArray.map((f) => [
        f.name,
        [f.id, typeText(f), oneofText(f)],
      ]);
      const expected = Object.entries(fields as Record<string, [number, string, string?]>).map(
        ([key, [id, type, oneof]]) => [protobuf.util.camelCase(key), [id, type, oneof]],
      );
      expect(Object.fromEntries(described)).toEqual(Object.fromEntries(expected));
    });

  test('and there are no others, but for google.protobuf', () => {
    const names: string[] = [];
    collect(root, names);
    expect(names.filter((n) => !n.startsWith('google.protobuf.')).sort()).toEqual(
      Object.keys(subset.types).sort(),
    );
  });

  test(subset.grpc.service, () => {
    const methods = root.lookupService(subset.grpc.service).methodsArray;
    const described = methods.map((m) => [
      m.name,
      [
        `${m.requestStream ? 'stream ' : ''}${m.requestType}`,
        `${m.responseStream ? 'stream ' : ''}${m.responseType}`,
      ],
    ]);
    expect(Object.fromEntries(described)).toEqual(subset.grpc.methods);
  });
});

test('the bundle is what the .proto files say (npm run proto)', () => {
  const folder = fileURLToPath(new URL('../../proto/', import.meta.url));
  expect(descriptors(folder)).toEqual(JSON.parse(bundle));
});

test('a JSON name that differs from the usual one is declared', () => {
  for (const file of readdirSync(new URL('../../proto/', import.meta.url)).filter((n) =>
    n.endsWith('.proto'),
  )) {
    const text = readFileSync(new URL(`../../proto/${file}`, import.meta.url), 'utf8');
    for (const [line, field] of text.matchAll(/^\s+[\w.]+ (\w*_\d\w*) = .*$/gm))
      expect(line, field).toContain('json_name');
  }
});

function typeText(f: protobuf.Field): string {
  if (f instanceof protobuf.MapField) return `map<${f.keyType},${f.type}>`;
  const type = f.resolvedType === null ? f.type : f.resolvedType.fullName.slice(1);
  return f.repeated ? `repeated ${type}` : type;
}

function oneofText(f: protobuf.Field): string | undefined {
  if (f.partOf === null) return undefined;
  return `oneof ${f.partOf.name.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`)}`;
}

function collect(namespace: protobuf.NamespaceBase, names: string[]): void {
  for (const one of namespace.nestedArray) {
    if (one instanceof protobuf.Type || one instanceof protobuf.Enum) names.push(one.fullName.slice(1));
    if (one instanceof protobuf.Namespace) collect(one, names);
  }
}
