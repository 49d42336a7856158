/**
 * crc.ts: a checksum for packets that travel in the clear: 0c, u32 CRC-32 (IEEE) of the rest, the rest.
 *
 * It finds accidents, not enemies. Written only for receivers known to understand it (pMax >= 5); read only as the
 * outermost layer after decryption, inside of anything else 0c is an unknown type. memberlist net.go.
 * Lives here: the five bytes. Must not live here: who gets one.
 */
import { crc32 } from 'node:zlib';
import { WireError } from './errors.ts';
import { messageType } from './message.ts';

export const crcOverheadBytes = 5;

/** Writes the five bytes that go before `body`, at `offset`; returns where they end. */
export function writeCrcHeader(body: Uint8Array, into: Uint8Array, offset: number): number {
  const sum = crc32(body);
  into[offset] = messageType.crc;
  into[offset + 1] = sum >>> 24;
  into[offset + 2] = sum >>> 16;
  into[offset + 3] = sum >>> 8;
  into[offset + 4] = sum;
  return offset + crcOverheadBytes;
}

/** The packet without its checksum, or as it is if it has none. A view. @throws WireError crc_mismatch */
export function openCrc(packet: Uint8Array): Uint8Array {
  // Fewer than five bytes cannot be a checksum: the type is then unknown to dispatch, as with Go.
  if (packet.length < crcOverheadBytes || packet[0] !== messageType.crc) return packet;
  const body = packet.subarray(crcOverheadBytes);
  const announced = ((packet[1]! << 24) | (packet[2]! << 16) | (packet[3]! << 8) | packet[4]!) >>> 0;
  const actual = crc32(body);
  if (announced !== actual) {
    throw new WireError(
      'crc_mismatch',
      `checksum ${announced.toString(16)} announced, ${actual.toString(16)} found`,
    );
  }
  return body;
}
