/**
 * row-bytes.ts: a reply's msgpack, in which a row that many replies carry is encoded once.
 *
 * Most replies are lists of rows that never change: frozen, and the same objects in every answer. From its second time on a
 * row's bytes are kept for as long as it lives, and a reply is its pieces put together in one copy.
 * Lives here: that. Must not live here: the frame around a reply (net-rpc.ts), what a row is.
 */
import { type Value, Writer } from '@fed/msgpack';

const seenOnce = new Uint8Array(0);

/** By row; `seenOnce` for one that was written once: most that are, are never written again. */
const known = new WeakMap<object, Uint8Array>();

/** `head`, which is emptied, and `result` behind it, in one piece. */
export function withResult(head: Writer, result: Value): Uint8Array {
  const lists = isMap(result) ? Object.values(result).some(Array.isArray) : false;
  if (!lists) return head.value(result).take();
  const pieces: Uint8Array[] = [];
  const map = result as { readonly [key: string]: Value };
  const keys = Object.keys(map);
  head.map(keys.length);
  for (const key of keys) {
    head.str(key);
    const value = map[key] as Value;
    if (Array.isArray(value)) writeList(head, pieces, value as readonly Value[]);
    else head.value(value);
  }
  if (pieces.length === 0) return head.take();
  pieces.push(head.take());
  return together(pieces);
}

function writeList(head: Writer, pieces: Uint8Array[], list: readonly Value[]): void {
  head.array(list.length);
  for (const item of list) {
    const bytes = isMap(item) && Object.isFrozen(item) ? bytesOf(item) : undefined;
    if (bytes === undefined) head.value(item);
    else pieces.push(head.take(), bytes);
  }
}

/** Undefined for a row that has not been written before. */
function bytesOf(row: object): Uint8Array | undefined {
  const kept = known.get(row);
  if (kept !== undefined && kept !== seenOnce) return kept;
  if (kept === undefined) {
    known.set(row, seenOnce);
    return undefined;
  }
  const made = new Writer(512).value(row as Value).take();
  known.set(row, made);
  return made;
}

function isMap(value: Value): value is { readonly [key: string]: Value } {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);
}

function together(pieces: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const piece of pieces) length += piece.length;
  const whole = Buffer.allocUnsafeSlow(length);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
