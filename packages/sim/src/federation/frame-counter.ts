/**
 * frame-counter.ts: how many whole gossip packets a stream of bytes has brought: u32 length, then so many bytes. A second
 * reader of the framing, so that the first one has somebody to be compared with.
 */
export class FrameCounter {
  #header: number[] = [];
  #left = 0;

  /** Frames that `bytes` complete. */
  push(bytes: Uint8Array): number {
    let whole = 0;
    for (let at = 0; at < bytes.length; ) {
      if (this.#header.length < 4) {
        this.#header.push(bytes[at++]!);
        if (this.#header.length < 4) continue;
        this.#left = this.#header.reduce((sum, byte) => sum * 256 + byte, 0);
      }
      const taken = Math.min(this.#left, bytes.length - at);
      this.#left -= taken;
      at += taken;
      if (this.#left > 0) continue;
      whole++;
      this.#header = [];
    }
    return whole;
  }
}
