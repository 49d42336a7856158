/**
 * inspect.ts: what a snapshot holds, in numbers: records by type, and how many bytes they take.
 *
 * Source: Consul command/snapshot/inspect; agent/structs/structs.go (MessageType) for the names.
 */
import { splitRecords } from '@fed/fsm';
import type { SnapshotMeta } from './archive.ts';

const typeNames: Readonly<Record<number, string>> = {
  0: 'Register',
  1: 'Deregister',
  2: 'KVS',
  3: 'Session',
  4: 'ACL (Deprecated)',
  5: 'Tombstone',
  6: 'CoordinateBatchUpdate',
  7: 'PreparedQuery',
  8: 'Txn',
  9: 'Autopilot',
  10: 'Area',
  11: 'ACLBootstrap',
  12: 'Intention',
  13: 'ConnectCA',
  14: 'ConnectCAProviderState',
  15: 'ConnectCAConfig',
  16: 'Index',
  17: 'ACLToken',
  18: 'ACLTokenDelete',
  19: 'ACLPolicy',
  20: 'ACLPolicyDelete',
  21: 'ConnectCALeaf',
  22: 'ConfigEntry',
  23: 'ACLRole',
  24: 'ACLRoleDelete',
  25: 'ACLBindingRule',
  26: 'ACLBindingRuleDelete',
  27: 'ACLAuthMethod',
  28: 'ACLAuthMethodDelete',
  29: 'ChunkingState',
  30: 'FederationState',
  31: 'SystemMetadata',
  33: 'FreeVirtualIP',
  34: 'KindServiceNames',
};

/** The report of `snapshot inspect`. Throws SnapshotError when the records cannot be told apart. */
export function inspect(meta: SnapshotMeta, state: Uint8Array): string {
  const byType = new Map<number, { count: number; bytes: number }>();
  const [header, ...records] = splitRecords(state);
  // The original counts the header with the first record.
  let extra = header?.length ?? 0;
  for (const record of records) {
    const type = record[0] as number;
    const known = byType.get(type) ?? { count: 0, bytes: 0 };
    byType.set(type, { count: known.count + 1, bytes: known.bytes + record.length + extra });
    extra = 0;
  }
  const rows = [...byType]
    .map(([type, { count, bytes }]) => ({ name: typeNames[type] ?? `Unknown(${type})`, count, bytes }))
    .sort((a, b) => b.bytes - a.bytes || (a.name < b.name ? -1 : 1));
  const line = (type: string, count: string, size: string): string =>
    ` ${type.padEnd(27)} ${count.padEnd(10)} ${size}`.trimEnd();
  return [
    ` ID           ${meta.ID}`,
    ` Size         ${meta.Size}`,
    ` Index        ${meta.Index}`,
    ` Term         ${meta.Term}`,
    ` Version      ${meta.Version}`,
    '',
    line('Type', 'Count', 'Size'),
    line('----', '----', '----'),
    ...rows.map(({ name, count, bytes }) => line(name, String(count), byteSize(bytes))),
    line('----', '----', '----'),
    line('Total', '', byteSize(state.length)),
  ].join('\n');
}

export function byteSize(bytes: number): string {
  const units = ['B', 'KB', 'MB', 'GB'];
  const power = bytes < 1024 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), units.length - 1);
  return `${(bytes / 1024 ** power).toFixed(1).replace(/\.0$/, '')}${units[power]}`;
}
