/**
 * pieces.ts: bytes in several pieces, and the memory they keep alive.
 *
 * Lives here: what all who hold bytes of a stream do with them. Must not live here: who holds which, and for how long.
 */

/** A view keeps all of its memory alive: whether that is about its own. */
export function ownsItsMemory(view: Uint8Array): boolean {
  return view.length * 2 >= view.buffer.byteLength;
}

/** `pieces`, `length` bytes together, in memory of their own: not from node's pool, which they would pin in turn. */
export function together(length: number, pieces: readonly Uint8Array[]): Uint8Array {
  const whole = Buffer.allocUnsafeSlow(length);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
