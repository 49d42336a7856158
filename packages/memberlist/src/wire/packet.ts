/**
 * packet.ts: the onion around one datagram. One order, one file.
 *
 *   out:  message(s) -> [compound] -> [compress, if shorter] -> [crc, if the receiver knows it] -> [encrypt] -> [label]
 *   in:   label -> decrypt -> crc -> by type byte: compress and compound lead back to "by type byte", the rest are leaves
 *
 * Until the key has opened a packet, everything in it is a stranger's: depth, expansion and parts are bounded here, where
 * Go leaves them unbounded. memberlist net.go: `rawSendMsgPacket`, `ingestPacket`, `handleCommand`.
 * Lives here: order and bounds of the layers, and how much fits. Must not live here: sockets, whom to send what.
 */
import {
  compoundHeaderBytes,
  compoundLength,
  compoundPartsMax,
  encodeCompound,
  openCompound,
  writeCompound,
} from './compound.ts';
import { compressIfShorter, decompress } from './compress.ts';
import { crcOverheadBytes, openCrc, writeCrcHeader } from './crc.ts';
import { decrypt, encryptedLength, encryptInto, nonceBytes } from './encrypt.ts';
import { WireError, WireUsageError } from './errors.ts';
import { acceptLabelHeader, writeLabelHeader } from './label.ts';
import type { ExpansionBudget } from './lzw.ts';
import { messageType } from './message.ts';
import { type WireOptions, WireSettings } from './settings.ts';

/** What a sender packs into one packet; memberlist's UDPBufferSize. A checksum may come on top. */
const packetBytesMax = 1400;
/** What each message beside the first costs: its length in the compound's table. */
export const broadcastOverheadBytes = 2;
/** The same for a user message, whose type byte is put in front by us. */
export const userBroadcastOverheadBytes = 3;

/** Layers of compression and compounds in one packet. Real ones have two; Go has no limit. Guards our stack. */
const depthMax = 8;
/** Bytes that everything in one packet may expand to (256 KiB). Senders pack 1400 before they compress. */
const expansionBytesMax = 256 * 1024;
/** Parts of all compounds in one packet, nested ones included. One compound has 255 at most. */
const partsMax = 4096;

export interface PacketCodec {
  /**
   * One datagram for messages that are encoded already, in this order. A single message that needs no layer is
   * returned itself, not a copy.
   * @param o.crc only for receivers known to have pMax >= 5
   * @throws WireUsageError nothing_to_send | empty_message | part_too_large
   */
  seal(messages: readonly Uint8Array[], o: { readonly crc: boolean }): Uint8Array;
  /**
   * The messages inside, in wire order, each with its type byte: views into `packet`, or into what it expanded to.
   * Parts of a compound that cannot be opened are told to `onBad`, and the rest is kept.
   * @throws WireError when nothing of it can be used; it is then not told to `onBad`
   */
  open(packet: Uint8Array, onBad?: (e: WireError) => void): Uint8Array[];
  /** Bytes that label and encryption may add to what is sealed, at this moment. */
  readonly overhead: number;
  /** Room for broadcasts beside a message of so many bytes; each costs its length and `broadcastOverheadBytes`. */
  piggybackRoomBytes(messageBytes: number): number;
  /** Room for broadcasts in a packet of their own; each costs as above. */
  gossipRoomBytes(): number;
}

export interface PacketOptions extends WireOptions {
  /** What is packed into one packet; default 1400. A checksum may come on top. */
  readonly udpBufferBytes?: number | undefined;
}

/** @throws WireUsageError label_too_long */
export function createPacketCodec(o: PacketOptions): PacketCodec {
  const settings = new WireSettings(o);
  const udpBufferBytes = o.udpBufferBytes ?? packetBytesMax;
  const room = (encrypting: boolean): number =>
    udpBufferBytes -
    compoundHeaderBytes -
    settings.labelOverhead -
    (encrypting ? settings.encryptOverhead : 0);
  return {
    seal: (messages, { crc }) => seal(settings, messages, crc),
    open: (packet, onBad) => open(settings, packet, onBad ?? ignore),
    get overhead(): number {
      return settings.labelOverhead + (settings.keys.length > 0 ? settings.encryptOverhead : 0);
    },
    // The two differ in Go: beside a message encryption counts if it will happen, in gossip as soon as there are keys.
    piggybackRoomBytes: (messageBytes) => room(settings.outgoingKey !== undefined) - messageBytes,
    gossipRoomBytes: () => room(settings.keys.length > 0),
  };
}

function ignore(): void {}

const noBytes: Uint8Array = new Uint8Array(0);
const crcHeader = new Uint8Array(crcOverheadBytes);

