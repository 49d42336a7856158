/**
 * go-form.ts: the recorded vectors, and our messages in the form in which Go printed its own.
 *
 * Lives here: loading and comparing. Must not live here: expectations (those are in the recorded files).
 */
import { readFileSync } from 'node:fs';
import { Keyring } from '../../src/wire/keyring.ts';
import { lzwCompressInto, lzwLengthMax } from '../../src/wire/lzw.ts';
import type { Message, NodeState, NodeStateCode } from '../../src/wire/message.ts';
import type { StreamMessage } from '../../src/wire/stream.ts';

export interface GoBytes {
  readonly $bytes: string;
}

type GoField =
  | (
      | 'Addr'
      | 'Error'
      | 'From'
      | 'Incarnation'
      | 'Join'
      | 'Meta'
      | 'Nack'
      | 'Name'
      | 'Node'
      | 'Nodes'
      | 'Payload'
    )
  | (
      | 'Port'
      | 'SeqNo'
      | 'SourceAddr'
      | 'SourceNode'
      | 'SourcePort'
      | 'State'
      | 'Target'
      | 'UserStateLen'
      | 'Vsn'
    )
  | ('payload' | 'tags');

/** Struct fields as Go names them. */
export type GoStruct = { readonly [F in GoField]?: GoBytes | string | number | boolean | null };

export interface Decoded {
  readonly type: number;
  readonly typeName: string;
  readonly error?: string;
  readonly message?: GoStruct;
  readonly payload?: GoBytes | object;
  readonly serf?: { readonly type: number };
  readonly parts?: readonly Decoded[];
  readonly truncated?: number;
  readonly inside?: Decoded;
  readonly header?: GoStruct;
  readonly nodes?: readonly GoStruct[];
  readonly userState?: GoBytes | object;
  readonly encrypted?: { readonly version: 0 | 1; readonly nonce: string };
  readonly plain?: string;
  readonly uncompressed?: string;
}

export interface Vector {
  readonly name: string;
  readonly description: string;
  readonly kind?: string;
  readonly hex: string;
  readonly decoded: Decoded | null;
  readonly key?: string;
  readonly nonce?: string;
  readonly label?: string;
  readonly encryptionVersion?: 0 | 1;
  readonly plain?: string;
  readonly request?: string;
}

export function load<V = Vector>(file: string): readonly V[] {
  const text = readFileSync(new URL(`../vectors/${file}.json`, import.meta.url), 'utf8');
  return (JSON.parse(text) as { vectors: V[] }).vectors;
}

export function bytes(hex: string): Uint8Array {
  return Buffer.from(hex, 'hex');
}

export function hex(of: Uint8Array): string {
  return Buffer.from(of).toString('hex');
}

export function ringOf(...keys: readonly string[]): Keyring | undefined {
  return keys.length === 0 ? undefined : new Keyring(keys.map(bytes), bytes(keys[0]!));
}

/** For the `randomBytes` port: always this nonce. */
export function always(nonce: string | undefined): (n: number) => Uint8Array {
  return () => bytes(nonce ?? '');
}

/** Everything a packet carries, in wire order. */
export function leavesOf(decoded: Decoded): readonly Decoded[] {
  if (decoded.parts !== undefined) return decoded.parts.flatMap(leavesOf);
  return decoded.inside === undefined ? [decoded] : leavesOf(decoded.inside);
}

/** Nil and empty bytes as one: ''. */
export function goStruct(struct: GoStruct): GoStruct {
  const bytesFields = ['SourceAddr', 'Target', 'Payload', 'Addr', 'Meta', 'Vsn'];
  const flat = Object.entries(struct).map(([field, value]) => {
    if (bytesFields.includes(field)) return [field, value === null ? '' : (value as GoBytes).$bytes];
    return [field, value];
  });
  return Object.fromEntries(flat) as GoStruct;
}

/** Our message as Go prints it. */
export function goForm(m: Message): GoStruct {
  switch (m.kind) {
    case 'ping':
      return { Node: m.node, SeqNo: m.seqNo, ...goSource(m) };
    case 'indirectPing':
      return {
        Nack: m.nack,
        Node: m.node,
        Port: m.port,
        SeqNo: m.seqNo,
        Target: hex(m.target),
        ...goSource(m),
      };
    case 'ack':
      return { Payload: hex(m.payload), SeqNo: m.seqNo };
    case 'nack':
      return { SeqNo: m.seqNo };
    case 'suspect':
    case 'dead':
      return { From: m.from, Incarnation: m.incarnation, Node: m.node };
    case 'alive':
      return {
        Addr: hex(m.addr),
        Incarnation: m.incarnation,
        Meta: hex(m.meta),
        Node: m.node,
        Port: m.port,
        Vsn: hex(m.vsn),
      };
    case 'err':
      return { Error: m.error };
    case 'user':
      return { payload: hex(m.payload) };
  }
}

