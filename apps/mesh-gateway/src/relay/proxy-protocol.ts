/**
 * proxy-protocol.ts: the line or block in front of everything else by which a load balancer says for whom it connects.
 *
 * It is for people only: no decision depends on an address that anybody who reaches the port could claim.
 * Lives here: both versions, over fragments, bounded. Must not live here: sockets, the TLS hello behind it.
 * Source: HAProxy, "The PROXY protocol, versions 1 and 2" (2020-03-05), sections 2.1 and 2.2.
 */
import { isIP } from 'node:net';
import type { HostPort } from '@fed/alpn-mux';

/** Longest line of version 1, with its CRLF. */
const lineBytesMax = 107;
const signature = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const fixedBytes = 16;
/** Longest block of version 2 taken: addresses and what clouds add to them, far below the 64 KiB it could be. */
export const blockBytesMax = 4_096;

export type ProxyHeader =
  | { readonly kind: 'needMore' }
  /** Something else begins here. */
  | { readonly kind: 'absent' }
  | {
      readonly kind: 'header';
      readonly version: 1 | 2;
      /** How much of the input it is. */
      readonly bytes: number;
      /** Who connected to the balancer; absent where it does not say, or speaks for itself. */
      readonly source?: HostPort;
    }
  | { readonly kind: 'invalid'; readonly reason: string };

/** Judges the first bytes of a connection. A verdict is final: longer input gives the same. */
export function peekProxyHeader(input: Buffer): ProxyHeader {
  switch (input[0]) {
    case undefined:
      return { kind: 'needMore' };
    case 0x50: // P
      return versionOne(input);
    case signature[0]:
      return versionTwo(input);
    default:
      return { kind: 'absent' };
  }
}

function versionOne(input: Buffer): ProxyHeader {
  const start = Math.min(input.length, 6);
  if (input.toString('latin1', 0, start) !== 'PROXY '.slice(0, start)) return { kind: 'absent' };
  const end = input.subarray(0, lineBytesMax).indexOf('\r\n');
  if (end === -1)
    return input.length < lineBytesMax
      ? { kind: 'needMore' }
      : invalid(`a line of more than ${lineBytesMax} bytes`);
  const header = { kind: 'header', version: 1, bytes: end + 2 } as const;
  const words = input.toString('latin1', 6, end).split(' ');
  const [family, host = '', , sourcePort = ''] = words;
  if (family === 'UNKNOWN') return header;
  const wanted = family === 'TCP4' ? 4 : family === 'TCP6' ? 6 : undefined;
  if (wanted === undefined || words.length !== 5 || words.slice(1, 3).some((word) => isIP(word) !== wanted))
    return invalid('a line of other words than TCP4 or TCP6, two addresses and two ports');
  const port = portOf(sourcePort);
  if (port === undefined || portOf(words[4] ?? '') === undefined) return invalid('a port that is none');
  return { ...header, source: { host, port } };
}

function portOf(word: string): number | undefined {
  return /^(0|[1-9]\d{0,4})$/.test(word) && Number(word) <= 65_535 ? Number(word) : undefined;
}

function versionTwo(input: Buffer): ProxyHeader {
  const start = Math.min(input.length, signature.length);
  if (!input.subarray(0, start).equals(signature.subarray(0, start))) return { kind: 'absent' };
  if (input.length < fixedBytes) return { kind: 'needMore' };
  const command = input.readUInt8(12);
  if (command !== 0x20 && command !== 0x21) return invalid(`command ${command.toString(16)}`);
  const bytes = fixedBytes + input.readUInt16BE(14);
  if (bytes > blockBytesMax) return invalid(`a block of ${bytes} bytes, more than ${blockBytesMax}`);
  const family = input.readUInt8(13);
  const addressBytes = family === 0x11 ? 4 : family === 0x21 ? 16 : 0;
  if (command === 0x21 && addressBytes > 0 && bytes < fixedBytes + 2 * addressBytes + 4)
    return invalid('a block too short for its addresses');
  if (input.length < bytes) return { kind: 'needMore' };
  const header = { kind: 'header', version: 2, bytes } as const;
  // LOCAL is the balancer itself; of other families (unix, UDP) there is nothing to say.
  if (command === 0x20 || addressBytes === 0) return header;
  const address = input.subarray(fixedBytes, fixedBytes + addressBytes);
  const port = input.readUInt16BE(fixedBytes + 2 * addressBytes);
  return { ...header, source: { host: addressBytes === 4 ? address.join('.') : ipv6(address), port } };
}

/** As people write it, by way of the URL parser, which knows how to shorten. */
function ipv6(address: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, i) => address.readUInt16BE(2 * i).toString(16));
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}

function invalid(reason: string): ProxyHeader {
  return { kind: 'invalid', reason: `PROXY protocol: ${reason}` };
}

/** Collects such a header in front of a connection, and gives back what follows it. */
export class ProxyHeaderReader {
  #held: Buffer = Buffer.alloc(0);

  /** `rest`, where it is over: what does not belong to it, in one piece. */
  add(chunk: Buffer): { readonly header: ProxyHeader; readonly rest: Buffer } {
    const input = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const header = peekProxyHeader(input);
    this.#held = header.kind === 'needMore' ? input : Buffer.alloc(0);
    return { header, rest: header.kind === 'header' ? input.subarray(header.bytes) : input };
  }
}
