/**
 * address.ts: the raw bytes of an IP address as text that can be dialled.
 *
 * Answers to a query go to bytes the asker wrote down. The text is for a socket, so IPv6 groups stay uncompressed.
 */

/** undefined unless it has 4 or 16 bytes; ::ffff:a.b.c.d reads as IPv4. */
export function dialText(addr: Uint8Array): string | undefined {
  if (addr.length === 4) return addr.join('.');
  if (addr.length !== 16) return undefined;
  const mapped = addr.subarray(0, 10).every((b) => b === 0) && addr[10] === 0xff && addr[11] === 0xff;
  if (mapped) return addr.subarray(12).join('.');
  const groups: string[] = [];
  for (let i = 0; i < 16; i += 2) groups.push((((addr[i] ?? 0) << 8) | (addr[i + 1] ?? 0)).toString(16));
  return groups.join(':');
}

/** One address or not, whichever of its two forms an IPv4 address has. */
export function sameAddress(a: Uint8Array, b: Uint8Array): boolean {
  const x = dialText(a);
  return x !== undefined && x === dialText(b);
}
