/**
 * encode.ts: writes serf messages byte for byte as Go does: keys sorted, integers in the smallest unsigned form.
 *
 * Lives here: shapes to bytes. Must not live here: bytes to shapes (decode.ts), size limits (core/ decides).
 * serf messages.go, `encodeMessage`, `encodeRelayMessage`, `encodeFilter`.
 */
import { Writer } from '@fed/msgpack';
import {
  type ConflictMember,
  type Filter,
  type Message,
  messageType,
  type PushPull,
  type QueryMessage,
} from './message.ts';

const writer: Writer = new Writer(1_024);

/** Type byte and body; for a relay also the message inside. */
export function encodeMessage(m: Message): Uint8Array {
  try {
    write(writer.u8(messageType[m.kind]), m);
    return writer.take();
  } catch (cause) {
    writer.take(); // what was half written must not lead the next message
    throw cause;
  }
}

export function encodeFilter(f: Filter): Uint8Array {
  const w = new Writer(64);
  if (f.kind === 'nodes') {
    w.u8(0).array(f.names.length);
    for (const name of f.names) w.str(name);
  } else {
    w.u8(1).map(2).str('Expr').str(f.expression).str('Tag').str(f.tag);
  }
  return w.take();
}

function write(w: Writer, m: Message): void {
  switch (m.kind) {
    case 'leave':
      w.map(3).str('LTime').int(m.ltime).str('Node').str(m.node).str('Prune').bool(m.prune);
      return;
    case 'join':
      w.map(2).str('LTime').int(m.ltime).str('Node').str(m.node);
      return;
    case 'pushPull':
      writePushPull(w, m);
      return;
    case 'userEvent':
      w.map(4).str('CC').bool(m.coalesce).str('LTime').int(m.ltime).str('Name').str(m.name).str('Payload');
      bytes(w, m.payload);
      return;
    case 'query':
      writeQuery(w, m);
      return;
    case 'queryResponse':
      w.map(5).str('Flags').int(m.flags).str('From').str(m.from).str('ID').int(m.id);
      w.str('LTime').int(m.ltime).str('Payload');
      bytes(w, m.payload);
      return;
    case 'conflictResponse':
      if (m.member === undefined) w.nil();
      else writeConflictMember(w, m.member);
      return;
    case 'keyRequest':
      w.map(1).str('Key');
      bytes(w, m.key);
      return;
    case 'keyResponse':
      w.map(4).str('Keys');
      strings(w, m.keys);
      w.str('Message').str(m.message).str('PrimaryKey').str(m.primaryKey).str('Result').bool(m.result);
      return;
    case 'relay':
      w.map(2).str('DestAddr').map(3).str('IP');
      bytes(w, m.addr);
      w.str('Port').int(m.port).str('Zone').str(m.zone).str('DestName').str(m.node).verbatim(m.inner);
      return;
  }
}

function writePushPull(w: Writer, m: PushPull): void {
  w.map(6).str('EventLTime').int(m.eventLTime).str('Events');
  if (m.events === null) w.nil();
  else {
    w.array(m.events.length);
    for (const slot of m.events) {
      if (slot === null) {
        w.nil();
        continue;
      }
      w.map(2).str('Events').array(slot.events.length);
      for (const event of slot.events) {
        w.map(2).str('Name').str(event.name).str('Payload');
        bytes(w, event.payload);
      }
      w.str('LTime').int(slot.ltime);
    }
  }
  w.str('LTime').int(m.ltime).str('LeftMembers');
  strings(w, m.leftMembers);
  w.str('QueryLTime').int(m.queryLTime).str('StatusLTimes');
  if (m.statusLTimes === null) {
    w.nil();
    return;
  }
  w.map(m.statusLTimes.size);
  for (const [name, ltime] of m.statusLTimes) w.str(name).int(ltime);
}

function writeQuery(w: Writer, m: QueryMessage): void {
  w.map(11).str('Addr');
  bytes(w, m.addr);
  w.str('Filters');
  if (m.filters === null) w.nil();
  else {
    w.array(m.filters.length);
    for (const filter of m.filters) w.raw(filter);
  }
  w.str('Flags').int(m.flags).str('ID').int(m.id).str('LTime').int(m.ltime).str('Name').str(m.name);
  w.str('Payload');
  bytes(w, m.payload);
  w.str('Port').int(m.port).str('RelayFactor').int(m.relayFactor).str('SourceNode').str(m.sourceNode);
  w.str('Timeout').int(m.timeoutNs);
}

function writeConflictMember(w: Writer, m: ConflictMember): void {
  w.map(11).str('Addr');
  bytes(w, m.addr);
  w.str('DelegateCur').int(m.delegateCur).str('DelegateMax').int(m.delegateMax);
  w.str('DelegateMin').int(m.delegateMin).str('Name').str(m.name).str('Port').int(m.port);
  w.str('ProtocolCur').int(m.protocolCur).str('ProtocolMax').int(m.protocolMax);
  w.str('ProtocolMin').int(m.protocolMin).str('Status').int(m.status).str('Tags');
  if (m.tags === null) {
    w.nil();
    return;
  }
  const names = Object.keys(m.tags).sort();
  w.map(names.length);
  for (const name of names) w.str(name).str(m.tags[name] ?? '');
}

function bytes(w: Writer, b: Uint8Array | null): void {
  if (b === null) w.nil();
  else w.raw(b);
}

function strings(w: Writer, list: readonly string[] | null): void {
  if (list === null) {
    w.nil();
    return;
  }
  w.array(list.length);
  for (const text of list) w.str(text);
}
