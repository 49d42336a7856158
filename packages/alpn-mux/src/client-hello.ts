/**
 * client-hello.ts: reads whom a TLS client wants, without being the TLS server.
 *
 * Think of a postman: he reads the envelope, not the letter, and decides only when the whole address is there.
 * The hello may lie in any number of records, cut anywhere, even inside its own header. There are three kinds of answer:
 * it is one, it is none, or not enough has arrived to say. A verdict, once given, is the same for every longer input,
 * and no shorter one would have given it (I1).
 * Lives here: a pure parser with hard limits. Must not live here: sockets, timers, routing.
 * Sources: RFC 8446 §4.1.2, §5.1; RFC 6066 §3 (server_name); RFC 7301 §3.1 (ALPN); RFC 8701 (GREASE).
 */

/** Longest hello taken, in bytes, its 4-byte header included. Real ones have 150 to 1800; Envoy's limit is the same. */
export const helloBytesMax = 16_384;
/** Most bytes looked at on the wire: a hello of one-byte records would otherwise cost six times its size. */
export const helloWireBytesMax = 20_480;

const recordHeaderBytes = 5;
const messageHeaderBytes = 4;
const recordPayloadBytesMax = 16_384;
const contentTypeHandshake = 22;
const messageTypeClientHello = 1;
const extension = { serverName: 0, alpn: 16, supportedVersions: 43, encryptedClientHello: 0xfe0d } as const;

export type HelloFault =
  | 'content_type'
  | 'record_version'
  | 'empty_record'
  | 'record_length'
  | 'handshake_type'
  | 'legacy_version'
  | 'message_length'
  | 'session_id'
  | 'cipher_suites'
  | 'compression'
  | 'extensions_length'
  | 'duplicate_extension'
  | 'sni'
  | 'sni_host_name'
  | 'sni_duplicate_name';

export type Peek =
  | { readonly kind: 'needMore' }
  /** The first two bytes start no TLS handshake record. */
  | { readonly kind: 'notTls'; readonly typeByte: number }
  /** Looks like TLS, is malformed. */
  | { readonly kind: 'invalid'; readonly reason: HelloFault }
  | { readonly kind: 'tooLarge' }
  | {
      readonly kind: 'hello';
      /** Lower-cased host name; undefined if the client named none. A trailing dot is kept: it matches nothing. */
      readonly sni: string | undefined;
      /** The offer, in the client's order; empty if there is none or it is malformed. */
      readonly alpn: readonly string[];
      /** The client sent an encrypted hello too; `sni` is the outer, public name. */
      readonly ech: boolean;
      /** Bytes on the wire up to the end of the hello. What follows it is the client's early data. */
      readonly bytes: number;
      readonly records: number;
      /** The version field every hello has, e.g. 0x0303. */
      readonly legacyVersion: number;
      /** supported_versions without GREASE values. */
      readonly versions: readonly number[];
    };

const needMore: Peek = { kind: 'needMore' };
const tooLarge: Peek = { kind: 'tooLarge' };
const invalid = (reason: HelloFault): Peek => ({ kind: 'invalid', reason });

/** Judges the first bytes of a connection. Consumes nothing and keeps no reference to `received`. */
export function peekClientHello(received: Uint8Array): Peek {
  const bytes = received.subarray(0, helloWireBytesMax);
  const first = bytes[0];
  if (first === undefined) return needMore;
  if (first !== contentTypeHandshake) return { kind: 'notTls', typeByte: first };
  if (bytes[1] !== undefined && bytes[1] !== 3) return { kind: 'notTls', typeByte: first };

  // First only the headers: a hello that trickles in byte by byte must not be copied for each of them.
  const header: number[] = [];
  let payloadBytes = 0;
  let records = 0;
  let at = 0;
  for (;;) {
    const record = recordAt(bytes, at);
    if (record === undefined) return bytes.length === helloWireBytesMax ? tooLarge : needMore;
    if (typeof record !== 'number') return record;
    records += 1;
    const payloadAt = at + recordHeaderBytes;
    for (let i = 0; i < record && header.length < messageHeaderBytes; i++) {
      const byte = bytes[payloadAt + i];
      if (byte === undefined) break;
      header.push(byte);
    }
    if (header.length > 0 && header[0] !== messageTypeClientHello) return invalid('handshake_type');
    const messageBytes =
      header.length === messageHeaderBytes ? messageHeaderBytes + u24(header, 1) : Infinity;
    if (messageBytes !== Infinity && messageBytes > helloBytesMax) return tooLarge;
    if (payloadBytes + record >= messageBytes) {
      const end = payloadAt + (messageBytes - payloadBytes);
      if (end > helloWireBytesMax) return tooLarge;
      if (bytes.length < end) return needMore;
      return parseHello(gather(bytes, messageBytes), { bytes: end, records });
    }
    payloadBytes += record;
    at = payloadAt + record;
    if (at >= helloWireBytesMax) return tooLarge;
  }
}

/** Payload length of the record whose header stands at `at`; undefined if the header is not all there yet. */
function recordAt(bytes: Uint8Array, at: number): number | Peek | undefined {
  const [type, major] = [bytes[at], bytes[at + 1]];
  if (type !== undefined && type !== contentTypeHandshake) return invalid('content_type');
  if (major !== undefined && major !== 3) return invalid('record_version');
  const [high, low] = [bytes[at + 3], bytes[at + 4]];
  if (high === undefined || low === undefined) return undefined;
  const length = (high << 8) | low;
  if (length === 0) return invalid('empty_record');
  if (length > recordPayloadBytesMax) return invalid('record_length');
  return length;
}

