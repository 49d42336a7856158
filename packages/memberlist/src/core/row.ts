/**
 * row.ts: what the table keeps of a member, and how it is shown.
 *
 * Lives here: the row's shape and its snapshots. Must not live here: whoever changes it (members.ts alone).
 */
import type { Member, MemberState } from '../member.ts';
import type { Address, Millis } from '../ports.ts';
import { addrToText } from '../wire/address.ts';
import type { NodeState, NodeStateCode } from '../wire/message.ts';
import { decodeVsn, type Versions } from '../wire/vsn.ts';

export interface Row {
  readonly name: string;
  addr: Uint8Array;
  port: number;
  meta: Uint8Array;
  /** Always six. */
  vsn: Uint8Array;
  incarnation: number;
  state: MemberState;
  stateChangedAt: Millis;
  /** The snapshot of the row as it is; undefined after a change. */
  shown: Member | undefined;
}

interface Described {
  readonly addr: Uint8Array;
  readonly port: number;
  readonly meta: Uint8Array;
  readonly vsn: Uint8Array;
  readonly incarnation: number;
}

/** A copy that does not follow the row. Byte fields are shared: rows replace theirs and never write into them. */
export function snapshot(name: string, d: Described, state: MemberState): Member {
  return Object.freeze({
    name,
    host: addrToText(d.addr) ?? '',
    port: d.port,
    addr: d.addr,
    meta: d.meta,
    state,
    incarnation: d.incarnation,
    vsn: decodeVsn(d.vsn) ?? noVersions,
  });
}

/** The row as it is now, made once per change. */
export function show(row: Row): Member {
  row.shown ??= snapshot(row.name, row, row.state);
  return row.shown;
}

export function isGone(row: Row): boolean {
  return row.state === 'dead' || row.state === 'left';
}

export function addressOf(row: Row): Address {
  const { host, port, name } = show(row);
  return { host, port, name };
}

export function toNodeState(row: Row): NodeState {
  const { name, addr, port, meta, incarnation, vsn } = row;
  return { name, addr, port, meta, incarnation, vsn, state: stateCodes[row.state] };
}

export const stateCodes: Readonly<Record<MemberState, NodeStateCode>> = {
  alive: 0,
  suspect: 1,
  dead: 2,
  left: 3,
};
export const stateNames: Readonly<Record<NodeStateCode, MemberState>> = {
  0: 'alive',
  1: 'suspect',
  2: 'dead',
  3: 'left',
};

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

const noVersions: Versions = { pMin: 0, pMax: 0, pCur: 0, dMin: 0, dMax: 0, dCur: 0 };
