/**
 * snapshot-file.ts: the log of snapshot.ts on a disk.
 *
 * Lines are gathered and appended twice a second at most; a log that has grown too long is written anew beside the old
 * one and takes its place in one step. A disk that is slow or full never holds up gossip: what could not be written is
 * made good by a rewrite later. serf snapshot.go.
 * Lives here: the file, when it is written. Must not live here: what the lines mean.
 */
import { type FileHandle, mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { SerfEvent } from './core/events.ts';
import { readSnapshot, SnapshotRecorder, type SnapshotState } from './core/snapshot.ts';
import type { LogEvent, Millis } from './ports.ts';
import type { LamportTime } from './wire/message.ts';

const flushMs = 500;
/** After the disk refused, it is left alone for this long. */
const retryMs = 30_000;
/** Lines waiting for a slow disk, in bytes; beyond that they are dropped and the whole log is rewritten later. */
const pendingBytesMax = 1_024 * 1_024;

export class SnapshotFile implements AsyncDisposable {
  /** What was remembered from last time. */
  readonly found: SnapshotState;
  readonly #path: string;
  readonly #recorder: SnapshotRecorder;
  readonly #log: (e: LogEvent) => void;
  #file: FileHandle | undefined;
  #fileBytes: number;
  #pending = '';
  #due: Millis = Number.POSITIVE_INFINITY;
  #rewrite = false;
  #writing: Promise<void> | undefined;

  private constructor(
    path: string,
    o: { file: FileHandle; text: string; rejoinAfterLeave: boolean; log: (e: LogEvent) => void },
  ) {
    this.#path = path;
    this.#file = o.file;
    this.#fileBytes = Buffer.byteLength(o.text);
    this.#log = o.log;
    this.found = readSnapshot(o.text, o);
    this.#recorder = new SnapshotRecorder({ rejoinAfterLeave: o.rejoinAfterLeave, state: this.found });
    this.#rewrite = o.text !== '' && !o.text.endsWith('\n'); // cut off in the middle of a line: start clean
  }

  static async open(
    path: string,
    o: { readonly rejoinAfterLeave: boolean; readonly log: (e: LogEvent) => void },
  ): Promise<SnapshotFile> {
    await mkdir(dirname(path), { recursive: true });
    const file = await open(path, 'a', 0o644);
    return new SnapshotFile(path, { ...o, file, text: await readFile(path, 'utf8') });
  }

  record(event: SerfEvent, clock: LamportTime, now: Millis): void {
    this.#append(this.#recorder.record(event, clock), now);
  }

  queryAt(ltime: LamportTime, now: Millis): void {
    this.#append(this.#recorder.queryAt(ltime), now);
  }

  tick(clock: LamportTime, now: Millis): void {
    this.#append(this.#recorder.tick(clock), now);
  }

  /** We leave: resolves when that is on the disk. */
  async leave(): Promise<void> {
    this.#pending += this.#recorder.leave();
    await this.#settle();
  }

  deadline(): Millis {
    return this.#due;
  }

  /** Starts a write when one is due. */
  expire(now: Millis): void {
    if (now < this.#due) return;
    this.#due = Number.POSITIVE_INFINITY;
    if (this.#writing !== undefined) this.#due = now + flushMs;
    else this.#start(now);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#settle();
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }

  #append(lines: string, now: Millis): void {
    if (lines === '') return;
    this.#pending += lines;
    if (this.#pending.length > pendingBytesMax) {
      this.#pending = '';
      this.#rewrite = true;
    }
    this.#due = Math.min(this.#due, now + flushMs);
  }

  #start(now: Millis): void {
    this.#writing = this.#write()
      .catch((cause: unknown) => {
        this.#rewrite = true;
        this.#due = now + retryMs;
        this.#log({
          level: 'error',
          code: 'snapshot_failed',
          text: `snapshot ${this.#path} was not written`,
          cause,
        });
      })
      .finally(() => {
        this.#writing = undefined;
      });
  }

  /** Everything recorded so far is on the disk, or the log says why not. */
  async #settle(): Promise<void> {
    await this.#writing;
    if (this.#file === undefined || (this.#pending === '' && !this.#rewrite)) return;
    this.#start(Number.POSITIVE_INFINITY);
    await this.#writing;
    await this.#file?.sync().catch((cause: unknown) => {
      this.#log({
        level: 'error',
        code: 'snapshot_failed',
        text: `snapshot ${this.#path} was not synced`,
        cause,
      });
    });
  }

  async #write(): Promise<void> {
    const lines = this.#pending;
    this.#pending = '';
    const bytes = Buffer.byteLength(lines);
    if (this.#rewrite || this.#recorder.tooLong(this.#fileBytes + bytes)) await this.#compact();
    else {
      await this.#file?.appendFile(lines);
      this.#fileBytes += bytes;
    }
  }

  async #compact(): Promise<void> {
    const text = this.#recorder.compacted(); // `lines` above are part of it
    this.#rewrite = false;
    const beside = `${this.#path}.compact`;
    const file = await open(beside, 'w', 0o644);
    try {
      await file.writeFile(text);
      await file.sync();
      await rename(beside, this.#path);
    } catch (cause) {
      await file.close();
      throw cause;
    }
    const old = this.#file;
    this.#file = file;
    this.#fileBytes = Buffer.byteLength(text);
    await old?.close();
  }
}
