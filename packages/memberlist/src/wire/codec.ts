/**
 * codec.ts: one message to bytes and back: its type byte, then a msgpack map with Go's field names.
 *
 * Written exactly as Go writes: keys sorted by byte value, the three Source fields left out when empty, no bytes as nil.
 * memberlist net.go, util.go.
 * Lives here: how each message is written. Must not live here: how it is read (decode.ts), the layers around messages
 * (packet.ts, stream.ts), push/pull (push-pull.ts).
 */
import { Writer } from '@fed/msgpack';
import { type Message, messageType, type Ping } from './message.ts';

export { decodeMessage } from './decode.ts';

const writer = new Writer(2048);

/**
 * Type byte and body.
 * @throws RangeError for a number that is no integer: our bug, nothing is written
 */
export function encodeMessage(m: Message): Uint8Array {
  if (m.kind === 'user') {
    const message = new Uint8Array(1 + m.payload.length);
    message[0] = messageType.user;
    message.set(m.payload, 1);
    return message;
  }
  if (writer.length > 0) writer.take(); // what a message that could not be written left behind
  switch (m.kind) {
    case 'ping':
      writer.u8(messageType.ping).map(2 + sourceFields(m));
      writer.verbatim(key.Node).str(m.node);
      writer.verbatim(key.SeqNo).int(m.seqNo);
      writeSource(m);
      break;
    case 'indirectPing':
      writer.u8(messageType.indirectPing).map(5 + sourceFields(m));
      writer.verbatim(key.Nack).bool(m.nack);
      writer.verbatim(key.Node).str(m.node);
      writer.verbatim(key.Port).int(m.port);
      writer.verbatim(key.SeqNo).int(m.seqNo);
      writeSource(m);
      writer.verbatim(key.Target);
      writeBytes(writer, m.target);
      break;
    case 'ack':
      writer.u8(messageType.ack).map(2).verbatim(key.Payload);
      writeBytes(writer, m.payload);
      writer.verbatim(key.SeqNo).int(m.seqNo);
      break;
    case 'nack':
      writer.u8(messageType.nack).map(1).verbatim(key.SeqNo).int(m.seqNo);
      break;
    case 'suspect':
    case 'dead':
      writer.u8(m.kind === 'dead' ? messageType.dead : messageType.suspect).map(3);
      writer.verbatim(key.From).str(m.from);
      writer.verbatim(key.Incarnation).int(m.incarnation);
      writer.verbatim(key.Node).str(m.node);
      break;
    case 'alive':
      writer.u8(messageType.alive).map(6).verbatim(key.Addr);
      writeBytes(writer, m.addr);
      writer.verbatim(key.Incarnation).int(m.incarnation).verbatim(key.Meta);
      writeBytes(writer, m.meta);
      writer.verbatim(key.Node).str(m.node);
      writer.verbatim(key.Port).int(m.port).verbatim(key.Vsn);
      writeBytes(writer, m.vsn);
      break;
    case 'err':
      writer.u8(messageType.err).map(1).verbatim(key.Error).str(m.error);
      break;
  }
  return writer.take();
}

/** Bytes as Go writes a slice: one that nobody filled is nil. */
export function writeBytes(into: Writer, bytes: Uint8Array): void {
  if (bytes.length === 0) into.nil();
  else into.raw(bytes);
}

/** A field name as it stands on the wire. All of ours are shorter than 32 bytes. */
export function encodedKey(name: string): Uint8Array {
  return new Writer(32).str(name).take();
}

const key = {
  Addr: encodedKey('Addr'),
  Error: encodedKey('Error'),
  From: encodedKey('From'),
  Incarnation: encodedKey('Incarnation'),
  Meta: encodedKey('Meta'),
  Nack: encodedKey('Nack'),
  Node: encodedKey('Node'),
  Payload: encodedKey('Payload'),
  Port: encodedKey('Port'),
  SeqNo: encodedKey('SeqNo'),
  SourceAddr: encodedKey('SourceAddr'),
  SourceNode: encodedKey('SourceNode'),
  SourcePort: encodedKey('SourcePort'),
  Target: encodedKey('Target'),
  Vsn: encodedKey('Vsn'),
};

type Sourced = Pick<Ping, 'sourceAddr' | 'sourcePort' | 'sourceNode'>;

function sourceFields(m: Sourced): number {
  return (m.sourceAddr?.length ? 1 : 0) + (m.sourceNode ? 1 : 0) + (m.sourcePort ? 1 : 0);
}

function writeSource(m: Sourced): void {
  if (m.sourceAddr?.length) writer.verbatim(key.SourceAddr).raw(m.sourceAddr);
  if (m.sourceNode) writer.verbatim(key.SourceNode).str(m.sourceNode);
  if (m.sourcePort) writer.verbatim(key.SourcePort).int(m.sourcePort);
}
