/**
 * decode.ts: reads a message as tolerantly as Go does.
 *
 * Keys come in any order; unknown ones are skipped, missing ones are zero, the last of duplicates counts; nil is zero;
 * a list stands for the fields in their declared order, surplus ones skipped. A value of another type fails the whole
 * message. go-msgpack codec/decode.go; the orders are those of memberlist's structs in net.go.
 * Lives here: the fields of each message. Must not live here: how they are written (codec.ts), what they mean.
 */
import { MsgpackError, Reader } from '@fed/msgpack';
import { WireError } from './errors.ts';
import {
  type Ack,
  type Alive,
  type Dead,
  type ErrorMessage,
  type IndirectPing,
  type Message,
  messageType,
  type Nack,
  type Ping,
  type Suspect,
} from './message.ts';

export const u16Max = 0xffff;
export const u32Max = 0xffff_ffff;

export type Mutable<T> = { -readonly [K in keyof T]: T[K] };

const noBytes: Uint8Array = new Uint8Array(0);

/**
 * Bytes in the result are views into `bytes`: copy what is kept. Bytes behind the message are ignored.
 * @throws WireError empty | unknown_type | truncated | malformed | out_of_range | too_deep
 */
export function decodeMessage(bytes: Uint8Array): Message {
  if (bytes.length === 0) throw new WireError('empty', 'missing message type byte');
  const type = bytes[0]!;
  if (type === messageType.user) return { kind: 'user', payload: bytes.subarray(1) };
  try {
    return readMessage(type, new Reader(bytes, 1));
  } catch (cause) {
    throw wireErrorOf(cause);
  }
}

/**
 * The body of a message that is a single msgpack value (all but the user message).
 * @throws WireError unknown_type, and MsgpackError
 */
export function readMessage(type: number, r: Reader): Message {
  switch (type) {
    case messageType.ping:
      return readPing(r);
    case messageType.indirectPing:
      return readIndirectPing(r);
    case messageType.ack:
      return readAck(r);
    case messageType.nack:
      return readNack(r);
    case messageType.suspect:
      return readAccusation('suspect', r);
    case messageType.dead:
      return readAccusation('dead', r);
    case messageType.alive:
      return readAlive(r);
    case messageType.err:
      return readError(r);
  }
  throw new WireError('unknown_type', `message type ${type} is not supported here`);
}

/** What the msgpack layer found is the peer's fault too; anything else is passed on as it is. */
export function wireErrorOf(cause: unknown): unknown {
  if (!(cause instanceof MsgpackError)) return cause;
  const code = cause.code === 'wrong_type' ? 'malformed' : cause.code;
  return new WireError(code, cause.message, { cause });
}

/** Whether a struct comes as a list. Asked before `structSize`. */
export function isStructList(r: Reader): boolean {
  const descriptor = r.peek();
  return (descriptor & 0xf0) === 0x90 || descriptor === 0xdc || descriptor === 0xdd;
}

/** How many fields a struct announces; a nil has none. */
export function structSize(r: Reader, list: boolean): number {
  return list ? r.array() : r.map();
}

const pingOrder = ['SeqNo', 'Node', 'SourceAddr', 'SourcePort', 'SourceNode'];

function readPing(r: Reader): Ping {
  let seqNo = 0;
  let node = '';
  let sourceAddr = noBytes;
  let sourcePort = 0;
  let sourceNode = '';
  const list = isStructList(r);
  const size = structSize(r, list);
  for (let index = 0; index < size; index++) {
    switch (list ? pingOrder[index] : r.key()) {
      case 'SeqNo':
        seqNo = r.uint(u32Max);
        break;
      case 'Node':
        node = r.str();
        break;
      case 'SourceAddr':
        sourceAddr = r.bytes();
        break;
      case 'SourcePort':
        sourcePort = r.uint(u16Max);
        break;
      case 'SourceNode':
        sourceNode = r.str();
        break;
      default:
        r.skip();
    }
  }
  const ping: Mutable<Ping> = { kind: 'ping', seqNo, node };
  return withSource(ping, sourceAddr, sourcePort, sourceNode);
}

function withSource<M extends Mutable<Pick<Ping, 'sourceAddr' | 'sourcePort' | 'sourceNode'>>>(
  m: M,
  addr: Uint8Array,
  port: number,
  node: string,
): M {
  if (addr.length > 0) m.sourceAddr = addr;
  if (port > 0) m.sourcePort = port;
  if (node !== '') m.sourceNode = node;
  return m;
}

