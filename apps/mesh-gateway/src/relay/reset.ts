/**
 * reset.ts: a connection ended at once, and so that its other end knows that it was not finished.
 *
 * Lives here: one way around one corner of Node. Must not live here: when to reset.
 * Source: libuv uv_tcp_close_reset (EINVAL while a shutdown is under way); Node lib/net.js (Socket.prototype._destroy).
 */
import type { Socket } from 'node:net';

/**
 * Resets, whatever is still to be written: a peer that does not read holds nobody up. Nothing happens to a socket that is
 * destroyed already.
 *
 * A FIN that is just on its way out has to leave first, which takes no longer than the system call: a reset in that
 * moment fails, and Node then neither closes the descriptor nor says 'close', ever.
 */
export function reset(socket: Socket): void {
  if (socket.destroyed) return;
  const finLeaving = socket.writableEnded && !socket.writableFinished && socket.writableLength === 0;
  if (finLeaving) socket.once('finish', () => reset(socket));
  else socket.resetAndDestroy();
}
