/**
 * messages.ts: what the process that is configured and the processes that relay say to each other.
 *
 * Lives here: shapes that can be cloned from one process to another. Must not live here: either side.
 */
import type { Tally } from '../relay/counters.ts';
import type { RelayRecord } from '../relay/journal.ts';
import type { RelayConfig } from '../relay/ports.ts';

/** What a worker can be asked, and the shape of its answer. */
export interface Answers {
  readonly connections: number;
  readonly journal: readonly RelayRecord[];
  readonly tally: Tally;
}
export type Question = keyof Answers;

export type ToWorker =
  /** The first word. `index`: which one it is, for its log lines. */
  | { readonly kind: 'begin'; readonly index: number; readonly logLevel: string }
  | { readonly kind: 'apply'; readonly config: RelayConfig }
  | { readonly kind: 'ask'; readonly id: number; readonly question: Question }
  /** It ends by itself afterwards. */
  | { readonly kind: 'drain'; readonly withinMs: number };

export type FromWorker =
  | { readonly kind: 'ready'; readonly ready: boolean }
  | { readonly kind: 'answer'; readonly id: number; readonly value: Answers[Question] };

/** One worker as the crew sees it. */
export interface WorkerLink {
  /** Nothing happens once it has ended. */
  send(message: ToWorker): void;
  onMessage(hear: (message: FromWorker) => void): void;
  /** In words, how it ended. Never rejects. */
  readonly ended: Promise<string>;
  kill(): void;
}
