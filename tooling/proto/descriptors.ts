/** descriptors.ts: a folder of .proto files as protobufjs's own JSON, which its reflection-only build loads. */
import { readdirSync } from 'node:fs';
import { resolve } from 'node:path';
import protobuf from 'protobufjs';

export function descriptors(folder: string): protobuf.INamespace {
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) => resolve(folder, target);
  const files = readdirSync(folder).filter((name) => name.endsWith('.proto'));
  return root.loadSync(files.sort()).toJSON();
}
