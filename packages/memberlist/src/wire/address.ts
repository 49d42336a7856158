/**
 * address.ts: IP addresses as raw bytes and as text.
 *
 * An IPv4 address travels as 4 bytes or as the 16 of ::ffff:a.b.c.d, depending on how its member was bound. Go compares
 * the bytes, so the form that came is the form to pass on; only when printed are the two the same.
 * Text is as Go prints it (RFC 5952). Go net/ip.go.
 * Lives here: bytes and text. Must not live here: names, ports of members, resolving.
 */

/** Bytes of an IPv4 address inside IPv6, before the four that matter. */
const v4MappedPrefix = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff);

/** Text of 4 or 16 bytes; undefined for any other length. A v4-mapped address reads as IPv4. */
export function addrToText(addr: Uint8Array): string | undefined {
  if (addr.length === 4) return `${addr[0]}.${addr[1]}.${addr[2]}.${addr[3]}`;
  if (addr.length !== 16) return undefined;
  if (isV4Mapped(addr)) return addrToText(addr.subarray(12));
  return v6ToText(addr);
}

function isV4Mapped(addr: Uint8Array): boolean {
  if (addr.length !== 16) return false;
  for (let index = 0; index < 12; index++) if (addr[index] !== v4MappedPrefix[index]) return false;
  return true;
}

/** Groups in lower case without leading zeros; the longest run of at least two zero groups, the first such, is "::". */
function v6ToText(addr: Uint8Array): string {
  const groups: number[] = [];
  for (let index = 0; index < 16; index += 2) groups.push((addr[index]! << 8) | addr[index + 1]!);
  let runStart = -1;
  let runLength = 1;
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (start + length < 8 && groups[start + length] === 0) length++;
    if (length > runLength) {
      runStart = start;
      runLength = length;
    }
  }
  const hex = (from: number, to: number): string =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(':');
  return runStart === -1 ? hex(0, 8) : `${hex(0, runStart)}::${hex(runStart + runLength, 8)}`;
}

/** 4 bytes of IPv4 text, 16 of IPv6 text (also of "::ffff:1.2.3.4"); undefined if it is neither. Zones are not taken. */
export function textToAddr(text: string): Uint8Array | undefined {
  return text.includes(':') ? v6FromText(text) : v4FromText(text);
}

function v4FromText(text: string): Uint8Array | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  const addr = new Uint8Array(4);
  for (const [index, part] of parts.entries()) {
    if (!/^(0|[1-9][0-9]{0,2})$/.test(part) || Number(part) > 255) return undefined;
    addr[index] = Number(part);
  }
  return addr;
}

function v6FromText(text: string): Uint8Array | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = groupsFromText(halves[0]!, halves.length === 1);
  const tail = groupsFromText(halves[1] ?? '', true);
  if (head === undefined || tail === undefined) return undefined;
  const gap = 16 - head.length - tail.length;
  // "::" stands for at least one group.
  if (halves.length === 1 ? gap !== 0 : gap < 2) return undefined;
  const addr = new Uint8Array(16);
  addr.set(head);
  addr.set(tail, 16 - tail.length);
  return addr;
}

/** Bytes of colon-separated groups; only where an address ends may the last be IPv4 text. */
function groupsFromText(text: string, isEnd: boolean): readonly number[] | undefined {
  if (text === '') return [];
  const bytes: number[] = [];
  const groups = text.split(':');
  for (const [index, group] of groups.entries()) {
    if (isEnd && index === groups.length - 1 && group.includes('.')) {
      const v4 = v4FromText(group);
      if (v4 === undefined) return undefined;
      bytes.push(...v4);
    } else if (/^[0-9a-fA-F]{1,4}$/.test(group)) {
      const value = Number.parseInt(group, 16);
      bytes.push(value >>> 8, value & 0xff);
    } else {
      return undefined;
    }
  }
  return bytes;
}
