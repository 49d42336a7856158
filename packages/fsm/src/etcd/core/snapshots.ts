/**
 * snapshots.ts: when the log has grown enough for a snapshot, and who waits for one.
 *
 * Lives here: counting, one snapshot at a time. Must not live here: writing it.
 */

import type { Effect, Failure } from './events.ts';
import { codeOf, failAll } from './failures.ts';

export class Snapshots {
  readonly #afterBytes: number;
  /** Index of the last one. */
  index = 0;
  /** Of entries since. */
  logBytes = 0;
  #bytes = 0;
  #dueAt: number;
  #writing: { readonly index: number; readonly logBytes: number; readonly ids: number[] } | undefined;
  /** Who wants one of a later index than the one being written. */
  #next: number[] = [];

  constructor(afterBytes: number) {
    this.#afterBytes = afterBytes;
    this.#dueAt = afterBytes;
  }

  /** The state is that of a snapshot, and no log stands after it. */
  restored(index: number, bytes: number): void {
    this.index = index;
    this.#bytes = bytes;
    this.logBytes = 0;
  }

  ask(id: number, applied: number): readonly Effect[] {
    if (this.#writing !== undefined)
      (this.#writing.index === applied ? this.#writing.ids : this.#next).push(id);
    else if (this.index === applied) return [{ kind: 'done', id, index: applied }];
    else this.#next.push(id);
    return [];
  }

  /** Begins one when it is time. */
  next(applied: number, term: number): readonly Effect[] {
    const due = this.logBytes >= this.#dueAt || this.#next.length > 0;
    if (!due || this.#writing !== undefined) return [];
    this.#writing = { index: applied, logBytes: this.logBytes, ids: this.#next.splice(0) };
    return [{ kind: 'takeSnapshot', index: applied, term }];
  }

  taken(index: number, bytes: number): readonly Effect[] {
    const { ids = [], logBytes = 0 } = this.#writing ?? {};
    this.#writing = undefined;
    this.index = Math.max(this.index, index);
    this.#bytes = bytes;
    this.logBytes = Math.max(0, this.logBytes - logBytes);
    this.#dueAt = Math.max(this.#afterBytes, this.#bytes);
    return ids.map((id) => ({ kind: 'done', id, index }));
  }

  /** Tried again when the log has grown by as much once more. */
  failed(failure: Failure): readonly Effect[] {
    const { ids = [] } = this.#writing ?? {};
    this.#writing = undefined;
    this.#dueAt = this.logBytes + Math.max(this.#afterBytes, this.#bytes);
    return failAll(ids, codeOf[failure.code], failure.detail);
  }

  /** Those for whom none will be begun. */
  refuse(code: Extract<Effect, { kind: 'fail' }>['code'], detail: string): readonly Effect[] {
    return failAll(this.#next.splice(0), code, detail);
  }

  /** Those, and those who wait for the one being written. */
  refuseAll(code: Extract<Effect, { kind: 'fail' }>['code'], detail: string): readonly Effect[] {
    return [...failAll(this.#writing?.ids.splice(0) ?? [], code, detail), ...this.refuse(code, detail)];
  }
}
