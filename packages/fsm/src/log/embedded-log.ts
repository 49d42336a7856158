/**
 * embedded-log.ts: the log engine of a single server: one directory, one writer, nothing acknowledged before it is durable (I7).
 *
 * Commands that arrive while a batch is being synced wait together and become the next batch: one sync for all of them.
 * So the disk is always busy with one thing, and the more writers there are the less each costs (group commit).
 * Lives here: the queue, apply and acknowledge, compaction, the LogEngine face. Must not live here: bytes, files, recovery.
 */
import { join } from 'node:path';
import type { EngineStats, LogEngine } from '../engine.ts';
import { diskError, LogError } from './errors.ts';
import type { LogFs } from './fs.ts';
import type { EmbeddedLogOptions } from './options.ts';
import { encodeFrame } from './segment.ts';
import type { SegmentWriter } from './segment-writer.ts';
import { snapshotFileIndex, writeSnapshotFile } from './snapshot-file.ts';

/** Largest single command, in bytes (16 MiB): far above any row, low enough to hold a few in memory. */
const commandBytesMaxDefault = 16 * 1024 * 1024;
/** Bytes gathered into one batch (32 MiB): bounds the frame, which is built in memory. */
const batchBytesMax = 32 * 1024 * 1024;
/** Bytes of all commands that wait (128 MiB): beyond it writers are told to come back later instead of eating our memory. */
const waitingBytesMaxDefault = 128 * 1024 * 1024;

type Job =
  | {
      readonly kind: 'command';
      readonly command: Uint8Array;
      readonly done: (r: { index: number; result: unknown }) => void;
      readonly failed: (e: unknown) => void;
    }
  | {
      readonly kind: 'install';
      readonly records: Iterable<Uint8Array>;
      readonly atLeast: number;
      readonly done: (r: { index: number }) => void;
      readonly failed: (e: unknown) => void;
    }
  | { readonly kind: 'barrier'; readonly done: () => void; readonly failed: (e: unknown) => void };
type CommandJob = Extract<Job, { kind: 'command' }>;

export class EmbeddedLog implements LogEngine {
  readonly #o: EmbeddedLogOptions;
  readonly #fs: LogFs;
  readonly #lock: AsyncDisposable;
  readonly #writer: SegmentWriter;
  readonly #jobs: Job[] = [];
  #waitingBytes = 0;
  #running: Promise<void> | undefined;
  #compacting: Promise<{ index: number }> | undefined;
  /** Settles when nobody writes a snapshot: its temporary file has one name. */
  #snapshotting: Promise<unknown> = Promise.resolve();
  #lastIndex: number;
  #snapshotIndex: number;
  #snapshotBytes: number;
  /** Bytes of log at which the next snapshot is due. */
  #compactAt: number;
  #appended = 0;
  #batches = 0;
  #refusing: LogError | undefined;
  #halted: LogError | undefined;
  #closed = false;

  constructor(
    o: EmbeddedLogOptions,
    fs: LogFs,
    lock: AsyncDisposable,
    writer: SegmentWriter,
    at: { readonly lastIndex: number; readonly snapshotIndex: number; readonly snapshotBytes: number },
  ) {
    this.#o = o;
    this.#fs = fs;
    this.#lock = lock;
    this.#writer = writer;
    this.#lastIndex = at.lastIndex;
    this.#snapshotIndex = at.snapshotIndex;
    this.#snapshotBytes = at.snapshotBytes;
    this.#compactAt = this.#dueAfter(0);
  }

