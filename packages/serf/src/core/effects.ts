/**
 * effects.ts: what the core asks its shell to do. The order is the order in which it was decided.
 */
import type { LogEvent } from '../ports.ts';
import type { LamportTime } from '../wire/message.ts';
import type { IncomingQuery, MemberEvent, UserEvent } from './events.ts';

export type Effect =
  /** Tell the application (through snapshot and coalescing). */
  | { readonly kind: 'tell'; readonly event: MemberEvent | UserEvent }
  /** A query heard that means us: `scope` says whose it is to answer. */
  | {
      readonly kind: 'asked';
      readonly scope: 'application' | 'keys' | 'internal';
      readonly query: IncomingQuery;
    }
  /** One datagram with a serf message, to one member. */
  | { readonly kind: 'send'; readonly to: Destination; readonly message: Uint8Array }
  /** The broadcast queued with this token has been sent often enough, or was dropped. */
  | { readonly kind: 'broadcastDone'; readonly token: number }
  /** A memberlist join with a failed member: it may be back. */
  | {
      readonly kind: 'reconnect';
      readonly to: { readonly name: string; readonly host: string; readonly port: number };
    }
  /** A query of ours was received, or answered, by `from`. */
  | { readonly kind: 'acked'; readonly ltime: LamportTime; readonly from: string }
  | {
      readonly kind: 'answered';
      readonly ltime: LamportTime;
      readonly from: string;
      readonly payload: Uint8Array;
    }
  /** Nobody can answer it any more. */
  | { readonly kind: 'queryOver'; readonly ltime: LamportTime }
  | { readonly kind: 'log'; readonly entry: LogEvent };

export interface Destination {
  /** 4 or 16 bytes. */
  readonly addr: Uint8Array;
  readonly port: number;
  /** '' when unknown. */
  readonly name: string;
}