function goSource(m: { sourceAddr?: Uint8Array; sourcePort?: number; sourceNode?: string }): GoStruct {
  return {
    SourceAddr: m.sourceAddr === undefined ? '' : hex(m.sourceAddr),
    SourceNode: m.sourceNode ?? '',
    SourcePort: m.sourcePort ?? 0,
  };
}

export function goNode(node: NodeState): GoStruct {
  return {
    Addr: hex(node.addr),
    Incarnation: node.incarnation,
    Meta: hex(node.meta),
    Name: node.name,
    Port: node.port,
    State: node.state,
    Vsn: hex(node.vsn),
  };
}

export const kindOf: Readonly<Record<string, StreamMessage['kind'] | Message['kind']>> = {
  ping: 'ping',
  indirectPing: 'indirectPing',
  ackResp: 'ack',
  nackResp: 'nack',
  suspect: 'suspect',
  dead: 'dead',
  alive: 'alive',
  user: 'user',
  err: 'err',
  pushPull: 'pushPull',
};

/** What Go read, as our message, so that it can be written again. */
export function messageOf(decoded: Decoded): Message {
  const kind = kindOf[decoded.typeName];
  if (kind === 'user') return { kind, payload: bytes((decoded.payload as GoBytes).$bytes) };
  const go = goStruct(decoded.message!);
  const text = (field: GoField): string => go[field] as string;
  const number = (field: GoField): number => go[field] as number;
  const raw = (field: GoField): Uint8Array => bytes(text(field) ?? '');
  const source = {
    sourceAddr: raw('SourceAddr'),
    sourcePort: number('SourcePort'),
    sourceNode: text('SourceNode'),
  };
  const seqNo = number('SeqNo');
  const incarnation = number('Incarnation');
  const node = text('Node');
  switch (kind) {
    case 'ping':
      return { kind, seqNo, node, ...source };
    case 'indirectPing':
      return {
        kind,
        seqNo,
        target: raw('Target'),
        port: number('Port'),
        node,
        nack: go.Nack === true,
        ...source,
      };
    case 'ack':
      return { kind, seqNo, payload: raw('Payload') };
    case 'nack':
      return { kind, seqNo };
    case 'suspect':
    case 'dead':
      return { kind, incarnation, node, from: text('From') };
    case 'alive':
      return {
        kind,
        incarnation,
        node,
        addr: raw('Addr'),
        port: number('Port'),
        meta: raw('Meta'),
        vsn: raw('Vsn'),
      };
    case 'err':
      return { kind, error: text('Error') };
  }
  throw new Error(`no message of its own: ${decoded.typeName}`);
}

export function nodeOf(struct: GoStruct): NodeState {
  const go = goStruct(struct);
  return {
    name: go.Name as string,
    addr: bytes(go.Addr as string),
    port: go.Port as number,
    meta: bytes(go.Meta as string),
    incarnation: go.Incarnation as number,
    state: go.State as NodeStateCode,
    vsn: bytes(go.Vsn as string),
  };
}

/** Payloads and meta that Go wrote as empty bytes (a0), as we write them: nil. */
export function withNilBytes(message: string): string {
  return message.replace(/(a75061796c6f6164|a44d657461)a0/g, '$1c0');
}

/** Signed counts of the newer codec (d1) as we write them. */
export function withUnsignedCounts(message: string): string {
  const counts = /(a54e6f646573|ac5573657253746174654c656e)d1(..)(..)/g;
  return message.replace(counts, (_, field, high, low) =>
    high === '00' ? `${field}cc${low}` : `${field}cd${high}${low}`,
  );
}

/** The same value with all bytes as hex, whatever class of view they are. */
export function plain(of: unknown): unknown {
  if (of instanceof Uint8Array) return hex(of);
  if (Array.isArray(of)) return of.map(plain);
  if (of === null || typeof of !== 'object') return of;
  return Object.fromEntries(Object.entries(of).map(([field, value]) => [field, plain(value)]));
}

export function lzwCompress(input: Uint8Array): Uint8Array {
  const into = new Uint8Array(lzwLengthMax(input.length));
  return into.subarray(0, lzwCompressInto(input, into, 0, into.length));
}
