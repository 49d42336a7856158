/**
 * go-json.ts: reads the recorded vectors, and shows our messages in the shape the vectors have.
 */
import { readFileSync } from 'node:fs';
import { decodeFilter, decodeMessage } from '../src/wire/decode.ts';
import { type Message, messageType } from '../src/wire/message.ts';

// biome-ignore lint/suspicious/noExplicitAny: vectors are JSON of many shapes; each test reads what it needs
export type Json = any;

export function vectorFile(name: string): { readonly vectors: readonly Json[] } {
  return JSON.parse(readFileSync(new URL(`./vectors/${name}.json`, import.meta.url), 'utf8'));
}

export function hex(text: string): Uint8Array {
  return Buffer.from(text, 'hex');
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

const goName: Record<string, string> = Object.fromEntries(Object.keys(messageType).map((k) => [k, k]));

/** `{type, typeName, message}` as the vectors have it; nil and empty are one. */
export function goShape(m: Message): Json {
  const type = messageType[m.kind];
  const typeName = goName[m.kind];
  if (m.kind === 'relay')
    return {
      header: { DestAddr: { IP: bytes(m.addr), Port: m.port, Zone: m.zone }, DestName: m.node },
      inside: goShape(decodeMessage(m.inner)),
      type,
      typeName,
    };
  return { message: goMessage(m), type, typeName };
}

function goMessage(m: Exclude<Message, { kind: 'relay' }>): Json {
  switch (m.kind) {
    case 'leave':
      return { LTime: m.ltime, Node: m.node, Prune: m.prune };
    case 'join':
      return { LTime: m.ltime, Node: m.node };
    case 'userEvent':
      return { CC: m.coalesce, LTime: m.ltime, Name: m.name, Payload: bytes(m.payload) };
    case 'query':
      return {
        Addr: bytes(m.addr),
        Filters: (m.filters ?? []).map(bytes),
        Flags: m.flags,
        ID: m.id,
        LTime: m.ltime,
        Name: m.name,
        Payload: bytes(m.payload),
        Port: m.port,
        RelayFactor: m.relayFactor,
        SourceNode: m.sourceNode,
        Timeout: m.timeoutNs,
      };
    case 'queryResponse':
      return { Flags: m.flags, From: m.from, ID: m.id, LTime: m.ltime, Payload: bytes(m.payload) };
    case 'keyRequest':
      return { Key: bytes(m.key) };
    case 'keyResponse':
      return { Keys: m.keys ?? [], Message: m.message, PrimaryKey: m.primaryKey, Result: m.result };
    case 'conflictResponse':
      return {
        Addr: bytes(m.member?.addr ?? null),
        DelegateCur: m.member?.delegateCur ?? 0,
        DelegateMax: m.member?.delegateMax ?? 0,
        DelegateMin: m.member?.delegateMin ?? 0,
        Name: m.member?.name ?? '',
        Port: m.member?.port ?? 0,
        ProtocolCur: m.member?.protocolCur ?? 0,
        ProtocolMax: m.member?.protocolMax ?? 0,
        ProtocolMin: m.member?.protocolMin ?? 0,
        Status: m.member?.status ?? 0,
        Tags: { ...m.member?.tags },
      };
    case 'pushPull':
      return {
        EventLTime: m.eventLTime,
        Events: (m.events ?? []).map(
          (slot) =>
            slot && {
              Events: slot.events.map((e) => ({ Name: e.name, Payload: bytes(e.payload) })),
              LTime: slot.ltime,
            },
        ),
        LTime: m.ltime,
        LeftMembers: m.leftMembers ?? [],
        QueryLTime: m.queryLTime,
        StatusLTimes: Object.fromEntries(m.statusLTimes ?? []),
      };
  }
}

export function goFilter(encoded: Uint8Array): Json {
  const f = decodeFilter(encoded);
  return f.kind === 'nodes' ? { nodes: f.names, type: 0 } : { expr: f.expression, tag: f.tag, type: 1 };
}

const nullable = new Set(['Payload', 'Addr', 'IP', 'Key']);
const lists = new Set(['Filters', 'Keys', 'LeftMembers']);

/** A recorded value made comparable: integers of 64 bits as bigint, nil as empty. */
export function comparable(value: Json, key = ''): Json {
  if (value === null && nullable.has(key)) return '';
  if (value === null && (lists.has(key) || (key === 'Events' && value === null))) return [];
  if (value === null && (key === 'Tags' || key === 'StatusLTimes')) return {};
  if (value === null) return null;
  if (typeof value === 'number' || typeof value === 'bigint')
    return Number.isInteger(Number(value)) ? BigInt(value) : value;
  if (typeof value !== 'object') return value;
  if (value instanceof Uint8Array) return toHex(value);
  if ('$bytes' in value) return value.$bytes;
  if ('$bigint' in value) return BigInt(value.$bigint);
  if ('$float' in value) return Number(String(value.$float).replace('Inf', 'Infinity'));
  if (Array.isArray(value)) return value.map((v) => comparable(v));
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, comparable(v, k)]));
}

function bytes(b: Uint8Array | null): Json {
  return { $bytes: b === null ? '' : toHex(b) };
}
