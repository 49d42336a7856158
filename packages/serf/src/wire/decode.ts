/**
 * decode.ts: bytes of a peer to a serf message, or a WireError.
 *
 * Payloads, addresses and the inside of a relay are views into the input: whoever keeps them copies them.
 * Lives here: bytes to shapes, and the bounds on lists. Must not live here: what to do with a message.
 * serf messages.go, `decodeMessage`; field orders from the struct declarations there.
 */
import { Reader } from '@fed/msgpack';
import { WireError } from '../errors.ts';
import type {
  ConflictMember,
  Filter,
  KeyResponse,
  LamportTime,
  Message,
  PushPull,
  QueryMessage,
  Relay,
  UserEventsAt,
} from './message.ts';
import { decoding, readBytes, readI64, readList, readStruct, readU64 } from './struct.ts';

/** Slots of an event buffer in a push/pull. Go's default is 512; a peer may have configured more. */
const pushPullEventSlotsMax = 65_536;
/** Members in one push/pull, and events in one slot of it: more than any pool has. Guards our memory. */
const pushPullEntriesMax = 1_048_576;
/** Filters of a query and names in a filter; a query of 1024 bytes holds fewer. */
const filterEntriesMax = 65_536;
/** Keys a member can list; thousands of times what a ring holds. */
const keysMax = 65_536;

const u16Max = 0xffff;
const u32Max = 0xffff_ffff;

/** One whole message, type byte first. Throws WireError. */
export function decodeMessage(bytes: Uint8Array): Message {
  const type = bytes[0];
  if (type === undefined) throw new WireError('empty', 'a message of no bytes');
  const r = new Reader(bytes, 1);
  switch (type) {
    case 0:
      return decoding('leave', () => leave(r));
    case 1:
      return decoding('join', () => join(r));
    case 2:
      return decoding('push/pull', () => pushPull(r));
    case 3:
      return decoding('user event', () => userEvent(r));
    case 4:
      return decoding('query', () => query(r));
    case 5:
      return decoding('query response', () => queryResponse(r));
    case 6:
      return decoding('conflict response', () => {
        if (bytes.length > 1 && r.isNil()) return { kind: 'conflictResponse', member: undefined };
        return { kind: 'conflictResponse', member: conflictMember(r) };
      });
    case 7:
      return decoding('key request', () => {
        let key: Uint8Array | null = null;
        readStruct(r, ['Key'], () => {
          key = readBytes(r);
        });
        return { kind: 'keyRequest', key };
      });
    case 8:
      return decoding('key response', () => keyResponse(r));
    case 9:
      return decoding('relay', () => relay(r, bytes));
  }
  throw new WireError('unknown_type', `message type ${type} is not known`);
}

/** Throws WireError; 'unknown_type' for a kind of filter that no release has. */
export function decodeFilter(bytes: Uint8Array): Filter {
  const r = new Reader(bytes, 1);
  switch (bytes[0]) {
    case undefined:
      throw new WireError('empty', 'a filter of no bytes');
    case 0:
      return decoding('node filter', () => ({
        kind: 'nodes',
        names: readList(r, filterEntriesMax, () => r.str()) ?? [],
      }));
    case 1:
      return decoding('tag filter', () => {
        let tag = '';
        let expression = '';
        readStruct(r, ['Tag', 'Expr'], (field) => {
          if (field === 'Tag') tag = r.str();
          else expression = r.str();
        });
        return { kind: 'tag', tag, expression };
      });
  }
  throw new WireError('unknown_type', `filter type ${bytes[0]} is not known`);
}

function leave(r: Reader): Message {
  let ltime = 0n;
  let node = '';
  let prune = false;
  readStruct(r, ['LTime', 'Node', 'Prune'], (field) => {
    if (field === 'LTime') ltime = readU64(r);
    else if (field === 'Node') node = r.str();
    else prune = r.bool();
  });
  return { kind: 'leave', ltime, node, prune };
}

