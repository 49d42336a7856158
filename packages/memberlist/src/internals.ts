/**
 * internals.ts: the parts that this repository fuzzes, simulates and measures one by one.
 *
 * Reachable as '@fed/memberlist/internals' inside the workspace only; it is not part of the published package.
 */
export { BroadcastQueue } from './core/broadcast-queue.ts';
export type { Effect } from './core/event.ts';
export { Gossip } from './core/gossip.ts';
export { pack } from './core/packed.ts';
export type { Row } from './core/row.ts';
export { openAcquainted } from './memberlist.ts';
export { parseTarget } from './targets.ts';
export { decodeMessage, encodeMessage } from './wire/codec.ts';
export { encodeCompound } from './wire/compound.ts';
export { WireError } from './wire/errors.ts';
export { lzwDecompress } from './wire/lzw.ts';
export type { Message } from './wire/message.ts';
export { createPacketCodec, type PacketCodec } from './wire/packet.ts';
export { encodePushPull } from './wire/push-pull.ts';
export { createStreamCodec } from './wire/stream.ts';