const indirectPingOrder = [
  'SeqNo',
  'Target',
  'Port',
  'Node',
  'Nack',
  'SourceAddr',
  'SourcePort',
  'SourceNode',
];

function readIndirectPing(r: Reader): IndirectPing {
  const m: Mutable<IndirectPing> = {
    kind: 'indirectPing',
    seqNo: 0,
    target: noBytes,
    port: 0,
    node: '',
    nack: false,
  };
  let sourceAddr: Uint8Array = noBytes;
  let sourcePort = 0;
  let sourceNode = '';
  const list = isStructList(r);
  const size = structSize(r, list);
  for (let index = 0; index < size; index++) {
    switch (list ? indirectPingOrder[index] : r.key()) {
      case 'SeqNo':
        m.seqNo = r.uint(u32Max);
        break;
      case 'Target':
        m.target = r.bytes();
        break;
      case 'Port':
        m.port = r.uint(u16Max);
        break;
      case 'Node':
        m.node = r.str();
        break;
      case 'Nack':
        m.nack = r.bool();
        break;
      case 'SourceAddr':
        sourceAddr = r.bytes();
        break;
      case 'SourcePort':
        sourcePort = r.uint(u16Max);
        break;
      case 'SourceNode':
        sourceNode = r.str();
        break;
      default:
        r.skip();
    }
  }
  return withSource(m, sourceAddr, sourcePort, sourceNode);
}

const ackOrder = ['SeqNo', 'Payload'];

function readAck(r: Reader): Ack {
  const m: Mutable<Ack> = { kind: 'ack', seqNo: 0, payload: noBytes };
  const list = isStructList(r);
  const size = structSize(r, list);
  for (let index = 0; index < size; index++) {
    switch (list ? ackOrder[index] : r.key()) {
      case 'SeqNo':
        m.seqNo = r.uint(u32Max);
        break;
      case 'Payload':
        m.payload = r.bytes();
        break;
      default:
        r.skip();
    }
  }
  return m;
}

const nackOrder = ['SeqNo'];

function readNack(r: Reader): Nack {
  let seqNo = 0;
  const list = isStructList(r);
  const size = structSize(r, list);
  for (let index = 0; index < size; index++) {
    if ((list ? nackOrder[index] : r.key()) === 'SeqNo') seqNo = r.uint(u32Max);
    else r.skip();
  }
  return { kind: 'nack', seqNo };
}

const accusationOrder = ['Incarnation', 'Node', 'From'];

function readAccusation<K extends 'suspect' | 'dead'>(kind: K, r: Reader): K extends 'dead' ? Dead : Suspect;
function readAccusation(kind: 'suspect' | 'dead', r: Reader): Suspect | Dead {
  let incarnation = 0;
  let node = '';
  let from = '';
  const list = isStructList(r);
  const size = structSize(r, list);
  for (let index = 0; index < size; index++) {
    switch (list ? accusationOrder[index] : r.key()) {
      case 'Incarnation':
        incarnation = r.uint(u32Max);
        break;
      case 'Node':
        node = r.str();
        break;
      case 'From':
        from = r.str();
        break;
      default:
        r.skip();
    }
  }
  return { kind, incarnation, node, from };
}

const aliveOrder = ['Incarnation', 'Node', 'Addr', 'Port', 'Meta', 'Vsn'];

function readAlive(r: Reader): Alive {
  const m: Mutable<Alive> = {
    kind: 'alive',
    incarnation: 0,
    node: '',
    addr: noBytes,
    port: 0,
    meta: noBytes,
    vsn: noBytes,
  };
  const list = isStructList(r);
  const size = structSize(r, list);
  for (let index = 0; index < size; index++) {
    switch (list ? aliveOrder[index] : r.key()) {
      case 'Incarnation':
        m.incarnation = r.uint(u32Max);
        break;
      case 'Node':
        m.node = r.str();
        break;
      case 'Addr':
        m.addr = r.bytes();
        break;
      case 'Port':
        m.port = r.uint(u16Max);
        break;
      case 'Meta':
        m.meta = r.bytes();
        break;
      case 'Vsn':
        m.vsn = r.bytes();
        break;
      default:
        r.skip();
    }
  }
  return m;
}

const errorOrder = ['Error'];

function readError(r: Reader): ErrorMessage {
  let error = '';
  const list = isStructList(r);
  const size = structSize(r, list);
  for (let index = 0; index < size; index++) {
    if ((list ? errorOrder[index] : r.key()) === 'Error') error = r.str();
    else r.skip();
  }
  return { kind: 'err', error };
}
