/**
 * codecs.ts: how this member writes and reads.
 *
 * Lives here: the codecs from the options, and whole packets as messages. Must not live here: the layers (wire/).
 */
import type { MemberlistOptions } from './api.ts';
import type { MemberlistConfig } from './config.ts';
import { systemRandomBytes } from './system.ts';
import { decodeMessage } from './wire/codec.ts';
import { WireError } from './wire/errors.ts';
import type { Message } from './wire/message.ts';
import { createPacketCodec, type PacketCodec } from './wire/packet.ts';
import { createStreamCodec, type StreamCodec } from './wire/stream.ts';
import { encodeVsn, protocolMax, protocolMin } from './wire/vsn.ts';

export interface Codecs {
  readonly packets: PacketCodec;
  readonly streams: StreamCodec;
  /** Our own six version bytes. */
  readonly vsn: Uint8Array;
}

/** @throws WireUsageError label_too_long */
export function codecsOf(o: MemberlistOptions, config: MemberlistConfig): Codecs {
  const wire = {
    keyring: o.keyring,
    label: o.label,
    verifyIncoming: config.gossipVerifyIncoming,
    verifyOutgoing: config.gossipVerifyOutgoing,
    skipInboundLabelCheck: config.skipInboundLabelCheck,
    compress: config.enableCompression,
    protocolVersion: config.protocolVersion,
    udpBufferBytes: config.udpBufferBytes,
    randomBytes: o.randomBytes ?? systemRandomBytes,
  };
  const { min: dMin, max: dMax, cur: dCur } = o.delegateVersion ?? { min: 0, max: 0, cur: 0 };
  const vsn = encodeVsn({
    pMin: protocolMin,
    pMax: protocolMax,
    pCur: config.protocolVersion,
    dMin,
    dMax,
    dCur,
  });
  return { packets: createPacketCodec(wire), streams: createStreamCodec(wire), vsn };
}

/** All that can be read of one packet, in wire order; what cannot is told to `bad`. */
export function messagesOf(codec: PacketCodec, packet: Uint8Array, bad: (e: WireError) => void): Message[] {
  const messages: Message[] = [];
  const keep = (read: () => void): void => {
    try {
      read();
    } catch (cause) {
      if (!(cause instanceof WireError)) throw cause;
      bad(cause);
    }
  };
  keep(() => {
    for (const encoded of codec.open(packet, bad)) keep(() => messages.push(decodeMessage(encoded)));
  });
  return messages;
}