  append(command: Uint8Array): Promise<{ index: number; result: unknown }> {
    const {
      dir,
      commandBytesMax = commandBytesMaxDefault,
      waitingBytesMax = waitingBytesMaxDefault,
    } = this.#o;
    if (command.length > commandBytesMax)
      return Promise.reject(
        new LogError(
          'log_too_large',
          dir,
          `a command of ${command.length} bytes; at most ${commandBytesMax} fit`,
        ),
      );
    if (this.#waitingBytes + command.length > waitingBytesMax)
      return Promise.reject(
        new LogError('log_busy', dir, 'too many commands wait for the disk; try again later'),
      );
    this.#waitingBytes += command.length;
    return new Promise((done, failed) => this.#enqueue({ kind: 'command', command, done, failed }));
  }

  install(records: Iterable<Uint8Array>, o: { readonly atLeast: number }): Promise<{ index: number }> {
    return new Promise((done, failed) =>
      this.#enqueue({ kind: 'install', records, atLeast: o.atLeast, done, failed }),
    );
  }

  leadership(): { leader: boolean; term: number } {
    return { leader: true, term: 1 };
  }

  /** Alone, one always leads: there is never a change to tell. */
  onLeadership(): Disposable {
    return { [Symbol.dispose]() {} };
  }

  /** There is nobody who could take over: a server that wants to be rid of its duties closes. */
  resign(): Promise<void> {
    return Promise.resolve();
  }

  lastContactMs(): number {
    return 0;
  }

  /** What was acknowledged is applied; only commands still on their way are waited for. */
  barrier(signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      const aborted = (): void => reject(signal?.reason);
      signal?.addEventListener('abort', aborted, { once: true });
      const end = (then: () => void): void => {
        signal?.removeEventListener('abort', aborted);
        then();
      };
      this.#enqueue({
        kind: 'barrier',
        done: () => end(resolve),
        failed: (error) => end(() => reject(error)),
      });
    });
  }

  compact(): Promise<{ index: number }> {
    if (this.#closed) return Promise.reject(this.#closedError());
    this.#compacting ??= this.#exclusively(() => this.#compact()).finally(() => {
      this.#compacting = undefined;
    });
    return this.#compacting;
  }

  stats(): EngineStats {
    return {
      lastIndex: this.#lastIndex,
      snapshotIndex: this.#snapshotIndex,
      logBytes: this.#writer.bytes,
      appended: this.#appended,
      batches: this.#batches,
      refusing: (this.#halted ?? this.#refusing)?.code,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#running;
    await this.#snapshotting;
    try {
      await this.#writer.close();
    } finally {
      await this.#lock[Symbol.asyncDispose]();
    }
  }

  #enqueue(job: Job): void {
    if (this.#closed) {
      if (job.kind === 'command') this.#waitingBytes -= job.command.length;
      job.failed(this.#closedError());
      return;
    }
    this.#jobs.push(job);
    this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    // Everything asked for in this turn of the event loop goes into the first batch.
    await Promise.resolve();
    try {
      for (let job = this.#jobs[0]; job !== undefined; job = this.#jobs[0]) {
        if (job.kind === 'command') {
          await this.#commit(this.#takeBatch());
          continue;
        }
        this.#jobs.shift();
        if (job.kind === 'install') await this.#exclusively(() => this.#install(job));
        else if (this.#halted !== undefined) job.failed(this.#halted);
        else job.done();
      }
    } finally {
      // In the same breath as seeing the queue empty: whoever comes a moment later must start a new run.
      this.#running = undefined;
    }
  }

  #takeBatch(): readonly CommandJob[] {
    let bytes = 0;
    let count = 0;
    for (const job of this.#jobs) {
      if (job.kind !== 'command' || (count > 0 && bytes + job.command.length > batchBytesMax)) break;
      bytes += job.command.length;
      count++;
    }
    this.#waitingBytes -= bytes;
    return this.#jobs.splice(0, count) as CommandJob[];
  }

  async #commit(batch: readonly CommandJob[]): Promise<void> {
    if (this.#halted !== undefined) return fail(batch, this.#halted);
    const firstIndex = this.#lastIndex + 1;
    try {
      await this.#writer.write(
        encodeFrame(
          firstIndex,
          batch.map((job) => job.command),
        ),
        firstIndex,
      );
    } catch (error) {
      this.#refuse(error as LogError);
      return fail(batch, error);
    }
    if (this.#refusing !== undefined) {
      this.#refusing = undefined;
      this.#o.log?.({ kind: 'write_recovered' });
    }
    this.#batches++;
    this.#appended += batch.length;
    for (const [i, job] of batch.entries()) {
      const index = firstIndex + i;
      this.#lastIndex = index;
      let result: unknown;
      try {
        result = this.#o.apply(index, job.command);
      } catch (cause) {
        this.#halted = new LogError(
          'log_halted',
          this.#o.dir,
          `the state machine over ${this.#o.dir} failed at command ${index}, a bug; nothing after it is applied until a restart`,
          { cause },
        );
        this.#o.log?.({ kind: 'halted', error: this.#halted });
        return fail(batch.slice(i), this.#halted);
      }
      job.done({ index, result });
    }
    await this.#writer.prune(this.#snapshotIndex);
    if (this.#writer.bytes >= this.#compactAt && this.#compacting === undefined && !this.#closed) {
      // Reported inside; the next attempt comes when the log has grown by as much again.
      this.compact().catch(() => {});
    }
  }

  #refuse(error: LogError): void {
    if (this.#refusing?.code !== error.code) this.#o.log?.({ kind: 'write_refused', error });
    this.#refusing = error;
  }

  async #install(job: Extract<Job, { kind: 'install' }>): Promise<void> {
    const { dir } = this.#o;
    try {
      if (this.#halted !== undefined) throw this.#halted;
      const index = Math.max(this.#lastIndex, job.atLeast) + 1;
      const records = [...job.records];
      const { bytes } = await writeSnapshotFile(this.#fs, dir, index, records);
      this.#o.restore(records, index);
      this.#lastIndex = index;
      this.#writer.rollBeforeNext();
      await this.#snapshotTaken(index, bytes);
      job.done({ index });
    } catch (cause) {
      job.failed(
        (cause as NodeJS.ErrnoException).syscall === undefined
          ? cause
          : diskError(dir, 'cannot install a snapshot', cause),
      );
    }
  }

  async #compact(): Promise<{ index: number }> {
    const { dir } = this.#o;
    const index = this.#lastIndex;
    if (index === this.#snapshotIndex) return { index };
    try {
      const records = this.#o.snapshot();
      this.#writer.rollBeforeNext();
      const { bytes } = await writeSnapshotFile(this.#fs, dir, index, records);
      await this.#snapshotTaken(index, bytes);
      this.#o.log?.({ kind: 'compacted', index, bytes });
      return { index };
    } catch (cause) {
      this.#compactAt = this.#dueAfter(this.#writer.bytes);
      const error = diskError(dir, 'cannot write a snapshot', cause);
      this.#o.log?.({ kind: 'compaction_failed', error });
      throw error;
    }
  }

  async #snapshotTaken(index: number, bytes: number): Promise<void> {
    this.#snapshotIndex = index;
    this.#snapshotBytes = bytes;
    await this.#writer.prune(this.#snapshotIndex);
    for (const name of await this.#fs.list(this.#o.dir)) {
      const other = snapshotFileIndex(name);
      if (other !== undefined && other < index) await this.#fs.remove(join(this.#o.dir, name));
    }
    this.#compactAt = this.#dueAfter(this.#writer.bytes);
  }

  #exclusively<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#snapshotting.then(work);
    this.#snapshotting = result.catch(() => {});
    return result;
  }

  #dueAfter(bytes: number): number {
    return bytes + Math.max(this.#o.compactAfterBytes ?? 64 * 1024 * 1024, this.#snapshotBytes);
  }

  #closedError(): LogError {
    return new LogError('log_closed', this.#o.dir, 'the log is closed');
  }
}

function fail(batch: readonly CommandJob[], error: unknown): void {
  for (const job of batch) job.failed(error);
}
