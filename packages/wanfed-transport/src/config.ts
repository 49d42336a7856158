/**
 * config.ts: every number of the WAN transport, with its unit and its reason.
 *
 * Lives here: numbers. Must not live here: anything that acts on them.
 */

export interface WanfedConfig {
  /** A connection unused for this long is closed: well before the original's receiver gives up (120 s). */
  readonly senderIdleMs: number;
  /**
   * A connection that brought no whole packet for this long is closed: well after the original's sender does
   * (120 s).
   */
  readonly receiverIdleMs: number;
  /** A write the connection does not take in this time has failed. */
  readonly writeMs: number;
  /** Only a net: the dial port keeps a budget of its own (5 s), and this is what happens if it does not. */
  readonly dialMs: number;
  /** How long leaving waits for what is on its way out. */
  readonly closeMs: number;
  /**
   * A connection that breaks younger than this counts as a failed dial, or a server that hangs up would be
   * dialed in a loop.
   */
  readonly steadyMs: number;
  /** After a failed dial further packets fail at once for about this long, doubling up to `refusalMsMax`. */
  readonly refusalMsMin: number;
  readonly refusalMsMax: number;
  /** Packets and bytes that may wait for one destination; the oldest go first. */
  readonly queuePacketsMax: number;
  readonly queueBytesMax: number;
  /**
   * What one write carries at most, unless a single packet is larger: bounds the copy and what one failure
   * takes along.
   */
  readonly batchBytesMax: number;
  /**
   * Destinations with a connection, a dial or a refusal. Names come from gossip, so a peer could make up
   * many.
   */
  readonly destinationsMax: number;
  /** Packet connections from abroad at one time; each may hold one unfinished packet. */
  readonly ingestConnectionsMax: number;
}

export const wanfedDefaults: WanfedConfig = {
  senderIdleMs: 90_000,
  receiverIdleMs: 150_000,
  writeMs: 3_000,
  dialMs: 6_000,
  closeMs: 1_000,
  steadyMs: 1_000,
  refusalMsMin: 250,
  refusalMsMax: 2_000,
  queuePacketsMax: 1_024,
  queueBytesMax: 4 * 1024 * 1024,
  batchBytesMax: 64 * 1024,
  destinationsMax: 4_096,
  ingestConnectionsMax: 4_096,
};
