/**
 * ip-bytes.ts: an IP address as certificates carry it.
 *
 * Lives here: text to bytes. Must not live here: whether a text is an address (node:net knows).
 * Source: RFC 4291 §2.2; RFC 5280 §4.2.1.6.
 */
import { isIPv4 } from 'node:net';

/** 4 bytes or 16. `address` must be one. */
export function ipBytes(address: string): Uint8Array {
  if (isIPv4(address)) return Uint8Array.from(address.split('.'), Number);
  const halves = address.split('::').map((half) =>
    half
      .split(':')
      .filter((group) => group !== '')
      .flatMap(ipGroup),
  );
  const [head, tail = []] = halves as [number[], number[]?];
  return Uint8Array.from([...head, ...Array<number>(16 - head.length - tail.length).fill(0), ...tail]);
}

/** Two bytes of an IPv6 address, or four where it ends in an IPv4 one. */
function ipGroup(group: string): number[] {
  if (isIPv4(group)) return group.split('.').map(Number);
  const value = Number.parseInt(group, 16);
  return [value >> 8, value & 0xff];
}
