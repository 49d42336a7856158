/**
 * vsn.ts: six bytes that say which protocols a member understands and speaks.
 *
 * pMin, pMax, pCur of the membership protocol, then dMin, dMax, dCur of the layer above (the delegate). Fewer than six
 * crash Go members up to 0.6.0 or make their push/pulls fail, so we never write fewer. memberlist state.go, config.go.
 * Lives here: the bytes. Must not live here: whether two members can work together.
 */

export interface Versions {
  readonly pMin: number;
  readonly pMax: number;
  readonly pCur: number;
  readonly dMin: number;
  readonly dMax: number;
  readonly dCur: number;
}

export const vsnBytes = 6;

/** The membership protocols we understand, as every release since 0.1.0. */
export const protocolMin = 1;
export const protocolMax = 5;

export function encodeVsn(v: Versions): Uint8Array {
  return Uint8Array.of(v.pMin, v.pMax, v.pCur, v.dMin, v.dMax, v.dCur);
}

/** Undefined when there are fewer than six: the member then keeps the versions it had. More are ignored. */
export function decodeVsn(vsn: Uint8Array): Versions | undefined {
  if (vsn.length < vsnBytes) return undefined;
  const [pMin, pMax, pCur, dMin, dMax, dCur] = vsn as unknown as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  return { pMin, pMax, pCur, dMin, dMax, dCur };
}

/** Distinct ones that are shared; what peers make up beyond these takes memory of its own. */
const sharedMax = 64;
const shared = new Map<string, Uint8Array>();

/** The first six, the same array for all who speak the same: it must not be written to. */
export function sharedVsn(vsn: Uint8Array): Uint8Array {
  const key = vsn.subarray(0, vsnBytes).join();
  let same = shared.get(key);
  if (same !== undefined) return same;
  same = vsn.slice(0, vsnBytes);
  if (shared.size < sharedMax) shared.set(key, same);
  return same;
}

/** Whether an alive message with these bytes is to be ignored: its protocol range is there, and empty. */
export function isImpossibleVsn(vsn: Uint8Array): boolean {
  if (vsn.length < 3) return false;
  const pMin = vsn[0]!;
  const pMax = vsn[1]!;
  return pMin === 0 || pMax === 0 || pMin > pMax;
}