function join(r: Reader): Message {
  let ltime = 0n;
  let node = '';
  readStruct(r, ['LTime', 'Node'], (field) => {
    if (field === 'LTime') ltime = readU64(r);
    else node = r.str();
  });
  return { kind: 'join', ltime, node };
}

function userEvent(r: Reader): Message {
  let ltime = 0n;
  let name = '';
  let payload: Uint8Array | null = null;
  let coalesce = false;
  readStruct(r, ['LTime', 'Name', 'Payload', 'CC'], (field) => {
    if (field === 'LTime') ltime = readU64(r);
    else if (field === 'Name') name = r.str();
    else if (field === 'Payload') payload = readBytes(r);
    else coalesce = r.bool();
  });
  return { kind: 'userEvent', ltime, name, payload, coalesce };
}

function queryResponse(r: Reader): Message {
  let ltime = 0n;
  let id = 0;
  let from = '';
  let flags = 0;
  let payload: Uint8Array | null = null;
  readStruct(r, ['LTime', 'ID', 'From', 'Flags', 'Payload'], (field) => {
    if (field === 'LTime') ltime = readU64(r);
    else if (field === 'ID') id = r.uint(u32Max);
    else if (field === 'From') from = r.str();
    else if (field === 'Flags') flags = r.uint(u32Max);
    else payload = readBytes(r);
  });
  return { kind: 'queryResponse', ltime, id, from, flags, payload };
}

const queryFields = [
  'LTime',
  'ID',
  'Addr',
  'Port',
  'SourceNode',
  'Filters',
  'Flags',
  'RelayFactor',
  'Timeout',
  'Name',
  'Payload',
] as const;

function query(r: Reader): QueryMessage {
  const q: { -readonly [K in keyof QueryMessage]: QueryMessage[K] } = {
    kind: 'query',
    ltime: 0n,
    id: 0,
    addr: null,
    port: 0,
    sourceNode: '',
    filters: null,
    flags: 0,
    relayFactor: 0,
    timeoutNs: 0n,
    name: '',
    payload: null,
  };
  readStruct(r, queryFields, (field) => {
    if (field === 'LTime') q.ltime = readU64(r);
    else if (field === 'ID') q.id = r.uint(u32Max);
    else if (field === 'Addr') q.addr = readBytes(r);
    else if (field === 'Port') q.port = r.uint(u16Max);
    else if (field === 'SourceNode') q.sourceNode = r.str();
    else if (field === 'Filters') q.filters = readList(r, filterEntriesMax, () => r.bytes());
    else if (field === 'Flags') q.flags = r.uint(u32Max);
    else if (field === 'RelayFactor') q.relayFactor = r.uint(0xff);
    else if (field === 'Timeout') q.timeoutNs = readI64(r);
    else if (field === 'Name') q.name = r.str();
    else q.payload = readBytes(r);
  });
  return q;
}

const pushPullFields = [
  'LTime',
  'StatusLTimes',
  'LeftMembers',
  'EventLTime',
  'Events',
  'QueryLTime',
] as const;

function pushPull(r: Reader): PushPull {
  const p: { -readonly [K in keyof PushPull]: PushPull[K] } = {
    kind: 'pushPull',
    ltime: 0n,
    statusLTimes: null,
    leftMembers: null,
    eventLTime: 0n,
    events: null,
    queryLTime: 0n,
  };
  readStruct(r, pushPullFields, (field) => {
    if (field === 'LTime') p.ltime = readU64(r);
    else if (field === 'StatusLTimes') p.statusLTimes = statusLTimes(r);
    else if (field === 'LeftMembers') p.leftMembers = readList(r, pushPullEntriesMax, () => r.str());
    else if (field === 'EventLTime') p.eventLTime = readU64(r);
    else if (field === 'Events') p.events = readList(r, pushPullEventSlotsMax, () => eventsAt(r));
    else p.queryLTime = readU64(r);
  });
  return p;
}

