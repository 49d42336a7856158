/**
 * push-pull.ts: one member's whole table: 06, a header with two counts, that many node states, then the user state.
 *
 * Nothing frames it: the reader trusts the counts, so they are held to limits, and nothing is allocated by them.
 * memberlist net.go, `sendLocalState` and `readRemoteState`; state.go, `pushNodeState`.
 * Lives here: the layout, and reading it piece by piece. Must not live here: merging, the layers around it.
 */
import { Reader, Writer } from '@fed/msgpack';
import { encodedKey, writeBytes } from './codec.ts';
import { isStructList, type Mutable, structSize, u16Max, u32Max, wireErrorOf } from './decode.ts';
import { WireError } from './errors.ts';
import { ValueExtent } from './extent.ts';
import { messageType, type NodeState, type NodeStateCode, type PushPull } from './message.ts';

/** Node states in one push/pull, at most; memberlist's own limit since 0.6.0. */
const pushPullNodesMax = 1024 * 1024;
/** User state, and the payload of a user message on a stream, in bytes (20 MiB); memberlist's limit since 0.6.0. */
export const userBytesMax: number = 20 * 1024 * 1024;
/**
 * One msgpack struct on a stream, in bytes (64 KiB): a node state is a name and at most 512 bytes of meta. Guards our
 * memory: one that announces more is refused before it arrives.
 */
const structBytesMax = 64 * 1024;

/** The whole message. Counts are written unsigned, which every release reads. */
export function encodePushPull(state: PushPull): Uint8Array {
  const w = new Writer(256 + state.nodes.length * 128 + state.userState.length);
  w.u8(messageType.pushPull).map(3);
  w.verbatim(key.Join).bool(state.join);
  w.verbatim(key.Nodes).int(state.nodes.length);
  w.verbatim(key.UserStateLen).int(state.userState.length);
  for (const node of state.nodes) {
    w.map(7).verbatim(key.Addr);
    writeBytes(w, node.addr);
    w.verbatim(key.Incarnation).int(node.incarnation).verbatim(key.Meta);
    writeBytes(w, node.meta);
    w.verbatim(key.Name).str(node.name).verbatim(key.Port).int(node.port);
    w.verbatim(key.State).int(node.state).verbatim(key.Vsn);
    writeBytes(w, node.vsn);
  }
  return w.verbatim(state.userState).take();
}

const key = {
  Addr: encodedKey('Addr'),
  Incarnation: encodedKey('Incarnation'),
  Join: encodedKey('Join'),
  Meta: encodedKey('Meta'),
  Name: encodedKey('Name'),
  Nodes: encodedKey('Nodes'),
  Port: encodedKey('Port'),
  State: encodedKey('State'),
  UserMsgLen: encodedKey('UserMsgLen'),
  UserStateLen: encodedKey('UserStateLen'),
  Vsn: encodedKey('Vsn'),
};

/** A user message as streams carry it: 08, {UserMsgLen}, payload. */
export function encodeUserStream(payload: Uint8Array): Uint8Array {
  const w = new Writer(32 + payload.length);
  w.u8(messageType.user).map(1).verbatim(key.UserMsgLen).int(payload.length);
  return w.verbatim(payload).take();
}

/** A value, and where it ends. */
export interface Found<T> {
  readonly value: T;
  readonly end: number;
}

/**
 * The struct that `extent` is at, in what has arrived up to `end`; undefined while it is not all there. Then `extent` is
 * at the value behind it. @throws WireError malformed | out_of_range | too_deep | too_large
 */
export function findStruct<T>(
  extent: ValueExtent,
  bytes: Uint8Array,
  end: number,
  read: (r: Reader) => T,
): Found<T> | undefined {
  const whole = extent.isWhole(bytes, end);
  if (extent.length > structBytesMax) {
    throw new WireError('too_large', `a struct of more than ${structBytesMax} bytes on a stream`);
  }
  if (!whole) return undefined;
  const structEnd = extent.start + extent.length;
  try {
    const value = read(new Reader(bytes, extent.start, structEnd));
    extent.next();
    return { value, end: structEnd };
  } catch (cause) {
    throw wireErrorOf(cause);
  }
}