function seal(settings: WireSettings, messages: readonly Uint8Array[], crc: boolean): Uint8Array {
  const plain = combine(messages);
  const compressed = settings.compress ? compressIfShorter(plain) : undefined;
  const body = compressed ?? plain;
  const key = settings.outgoingKey;
  const { labelBytes, labelOverhead, encryptionVersion: version } = settings;
  if (key === undefined && !crc && labelOverhead === 0) return body === messages[0] ? body : body.slice();

  const head = crc ? crcHeader : noBytes;
  if (crc) writeCrcHeader(body, crcHeader, 0);
  const textBytes = head.length + body.length;
  const packetLength = labelOverhead + (key === undefined ? textBytes : encryptedLength(version, textBytes));
  const packet = Buffer.allocUnsafe(packetLength); // every byte is written below
  const start = writeLabelHeader(labelBytes, packet, 0);
  if (key === undefined) {
    packet.set(head, start);
    packet.set(body, start + head.length);
  } else {
    const nonce = settings.randomBytes(nonceBytes);
    encryptInto({ version, key, nonce, associated: labelBytes }, head, body, packet, start);
  }
  return packet;
}

/** Where compounds are put together; what is sealed is copied out of it, once. */
const scratch = new Uint8Array(64 * 1024);

/**
 * One message as it is, several as a compound, more than a compound may have as a compound of compounds. The result may
 * be good until the next call only.
 */
function combine(messages: readonly Uint8Array[]): Uint8Array {
  const only = messages[0];
  if (only === undefined) throw new WireUsageError('nothing_to_send', 'a packet has at least one message');
  if (messages.length === 1) {
    // An empty packet inside encryption or a checksum kills releases before 0.2.4.
    if (only.length === 0) throw new WireUsageError('empty_message', 'a message has at least its type byte');
    return only;
  }
  if (messages.length > compoundPartsMax) return combine(groupsOf(messages));
  const length = compoundLength(messages);
  const into = length <= scratch.length ? scratch : new Uint8Array(length);
  return into.subarray(0, writeCompound(messages, into, 0));
}

function groupsOf(messages: readonly Uint8Array[]): Uint8Array[] {
  const groups: Uint8Array[] = [];
  for (let start = 0; start < messages.length; start += compoundPartsMax) {
    groups.push(encodeCompound(messages.slice(start, start + compoundPartsMax)));
  }
  return groups;
}

function open(settings: WireSettings, packet: Uint8Array, onBad: (e: WireError) => void): Uint8Array[] {
  if (packet.length === 0) throw new WireError('empty', 'missing message type byte');
  const labelEnd = acceptLabelHeader(packet, settings);
  if (labelEnd === undefined) throw new WireError('label_malformed', 'packet ends inside its label header');
  const text = openEncryption(settings, packet.subarray(labelEnd));
  const inside: Inside = { leaves: [], partsLeft: partsMax, budget: { bytesLeft: expansionBytesMax }, onBad };
  unpack(openCrc(text), 0, inside);
  return inside.leaves;
}

function openEncryption(settings: WireSettings, sealed: Uint8Array): Uint8Array {
  const keys = settings.keys;
  if (keys.length === 0) return sealed;
  try {
    return decrypt(keys, sealed, settings.labelBytes);
  } catch (cause) {
    // While a cluster changes over to encryption, what no key opens may be in the clear.
    if (settings.verifyIncoming || !(cause instanceof WireError)) throw cause;
    return sealed;
  }
}

interface Inside {
  readonly leaves: Uint8Array[];
  partsLeft: number;
  readonly budget: ExpansionBudget;
  readonly onBad: (e: WireError) => void;
}

function unpack(message: Uint8Array, depth: number, inside: Inside): void {
  if (message.length === 0) throw new WireError('empty', 'missing message type byte');
  const type = message[0]!;
  switch (type) {
    case messageType.ping:
    case messageType.indirectPing:
    case messageType.ack:
    case messageType.suspect:
    case messageType.alive:
    case messageType.dead:
    case messageType.user:
    case messageType.nack:
      inside.leaves.push(message);
      return;
    case messageType.compress:
      if (depth === depthMax) throw tooDeep();
      unpack(decompress(message, inside.budget), depth + 1, inside);
      return;
    case messageType.compound:
      if (depth === depthMax) throw tooDeep();
      unpackCompound(message, depth + 1, inside);
      return;
  }
  throw new WireError('unknown_type', `message type ${type} does not travel in packets`);
}

function unpackCompound(compound: Uint8Array, depth: number, inside: Inside): void {
  const { parts, truncated } = openCompound(compound);
  for (const part of parts) {
    if (inside.partsLeft === 0) {
      inside.onBad(new WireError('too_large', `more than ${partsMax} parts in one packet`));
      return;
    }
    inside.partsLeft--;
    try {
      unpack(part, depth, inside);
    } catch (cause) {
      if (!(cause instanceof WireError)) throw cause;
      inside.onBad(cause);
    }
  }
  if (truncated > 0) inside.onBad(new WireError('truncated', `${truncated} parts of a compound are cut off`));
}

function tooDeep(): WireError {
  return new WireError('too_deep', `more than ${depthMax} layers of compression and compounds`);
}
