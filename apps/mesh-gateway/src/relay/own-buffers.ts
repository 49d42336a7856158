/**
 * own-buffers.ts: a socket that reads into memory we choose, made from one that is open already.
 *
 * Node offers that (`onread`) only where a socket is made, and a server's sockets are made by the server. So the open
 * handle moves into a new Socket. That leans on two things Node does not document, the `_handle` of a socket and the
 * option `handle`; where they are missing the answer is undefined, and the relay does without.
 * Lives here: that move. Must not live here: what is done with the bytes.
 * Source: Node lib/net.js (Socket), lib/internal/stream_base_commons.js (onStreamRead).
 */
import { Socket, type SocketConstructorOpts } from 'node:net';

interface Handle {
  reading: boolean;
  readStop(): number;
  useUserBuffer?: unknown;
}
type WithHandle = Socket & { _handle: Handle | null };

export interface OnRead {
  /** The memory for the next read. */
  buffer(): Buffer;
  /** The first `bytes` of it are filled. False: do not read on before `resume()`. */
  callback(bytes: number, buffer: Buffer): boolean;
}

/**
 * The same connection as a new Socket, half-open allowed, not read from before `resume()`; with what the old one had
 * read already. The old one is empty afterwards and must not be used.
 */
export function withOwnBuffers(
  old: Socket,
  onread: OnRead,
): { readonly socket: Socket; readonly unread: readonly Buffer[] } | undefined {
  const { _handle: handle } = old as WithHandle;
  if (old.destroyed || old.readableEnded || old.writableLength > 0) return undefined;
  if (typeof handle?.useUserBuffer !== 'function' || typeof handle.readStop !== 'function') return undefined;
  const unread: Buffer[] = [];
  for (let chunk: Buffer | null = old.read(); chunk !== null; chunk = old.read()) unread.push(chunk);
  handle.readStop();
  handle.reading = false;
  old.removeAllListeners();
  (old as WithHandle)._handle = null;
  old.destroy(); // of the shell: its server must not count it any more
  const options = { handle, onread, allowHalfOpen: true, readable: true, writable: true, manualStart: true };
  return { socket: new Socket(options as SocketConstructorOpts), unread };
}
