/**
 * writes.ts: what waits to be written, and the one entry that is on its way.
 *
 * Everything that arrives while an entry is on its way becomes the next one (group commit). One at a time, so that after
 * any failure there is one question only: is this entry in the log? Its id and the head's revision answer it.
 * Lives here: queue, bounds, expiry. Must not live here: who leads, etcd.
 */
import type { Entry } from '../wire/values.ts';
import type { CoreConfig } from './config.ts';
import { Backoff } from './config.ts';
import type { Effect, Job } from './events.ts';
import { fail, failAll } from './failures.ts';

/** Around each command in an entry, at most: etcd bounds the whole request. */
const framingBytes = 8;

interface Waiting {
  readonly job: Job;
  readonly until: number;
}

export interface InFlight {
  readonly entry: Entry;
  readonly term: number;
  readonly headRevision: number;
  /** Who waits for which command; undefined once told that the outcome is unknown. */
  readonly jobs: (Waiting | undefined)[];
  /** What an install puts in the place of the state. */
  readonly records: readonly Uint8Array[] | undefined;
  /** An attempt may have got through without our hearing of it. */
  doubtful: boolean;
  /** When to try again; undefined while an answer is awaited. */
  retryAt: number | undefined;
  readonly backoff: Backoff;
}

export class Writes {
  readonly #config: CoreConfig;
  #queue: Waiting[] = [];
  #queueBytes = 0;
  #written = 0;
  inFlight: InFlight | undefined;

  constructor(config: CoreConfig) {
    this.#config = config;
  }

  add(job: Job, now: number): readonly Effect[] {
    const { entryBytesMax, waitingBytesMax, writeTimeoutMs } = this.#config;
    const bytes = bytesOf(job);
    if (bytes > entryBytesMax)
      return [fail(job.id, 'log_too_large', `a command of ${bytes} bytes; at most ${entryBytesMax} fit`)];
    if (this.#queueBytes + bytes > waitingBytesMax)
      return [fail(job.id, 'log_busy', 'too many commands wait for etcd; try again later')];
    this.#queue.push({ job, until: now + writeTimeoutMs });
    this.#queueBytes += bytes;
    return [];
  }

  /** Puts the next entry on its way, if there is one to be sent and none on its way. */
  next(at: {
    readonly applied: number;
    readonly term: number;
    readonly headRevision: number;
  }): InFlight | undefined {
    const head = this.#queue[0];
    if (head === undefined || this.inFlight !== undefined) return undefined;
    const jobs = head.job.kind === 'install' ? [head] : this.#gather();
    this.#queue = this.#queue.slice(jobs.length);
    for (const { job } of jobs) this.#queueBytes -= bytesOf(job);
    const id = `${this.#config.instance}-${++this.#written}`;
    const entry: Entry =
      head.job.kind === 'install'
        ? { id, first: Math.max(at.applied, head.job.atLeast) + 1, commands: [], install: true }
        : {
            id,
            first: at.applied + 1,
            commands: jobs.map(({ job }) => (job as Extract<Job, { kind: 'command' }>).command),
            install: false,
          };
    const { term, headRevision } = at;
    const records = head.job.kind === 'install' ? head.job.records : undefined;
    this.inFlight = {
      entry,
      records,
      term,
      headRevision,
      jobs,
      doubtful: false,
      retryAt: undefined,
      backoff: new Backoff(),
    };
    return this.inFlight;
  }

  #gather(): Waiting[] {
    const gathered: Waiting[] = [];
    let bytes = 0;
    for (const waiting of this.#queue) {
      bytes += bytesOf(waiting.job) + framingBytes;
      if (waiting.job.kind !== 'command' || (gathered.length > 0 && bytes > this.#config.entryBytesMax))
        break;
      gathered.push(waiting);
    }
    return gathered;
  }

  /** The entry on its way ends, one way or another; returns who waits for it. */
  settle(): readonly (number | undefined)[] {
    const jobs = this.inFlight?.jobs ?? [];
    this.inFlight = undefined;
    return jobs.map((waiting) => waiting?.job.id);
  }

  /** Whether anybody still waits for the entry on its way. */
  get awaited(): boolean {
    return this.inFlight?.jobs.some((waiting) => waiting !== undefined) ?? false;
  }

  /** Nothing of what waits was sent. */
  refuse(code: Extract<Effect, { kind: 'fail' }>['code'], detail: string): readonly Effect[] {
    const refused = this.#queue.map(({ job }) => job.id);
    this.#queue = [];
    this.#queueBytes = 0;
    return failAll(refused, code, detail);
  }

  expire(now: number): readonly Effect[] {
    const effects: Effect[] = [];
    const expired = this.#queue.findIndex(({ until }) => until > now);
    const count = expired === -1 ? this.#queue.length : expired;
    for (const { job } of this.#queue.splice(0, count)) {
      this.#queueBytes -= bytesOf(job);
      effects.push(fail(job.id, 'log_unavailable', 'etcd did not take it in time; nothing was written'));
    }
    for (const [i, waiting] of (this.inFlight?.jobs ?? []).entries()) {
      if (waiting === undefined || waiting.until > now) continue;
      this.inFlight!.jobs[i] = undefined;
      effects.push(
        fail(
          waiting.job.id,
          'log_outcome_unknown',
          'etcd has not told in time whether the command was written',
        ),
      );
    }
    return effects;
  }

  deadline(): number {
    // Both are in the order of their coming, so the first is the first to expire.
    const waiting = [this.#queue[0], this.inFlight?.jobs.find((one) => one !== undefined)];
    return Math.min(...waiting.map((one) => one?.until ?? Number.POSITIVE_INFINITY));
  }
}

function bytesOf(job: Job): number {
  return job.kind === 'command' ? job.command.length : 0;
}