/** The message without record headers: a view where one record holds it, else a copy. */
function gather(bytes: Uint8Array, messageBytes: number): Uint8Array {
  const firstRecord = ((bytes[3] as number) << 8) | (bytes[4] as number);
  if (firstRecord >= messageBytes) return bytes.subarray(recordHeaderBytes, recordHeaderBytes + messageBytes);
  const message = new Uint8Array(messageBytes);
  for (let at = 0, filled = 0; filled < messageBytes; ) {
    const length = ((bytes[at + 3] as number) << 8) | (bytes[at + 4] as number);
    const part = bytes.subarray(at + recordHeaderBytes, at + recordHeaderBytes + length);
    message.set(part.subarray(0, messageBytes - filled), filled);
    filled += part.length;
    at += recordHeaderBytes + length;
  }
  return message;
}

const u16 = (b: ArrayLike<number>, at: number): number => ((b[at] as number) << 8) | (b[at + 1] as number);
const u24 = (b: ArrayLike<number>, at: number): number => ((b[at] as number) << 16) | u16(b, at + 1);

function parseHello(message: Uint8Array, wire: { bytes: number; records: number }): Peek {
  const end = message.length;
  let at = messageHeaderBytes;
  if (end < at + 2 + 32 + 1) return invalid('message_length');
  const legacyVersion = u16(message, at);
  if (legacyVersion >> 8 !== 3) return invalid('legacy_version');
  at += 2 + 32;
  const sessionIdBytes = message[at] as number;
  at += 1 + sessionIdBytes;
  if (sessionIdBytes > 32 || at + 2 > end) return invalid('session_id');
  const suiteBytes = u16(message, at);
  at += 2 + suiteBytes;
  if (suiteBytes < 2 || suiteBytes % 2 !== 0 || at + 1 > end) return invalid('cipher_suites');
  const compressionBytes = message[at] as number;
  at += 1 + compressionBytes;
  if (compressionBytes < 1 || at > end) return invalid('compression');

  let sni: string | undefined;
  let alpn: readonly string[] = [];
  let versions: readonly number[] = [];
  let ech = false;
  if (at < end) {
    if (at + 2 > end || at + 2 + u16(message, at) !== end) return invalid('extensions_length');
    at += 2;
    const seen = new Set<number>();
    while (at < end) {
      if (at + 4 > end) return invalid('extensions_length');
      const type = u16(message, at);
      const bodyAt = at + 4;
      at = bodyAt + u16(message, at + 2);
      if (at > end) return invalid('extensions_length');
      if (seen.has(type)) return invalid('duplicate_extension');
      seen.add(type);
      // A view costs more than the rest of the turn, and most extensions are not looked into.
      if (type === extension.serverName) {
        const read = readServerName(message.subarray(bodyAt, at));
        if ('fault' in read) return invalid(read.fault);
        sni = read.name;
      } else if (type === extension.alpn) {
        alpn = readAlpn(message.subarray(bodyAt, at));
      } else if (type === extension.supportedVersions) {
        versions = readVersions(message.subarray(bodyAt, at));
      } else if (type === extension.encryptedClientHello) {
        ech = true;
      }
    }
  }
  return { kind: 'hello', sni, alpn, ech, ...wire, legacyVersion, versions };
}

function readServerName(body: Uint8Array): { name: string | undefined } | { fault: HelloFault } {
  if (body.length < 2 || u16(body, 0) !== body.length - 2 || body.length === 2) return { fault: 'sni' };
  let name: string | undefined;
  for (let at = 2; at < body.length; ) {
    if (at + 3 > body.length) return { fault: 'sni' };
    const isHostName = body[at] === 0;
    const valueAt = at + 3;
    at = valueAt + u16(body, at + 1);
    if (at > body.length) return { fault: 'sni' };
    if (!isHostName) continue;
    if (name !== undefined) return { fault: 'sni_duplicate_name' };
    const value = body.subarray(valueAt, at);
    // Visible ASCII only: a NUL or a high byte is read differently by the next parser, and then routed differently.
    if (value.length < 1 || value.length > 255 || value.some((byte) => byte < 0x21 || byte > 0x7e)) {
      return { fault: 'sni_host_name' };
    }
    name = String.fromCharCode(...value).toLowerCase();
  }
  return { name };
}

/** Nothing is decided by the offer, so a malformed one reads as none. */
function readAlpn(body: Uint8Array): readonly string[] {
  if (body.length < 2 || u16(body, 0) !== body.length - 2) return [];
  const names: string[] = [];
  for (let at = 2; at < body.length; ) {
    const length = body[at] as number;
    const value = body.subarray(at + 1, at + 1 + length);
    if (length === 0 || value.length < length) return [];
    names.push(String.fromCharCode(...value));
    at += 1 + length;
  }
  return names;
}

function readVersions(body: Uint8Array): readonly number[] {
  if (body.length < 1 || body[0] !== body.length - 1 || body.length % 2 !== 1) return [];
  const versions: number[] = [];
  for (let at = 1; at < body.length; at += 2) {
    const version = u16(body, at);
    const grease = (version & 0x0f0f) === 0x0a0a && version >> 8 === (version & 0xff);
    if (!grease) versions.push(version);
  }
  return versions;
}
