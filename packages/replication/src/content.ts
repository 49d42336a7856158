/**
 * content.ts: whether two records say the same.
 *
 * Two questions, two answers. Copying asks whether a record is the same to the letter, apart from where it is
 * stored. Publishing asks whether anything changed that somebody could route by: the order of gateways, the
 * text a check printed and the indexes of the log did not.
 * Lives here: comparing. Must not live here: what follows from it.
 * Source: Consul agent/structs/federation_state.go (IsSame); better in that it ignores order, output and
 * notes.
 */
import type { CheckServiceNode, FederationState } from './ports.ts';

/** The key of a record: the store looks datacenters up without regard to case. */
export function keyOf(datacenter: string): string {
  return datacenter.toLowerCase();
}

/** Where a row is stored, not what it says. */
const placeKeys: ReadonlySet<string> = new Set(['CreateIndex', 'ModifyIndex', 'PrimaryModifyIndex']);

/**
 * To the letter, except for where each is stored. A key that only one side has counts as the zero value it
 * stands for.
 */
export function sameRecord(a: FederationState, b: FederationState): boolean {
  return sameFields(a, b, placeKeys);
}

const noKeys: ReadonlySet<string> = new Set();

function same(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (a === undefined) return isZero(b);
  if (b === undefined) return isZero(a);
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (a instanceof Uint8Array || b instanceof Uint8Array) {
    return a instanceof Uint8Array && b instanceof Uint8Array && Buffer.compare(a, b) === 0;
  }
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
    return a.every((item, at) => same(item, b[at]));
  }
  return sameFields(a, b, noKeys);
}

function sameFields(a: object, b: object, except: ReadonlySet<string>): boolean {
  const fieldsA = a as Readonly<Record<string, unknown>>;
  const fieldsB = b as Readonly<Record<string, unknown>>;
  for (const key of Object.keys(fieldsA)) {
    if (!except.has(key) && !same(fieldsA[key], fieldsB[key])) return false;
  }
  for (const key of Object.keys(fieldsB)) {
    if (!except.has(key) && !Object.hasOwn(fieldsA, key) && !isZero(fieldsB[key])) return false;
  }
  return true;
}

/** What Go leaves in a field that nobody set. */
function isZero(value: unknown): boolean {
  if (value === null || value === undefined || value === '' || value === 0 || value === false) return true;
  if (Array.isArray(value) || value instanceof Uint8Array) return value.length === 0;
  return typeof value === 'object' && Object.values(value).every(isZero);
}

/**
 * In the one order every server writes: by node, then service id. The rows themselves are passed on as they
 * are.
 */
export function inOrder(gateways: readonly CheckServiceNode[]): readonly CheckServiceNode[] {
  const nameOf = (row: CheckServiceNode): string => `${row.Node?.Node ?? ''}\u0000${row.Service?.ID ?? ''}`;
  return [...gateways].sort((a, b) => compareText(nameOf(a), nameOf(b)));
}

/** Text that is equal when two lists of gateways mean the same to everybody who routes by them. */
export function routableText(gateways: readonly CheckServiceNode[] | null): string {
  return JSON.stringify(inOrder(gateways ?? []).map(projectGateway));
}

const ignoredKeys: ReadonlySet<string> = new Set(['CreateIndex', 'ModifyIndex']);
const ignoredCheckKeys: ReadonlySet<string> = new Set(['CreateIndex', 'ModifyIndex', 'Output', 'Notes']);

function projectGateway({ Checks, ...rest }: CheckServiceNode): unknown {
  const checks = [...(Checks ?? [])].sort((a, b) => compareText(a.CheckID, b.CheckID));
  return [project(rest, ignoredKeys), checks.map((check) => project(check, ignoredCheckKeys))];
}

/**
 * Keys sorted, zero values left out: nil or empty, absent or zero is no difference worth a write to the
 * primary.
 */
function project(value: unknown, ignored: ReadonlySet<string>): unknown {
  if (typeof value === 'bigint') return `${value}n`;
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString('hex') };
  if (Array.isArray(value)) return value.map((item: unknown) => project(item, ignored));
  if (typeof value !== 'object' || value === null) return value;
  const fields = value as Readonly<Record<string, unknown>>;
  return Object.keys(fields)
    .filter((key) => !ignored.has(key) && !isZero(fields[key]))
    .sort(compareText)
    .map((key) => [key, project(fields[key], ignored)]);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
