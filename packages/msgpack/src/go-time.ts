/**
 * go-time.ts: Go's time.Time as its MarshalBinary writes it, version 1, always in UTC.
 *
 * 15 bytes: 01, seconds since year 1 (i64), nanoseconds (i32), zone offset in minutes (i16, -1 meaning UTC). The
 * bytes themselves are what we keep in memory: a JS Date would lose the nanoseconds. Source: Go time/time.go.
 */

/** Seconds from 0001-01-01 to 1970-01-01, both UTC. */
const unixEpochSeconds = 62_135_596_800n;

const sizeBytes = 15;

/** Go's zero time: 0001-01-01T00:00:00Z. */
export const goTimeZero: Uint8Array = fromParts(0n, 0);

/** `unixMs` may be fractional; `nanos` (0..999,999) adds what is below its whole millisecond. */
export function goTime(unixMs: number, nanos = 0): Uint8Array {
  const wholeMs = Math.floor(unixMs);
  const seconds = Math.floor(wholeMs / 1000);
  return fromParts(BigInt(seconds) + unixEpochSeconds, (wholeMs - seconds * 1000) * 1_000_000 + nanos);
}

export function goTimeToUnixMs(time: Uint8Array): number {
  const { seconds, nanos } = parts(time);
  return Number(seconds - unixEpochSeconds) * 1000 + Math.floor(nanos / 1_000_000);
}

/** As Go's RFC3339Nano in UTC: trailing zeros of the fraction are dropped. */
export function goTimeToRfc3339(time: Uint8Array): string {
  const { seconds, nanos } = parts(time);
  const date = new Date(Number(seconds - unixEpochSeconds) * 1000).toISOString().slice(0, 19);
  const fraction = nanos === 0 ? '' : `.${String(nanos).padStart(9, '0').replace(/0+$/, '')}`;
  return `${date}${fraction}Z`;
}

/** Throws RangeError for anything that is not an RFC 3339 time. */
export function goTimeFromRfc3339(text: string): Uint8Array {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/.exec(text);
  const ms = match === null ? Number.NaN : Date.parse(`${match[1]}${match[3]}`);
  if (match === null || Number.isNaN(ms)) throw new RangeError(`not an RFC 3339 time: ${text}`);
  return fromParts(BigInt(ms / 1000) + unixEpochSeconds, Number((match[2] ?? '').padEnd(9, '0')));
}

function fromParts(seconds: bigint, nanos: number): Uint8Array {
  const out = new Uint8Array(sizeBytes);
  const view = new DataView(out.buffer);
  view.setUint8(0, 1);
  view.setBigInt64(1, seconds);
  view.setInt32(9, nanos);
  view.setInt16(13, -1);
  return out;
}

function parts(time: Uint8Array): { seconds: bigint; nanos: number } {
  // Version 2 only adds seconds to the zone offset, which is for display; the instant stands in the same place.
  if ((time.length !== 15 && time.length !== 16) || (time[0] !== 1 && time[0] !== 2))
    throw new RangeError(`not a Go time: ${time.length} bytes, version ${time[0]}`);
  const view = new DataView(time.buffer, time.byteOffset, time.length);
  return { seconds: view.getBigInt64(1), nanos: view.getInt32(9) };
}
