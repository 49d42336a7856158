/**
 * options.ts: what an embedded log is told, and what it tells.
 *
 * Lives here: options and events. Must not live here: what they lead to.
 */
import type { EngineHooks } from '../engine.ts';
import type { LogError } from './errors.ts';
import type { LogFs } from './fs.ts';

export type LogEvent =
  | {
      readonly kind: 'torn_tail_cut';
      readonly file: string;
      readonly offset: number;
      readonly bytes: number;
      readonly why: string;
    }
  | {
      readonly kind: 'opened';
      readonly lastIndex: number;
      readonly snapshotIndex: number;
      readonly replayed: number;
    }
  | { readonly kind: 'write_refused'; readonly error: LogError }
  | { readonly kind: 'write_recovered' }
  | { readonly kind: 'compacted'; readonly index: number; readonly bytes: number }
  | { readonly kind: 'compaction_failed'; readonly error: LogError }
  /** The state machine threw: nothing is applied any more, and every write is refused, until a restart. */
  | { readonly kind: 'halted'; readonly error: LogError };

export interface EmbeddedLogOptions extends EngineHooks {
  readonly dir: string;
  readonly fs?: LogFs;
  /** A segment is closed when the next frame would make it larger, in bytes. */
  readonly segmentBytesMax?: number;
  /** A snapshot is taken when the log has grown by this, in bytes, or by the size of the last snapshot, whichever is more. */
  readonly compactAfterBytes?: number;
  /** Largest single command, in bytes (16 MiB), and all that wait together (128 MiB). */
  readonly commandBytesMax?: number;
  readonly waitingBytesMax?: number;
  readonly log?: (event: LogEvent) => void;
}
