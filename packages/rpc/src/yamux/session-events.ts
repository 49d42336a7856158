/**
 * session-events.ts: everything that can happen to a yamux session, everything it can answer, and its limits.
 *
 * Lives here: the vocabulary between the core and its shell. Must not live here: any decision.
 * Sources: hashicorp/yamux mux.go (DefaultConfig), session.go; Consul agent/pool/pool.go.
 */

export type Role = 'client' | 'server';

export interface YamuxConfig {
  /** Streams announced and not yet answered, each way. Ours wait beyond it, theirs are reset. */
  readonly acceptBacklog: number;
  /** A ping is sent this long after the last one was answered; 0: never. */
  readonly keepaliveMs: number;
  /** The same while nobody waits for the peer (`attend`), where it is longer. */
  readonly restKeepaliveMs: number;
  /** A ping unanswered for this long, with nothing else heard meanwhile, ends the session. */
  readonly pingTimeoutMs: number;
  /** A stream of ours unanswered for this long means the peer's accept loop is stuck: the session ends. */
  readonly streamOpenMs: number;
  /** A stream we let go of is forgotten after this long, though the peer has not ended it. */
  readonly streamCloseMs: number;
  /** Streams the peer may have open at once. A busy server holds one per blocking query, so this is generous. */
  readonly peerStreamsMax: number;
  /** Delivered and unconsumed bytes of all streams together; the stream that exceeds it is reset. */
  readonly receiveBytesMax: number;
  /** Largest payload of one frame we send. Below the window, so that streams take turns on a slow connection. */
  readonly frameBytesMax: number;
}

export const yamuxDefaults: YamuxConfig = {
  acceptBacklog: 256,
  keepaliveMs: 30_000,
  restKeepaliveMs: 30_000,
  pingTimeoutMs: 10_000,
  streamOpenMs: 75_000,
  streamCloseMs: 300_000,
  peerStreamsMax: 16_384,
  receiveBytesMax: 64 * 1024 * 1024,
  frameBytesMax: 65_536,
};

export type SessionEndCode =
  | 'closed' // by us
  | 'connection_lost'
  | 'peer_protocol' // the peer broke the rules
  | 'peer_go_away' // the peer says that we did, or that it is broken
  | 'keepalive_timeout'
  | 'stream_open_timeout';

export type Event =
  | { readonly kind: 'received'; readonly bytes: Uint8Array }
  | { readonly kind: 'accept'; readonly id: number } // the application takes an incoming stream
  | { readonly kind: 'write'; readonly id: number; readonly bytes: Uint8Array } // the one before must have been flushed
  | { readonly kind: 'consumed'; readonly id: number; readonly bytes: number }
  | { readonly kind: 'end'; readonly id: number } // nothing more will be written
  | { readonly kind: 'drop'; readonly id: number } // the application lets go of the stream, read or not
  | { readonly kind: 'transmit'; readonly bytesMax: number } // there is room for about so much payload
  | { readonly kind: 'goAway' }
  | { readonly kind: 'lost'; readonly text: string } // the connection has ended
  | { readonly kind: 'close' }
  | { readonly kind: 'deadline' };

export type Effect =
  | { readonly kind: 'send'; readonly header: Uint8Array; readonly payload?: Uint8Array }
  | { readonly kind: 'incoming'; readonly id: number } // answer with accept, or drop
  | { readonly kind: 'data'; readonly id: number; readonly bytes: Uint8Array }
  | { readonly kind: 'ended'; readonly id: number } // the peer will send nothing more
  | { readonly kind: 'reset'; readonly id: number; readonly text: string }
  | { readonly kind: 'flushed'; readonly id: number } // what was written is in frames: hand over the next
  | { readonly kind: 'pong'; readonly pingId: number; readonly tookMs: number }
  | { readonly kind: 'peerGoneAway' }
  | { readonly kind: 'closed'; readonly code: SessionEndCode; readonly text: string }; // the last effect of all

export type OpenVerdict =
  | { readonly kind: 'opened'; readonly id: number; readonly effects: readonly Effect[] }
  | { readonly kind: 'refused'; readonly why: 'session_closed' | 'go_away' | 'streams_exhausted' };
