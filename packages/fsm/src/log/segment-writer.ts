/**
 * segment-writer.ts: appends frames to the last segment, and gets back on its feet when the disk fails it.
 *
 * After a failed sync nobody knows what the kernel kept of a file. So a file that failed once is cut back to its last
 * durable byte and never written again: the next frame opens a new segment.
 * Lives here: the open file, rolling, repair, pruning. Must not live here: batching, applying.
 * On failed syncs: Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020.
 */
import { join } from 'node:path';
import { diskError, LogError } from './errors.ts';
import type { LogFile, LogFs } from './fs.ts';
import { type Segment, segmentFileName } from './recover.ts';
import { encodeSegmentHeader, segmentHeaderBytes } from './segment.ts';

export class SegmentWriter {
  readonly #fs: LogFs;
  readonly #dir: string;
  readonly #segmentBytesMax: number;
  /** Oldest first; the last one is written on while `#file` is open. */
  readonly #segments: { name: string; firstIndex: number; bytes: number }[];
  #file: LogFile | undefined;
  /** The open file may end in bytes that are not durable, and must be cut before anything else. */
  #dirty = false;
  /** A roll failed after the file may have come into being. */
  #leftover: string | undefined;
  #rollNext = false;

  constructor(
    fs: LogFs,
    dir: string,
    o: { readonly segments: readonly Segment[]; readonly segmentBytesMax: number },
  ) {
    this.#fs = fs;
    this.#dir = dir;
    this.#segments = o.segments.map((segment) => ({ ...segment }));
    this.#segmentBytesMax = o.segmentBytesMax;
  }

  /** Bytes of all segments. */
  get bytes(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.bytes, 0);
  }

  /** The next frame starts a new segment, so that the present ones can be pruned whole. */
  rollBeforeNext(): void {
    this.#rollNext = true;
  }

  /**
   * Returns when the frame is durable. Throws LogError: `log_outcome_unknown` when the frame may be there after a restart,
   * any other code when it will not.
   */
  async write(frame: Uint8Array, firstIndex: number): Promise<void> {
    try {
      if (this.#dirty) await this.#repair();
      const current = this.#segments.at(-1);
      const full =
        current !== undefined &&
        current.bytes > segmentHeaderBytes &&
        current.bytes + frame.length > this.#segmentBytesMax;
      if (current === undefined || full || this.#rollNext) await this.#roll(firstIndex);
      else this.#file ??= await this.#fs.open(join(this.#dir, current.name));
    } catch (cause) {
      throw diskError(this.#dir, 'cannot prepare the log for writing', cause);
    }
    const file = this.#file as LogFile;
    const segment = this.#segments.at(-1) as { bytes: number };
    let doing = 'cannot write to the log';
    try {
      await file.write(frame, segment.bytes);
      doing = 'cannot sync the log';
      await file.sync();
      segment.bytes += frame.length;
    } catch (cause) {
      this.#dirty = true;
      this.#rollNext = true;
      throw await this.#afterFailure(diskError(this.#dir, doing, cause), segment.bytes);
    }
  }

  /**
   * Removes segments all of whose commands are at or below `index`. The last segment stays. One that cannot be removed now
   * is superfluous, not harmful; the next start removes it.
   */
  async prune(index: number): Promise<void> {
    while (
      this.#segments.length > 1 &&
      (this.#segments[1] as { firstIndex: number }).firstIndex <= index + 1
    ) {
      const oldest = this.#segments.shift() as { name: string };
      await this.#fs.remove(join(this.#dir, oldest.name)).catch(() => {});
    }
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    if (file === undefined) return;
    // Where even this fails, recovery will judge the end of the file; whoever wrote it was told that the outcome is open.
    if (this.#dirty) await this.#repair(file).catch(() => {});
    await file.close();
  }

  /** A failed frame is certainly gone when the file is back at its old size, durably (I7). */
  async #afterFailure(error: LogError, durableBytes: number): Promise<LogError> {
    try {
      await this.#repair();
      return error;
    } catch (cause) {
      // A disk that went read-only before the first byte changed nothing either.
      const size = await this.#file?.size().catch(() => undefined);
      if (size === durableBytes) return error;
      return new LogError('log_outcome_unknown', this.#dir, `${error.message}; and it cannot be undone`, {
        cause,
      });
    }
  }

  async #repair(file: LogFile | undefined = this.#file): Promise<void> {
    const segment = this.#segments.at(-1);
    if (file === undefined || segment === undefined) return;
    await file.truncate(segment.bytes);
    await file.sync();
    this.#dirty = false;
  }

  async #roll(firstIndex: number): Promise<void> {
    // Should this fail half-way, the next frame must not slip into the old segment after all.
    this.#rollNext = true;
    const name = segmentFileName(firstIndex);
    const path = join(this.#dir, name);
    const current = this.#segments.at(-1);
    if (current?.name === name) {
      // Nothing was ever kept in the present one: it is the new one. A file that failed us is opened afresh.
      await this.#file?.close().catch(() => {});
      this.#file = undefined;
      this.#segments.pop();
      this.#leftover = name;
    }
    if (this.#leftover === name) await this.#fs.remove(path);
    this.#leftover = name;
    const file = await this.#fs.create(path);
    try {
      await file.write(encodeSegmentHeader(firstIndex), 0);
      await file.sync();
      await this.#fs.syncDir(this.#dir);
    } catch (error) {
      await file.close().catch(() => {});
      throw error;
    }
    const old = this.#file;
    this.#file = file;
    this.#leftover = undefined;
    this.#rollNext = false;
    this.#segments.push({ name, firstIndex, bytes: segmentHeaderBytes });
    await old?.close().catch(() => {});
  }
}
