/**
 * user-event.ts: an event somebody fired: its bytes on the LAN pool, what it must look like, and whom it is for.
 *
 * Lives here: shape, encoding, filters. Must not live here: which events were seen (event-book.ts), gossip.
 * Source: Consul agent/user_event.go (v1.9.8).
 */
import { decode, encodeSorted, type Value } from '@fed/msgpack';
import { RE2JS, RE2JSSyntaxException } from 're2js';

export interface UserEvent {
  readonly ID: string;
  readonly Name: string;
  readonly Payload: Uint8Array;
  /** Patterns as Go's regexp takes them; '' for everybody. */
  readonly NodeFilter: string;
  readonly ServiceFilter: string;
  readonly TagFilter: string;
  readonly Version: number;
  /** The pool's time of the event; 0 in the answer to who fired it. */
  readonly LTime: bigint;
}

/** Names of events of ours in the pool begin so; others on the same pool mean nothing to us. */
export const poolPrefix = 'consul:event:';
/** A newer version may mean something we would misread. */
const versionMax = 1;

/** Why an event cannot be fired, in the original's words. */
export class UserEventError extends Error {
  override readonly name = 'UserEventError';
  readonly code = 'bad_user_event';
}

/** Throws UserEventError. */
export function newUserEvent(
  o: Pick<UserEvent, 'Name' | 'Payload' | 'NodeFilter' | 'ServiceFilter' | 'TagFilter'>,
  id: Uint8Array,
): UserEvent {
  if (o.Name === '') throw new UserEventError('User event missing name');
  if (o.TagFilter !== '' && o.ServiceFilter === '')
    throw new UserEventError('Cannot provide tag filter without service filter');
  for (const [what, filter] of [
    ['node', o.NodeFilter],
    ['service', o.ServiceFilter],
    ['tag', o.TagFilter],
  ] as const)
    checkPattern(what, filter);
  return { ID: uuidOf(id), ...o, Version: versionMax, LTime: 0n };
}

function checkPattern(what: string, filter: string): void {
  try {
    RE2JS.compile(filter);
  } catch (error) {
    if (!(error instanceof RE2JSSyntaxException)) throw error;
    throw new UserEventError(`Invalid ${what} filter: ${error.message}`, { cause: error });
  }
}

/** Empty fields are left out, as Go does. */
export function encodeUserEvent(event: UserEvent): Uint8Array {
  const wire: Record<string, Value> = { ID: event.ID, n: event.Name, v: event.Version };
  if (event.Payload.length > 0) wire['p'] = event.Payload;
  if (event.NodeFilter !== '') wire['nf'] = event.NodeFilter;
  if (event.ServiceFilter !== '') wire['sf'] = event.ServiceFilter;
  if (event.TagFilter !== '') wire['tf'] = event.TagFilter;
  return encodeSorted(wire);
}

const payloadIsBytes = { binaryKeys: new Set(['p']) };

/** Undefined for what is no event, or one of a version that did not exist yet. */
export function decodeUserEvent(bytes: Uint8Array, ltime: bigint): UserEvent | undefined {
  let wire: { readonly [key: string]: unknown };
  try {
    wire = (decode(bytes, payloadIsBytes) ?? {}) as { readonly [key: string]: unknown };
  } catch {
    return undefined;
  }
  const text = (key: string): string => (typeof wire[key] === 'string' ? wire[key] : '');
  const Version = wire['v'] ?? 0;
  if (typeof Version !== 'number' || Version > versionMax || !uuid.test(text('ID')) || text('n') === '')
    return undefined;
  return {
    ID: text('ID'),
    Name: text('n'),
    Payload: wire['p'] instanceof Uint8Array ? wire['p'] : new Uint8Array(0),
    NodeFilter: text('nf'),
    ServiceFilter: text('sf'),
    TagFilter: text('tf'),
    Version,
    LTime: ltime,
  };
}

/** Whether a node with these services is meant. A pattern that does not compile means nobody. */
export function isFor(
  event: UserEvent,
  node: string,
  services: Iterable<{ readonly Service: string; readonly Tags: readonly string[] | null }>,
): boolean {
  try {
    if (event.NodeFilter !== '' && !RE2JS.compile(event.NodeFilter).test(node)) return false;
    if (event.ServiceFilter === '') return true;
    const name = RE2JS.compile(event.ServiceFilter);
    const tag = RE2JS.compile(event.TagFilter);
    for (const { Service, Tags } of services) {
      if (!name.test(Service)) continue;
      if (event.TagFilter === '' || (Tags ?? []).some((each) => tag.test(each))) return true;
    }
    return false;
  } catch (error) {
    if (!(error instanceof RE2JSSyntaxException)) throw error;
    return false;
  }
}

const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

function uuidOf(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** What clients wait on: events have no order of their own, so the last one's id stands for all before it. */
export function indexOf(event: UserEvent | undefined): bigint {
  if (event === undefined) return 1n;
  const hex = event.ID.replaceAll('-', '');
  return BigInt(`0x${hex.slice(0, 16)}`) ^ BigInt(`0x${hex.slice(16)}`);
}