function statusLTimes(r: Reader): Map<string, LamportTime> | null {
  const size = r.map();
  if (size < 0) return null;
  if (size > pushPullEntriesMax) throw new WireError('too_many', `a push/pull with ${size} members`);
  const out = new Map<string, LamportTime>();
  for (let i = 0; i < size; i++) {
    const name = r.str();
    out.set(name, readU64(r));
  }
  return out;
}

function eventsAt(r: Reader): UserEventsAt | null {
  if (r.nil()) return null;
  let ltime = 0n;
  let events: UserEventsAt['events'] = [];
  readStruct(r, ['LTime', 'Events'], (field) => {
    if (field === 'LTime') ltime = readU64(r);
    else events = readList(r, pushPullEntriesMax, () => eventAt(r)) ?? [];
  });
  return { ltime, events };
}

function eventAt(r: Reader): UserEventsAt['events'][number] {
  let name = '';
  let payload: Uint8Array | null = null;
  readStruct(r, ['Name', 'Payload'], (field) => {
    if (field === 'Name') name = r.str();
    else payload = readBytes(r);
  });
  return { name, payload };
}

const memberFields = [
  'Name',
  'Addr',
  'Port',
  'Tags',
  'Status',
  'ProtocolMin',
  'ProtocolMax',
  'ProtocolCur',
  'DelegateMin',
  'DelegateMax',
  'DelegateCur',
] as const;

function conflictMember(r: Reader): ConflictMember {
  const m: { -readonly [K in keyof ConflictMember]: ConflictMember[K] } = {
    name: '',
    addr: null,
    port: 0,
    tags: null,
    status: 0,
    protocolMin: 0,
    protocolMax: 0,
    protocolCur: 0,
    delegateMin: 0,
    delegateMax: 0,
    delegateCur: 0,
  };
  readStruct(r, memberFields, (field) => {
    if (field === 'Name') m.name = r.str();
    else if (field === 'Addr') m.addr = readBytes(r);
    else if (field === 'Port') m.port = r.uint(u16Max);
    else if (field === 'Tags') m.tags = readTags(r);
    else if (field === 'Status') m.status = Number(readI64(r));
    else if (field === 'ProtocolMin') m.protocolMin = r.uint(0xff);
    else if (field === 'ProtocolMax') m.protocolMax = r.uint(0xff);
    else if (field === 'ProtocolCur') m.protocolCur = r.uint(0xff);
    else if (field === 'DelegateMin') m.delegateMin = r.uint(0xff);
    else if (field === 'DelegateMax') m.delegateMax = r.uint(0xff);
    else m.delegateCur = r.uint(0xff);
  });
  return m;
}

/** A map of text to text without a prototype, so that no tag name can mean anything to JavaScript; null for nil. */
export function readTags(r: Reader): Record<string, string> | null {
  const size = r.map();
  if (size < 0) return null;
  const tags = Object.create(null) as Record<string, string>;
  for (let i = 0; i < size; i++) {
    const name = r.str();
    tags[name] = r.str();
  }
  return tags;
}

function keyResponse(r: Reader): KeyResponse {
  let result = false;
  let message = '';
  let keys: string[] | null = null;
  let primaryKey = '';
  readStruct(r, ['Result', 'Message', 'Keys', 'PrimaryKey'], (field) => {
    if (field === 'Result') result = r.bool();
    else if (field === 'Message') message = r.str();
    else if (field === 'Keys') keys = readList(r, keysMax, () => r.str());
    else primaryKey = r.str();
  });
  return { kind: 'keyResponse', result, message, keys, primaryKey };
}

function relay(r: Reader, bytes: Uint8Array): Relay {
  let addr: Uint8Array | null = null;
  let port = 0;
  let zone = '';
  let node = '';
  readStruct(r, ['DestAddr', 'DestName'], (field) => {
    if (field === 'DestName') {
      node = r.str();
      return;
    }
    readStruct(r, ['IP', 'Port', 'Zone'], (part) => {
      if (part === 'IP') addr = readBytes(r);
      else if (part === 'Port') port = r.uint(u16Max);
      else zone = r.str();
    });
  });
  return { kind: 'relay', addr, port, zone, node, inner: bytes.subarray(r.offset) };
}
