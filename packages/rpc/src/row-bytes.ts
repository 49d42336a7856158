/**
 * row-bytes.ts: a reply's msgpack, in which a row that many replies carry is encoded once.
 *
 * Most replies are lists of rows that never change: frozen, and the same objects in every answer. From its second time on a
 * row's bytes are kept for as long as it lives, and a reply is put together of such pieces.
 * Lives here: the pieces. Must not live here: the frame around a reply (net-rpc.ts), what a row is.
 */
import { type Value, Writer } from '@fed/msgpack';
import { SentBodies } from './sent-bodies.ts';

const seenOnce = new Uint8Array(0);

/** By row; `seenOnce` for one that was written once: most that are, are never written again. */
const known = new WeakMap<object, Uint8Array>();
const sent = new SentBodies();

/** `head`, which is emptied, and `result` behind it: in one piece, or in two if the second has been sent before. */
export function withResult(head: Writer, result: Value): readonly Uint8Array[] {
  const headBytes = head.length;
  const lists = isMap(result) ? Object.values(result).some(Array.isArray) : false;
  if (!lists) return [head.value(result).take()];
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
  pieces.push(head.take());
  return pieces.length === 1 ? pieces : sent.put(headBytes, pieces);
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