/** Reads one push/pull as it arrives. `bytes` is what has arrived so far, always from the same start. */
export class PushPullReader {
  readonly #extent: ValueExtent;
  #header: Header | undefined;
  #nodesRead = 0;
  readonly #nodes: NodeState[] = [];

  /** @param offset where the header begins */
  constructor(offset: number) {
    this.#extent = new ValueExtent(offset);
  }

  /** Goes on from where it stopped; undefined while it is not all there. @throws WireError as `findStruct` */
  read(bytes: Uint8Array, end: number): Found<PushPull> | undefined {
    this.#header ??= findStruct(this.#extent, bytes, end, readHeader)?.value;
    if (this.#header === undefined) return undefined;
    for (; this.#nodesRead < this.#header.nodes; this.#nodesRead++) {
      const node = findStruct(this.#extent, bytes, end, readNodeState);
      if (node === undefined) return undefined;
      if (node.value !== undefined) this.#nodes.push(node.value);
    }
    const { start } = this.#extent;
    const stateEnd = start + this.#header.userStateBytes;
    if (stateEnd > end) return undefined;
    const userState = bytes.subarray(start, stateEnd);
    return { value: { join: this.#header.join, nodes: this.#nodes, userState }, end: stateEnd };
  }
}

interface Header {
  readonly nodes: number;
  readonly userStateBytes: number;
  readonly join: boolean;
}

const headerOrder = ['Nodes', 'UserStateLen', 'Join'];

function readHeader(r: Reader): Header {
  const header: Mutable<Header> = { nodes: 0, userStateBytes: 0, join: false };
  const list = isStructList(r);
  const size = structSize(r, list);
  for (let index = 0; index < size; index++) {
    switch (list ? headerOrder[index] : r.key()) {
      case 'Nodes':
        header.nodes = r.uint(pushPullNodesMax);
        break;
      case 'UserStateLen':
        header.userStateBytes = r.uint(userBytesMax);
        break;
      case 'Join':
        header.join = r.bool();
        break;
      default:
        r.skip();
    }
  }
  return header;
}

/** The length a user message on a stream announces. */
export function readUserHeader(r: Reader): number {
  let payloadBytes = 0;
  const list = isStructList(r);
  const size = structSize(r, list);
  for (let index = 0; index < size; index++) {
    if ((list ? (index === 0 ? 'UserMsgLen' : undefined) : r.key()) === 'UserMsgLen') {
      payloadBytes = r.uint(userBytesMax);
    } else r.skip();
  }
  return payloadBytes;
}

const nodeStateOrder = ['Name', 'Addr', 'Port', 'Meta', 'Incarnation', 'State', 'Vsn'];

/**
 * One row; undefined if its state is none we know: members that do not know a state ignore the row, as those before
 * 0.1.6 did with `left`. The bytes are copies: rows are kept long after the stream they came with.
 */
function readNodeState(r: Reader): NodeState | undefined {
  let name = '';
  let addr = noBytes;
  let port = 0;
  let meta = noBytes;
  let incarnation = 0;
  let state: number | bigint = 0;
  let vsn = noBytes;
  const list = isStructList(r);
  const size = structSize(r, list);
  for (let index = 0; index < size; index++) {
    switch (list ? nodeStateOrder[index] : r.key()) {
      case 'Name':
        name = r.str();
        break;
      case 'Addr':
        addr = copyOf(r.bytes());
        break;
      case 'Port':
        port = r.uint(u16Max);
        break;
      case 'Meta':
        meta = copyOf(r.bytes());
        break;
      case 'Incarnation':
        incarnation = r.uint(u32Max);
        break;
      case 'State':
        state = r.int();
        break;
      case 'Vsn':
        vsn = copyOf(r.bytes());
        break;
      default:
        r.skip();
    }
  }
  if (!isNodeStateCode(state)) return undefined;
  return { name, addr, port, meta, incarnation, state, vsn };
}

const noBytes: Uint8Array = new Uint8Array(0);

function copyOf(view: Uint8Array): Uint8Array {
  return view.length === 0 ? noBytes : new Uint8Array(view);
}

function isNodeStateCode(state: number | bigint): state is NodeStateCode {
  return state === 0 || state === 1 || state === 2 || state === 3;
}
