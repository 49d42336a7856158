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
import { type Packed, unpack } from './packed.ts';

/** Some 200 bytes with its places in the table, and its name and meta: there may be many. */
export interface Row {
  readonly name: string;
  addr: Packed;
  port: number;
  meta: Packed;
  /** Always six, shared by all who speak the same. */
  vsn: Uint8Array;
  incarnation: number;
  state: MemberState;
  stateChangedAt: Millis;
  /** The snapshot of the row as it is, once somebody outside has asked for it; undefined after a change. */
  shown: Member | undefined;
}

interface Described {
  readonly addr: Uint8Array;
  readonly port: number;
  readonly meta: Uint8Array;
  readonly vsn: Uint8Array;
  readonly incarnation: number;
}

/** What somebody says of himself, as a member; byte fields are shared with it. */
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

/** The row as it is now: a copy that does not follow it. */
export function glance(row: Row): Member {
  const { name, addr, port, meta, vsn, incarnation, state } = row;
  return (
    row.shown ?? snapshot(name, { addr: unpack(addr), port, meta: unpack(meta), vsn, incarnation }, state)
  );
}

/** The same for those who come again and again: made once per change, and kept. */
export function show(row: Row): Member {
  row.shown ??= glance(row);
  return row.shown;
}

export function isGone(row: Row): boolean {
  return row.state === 'dead' || row.state === 'left';
}

export function addressOf(row: Row): Address {
  const { name, port, shown } = row;
  return { host: shown?.host ?? addrToText(unpack(row.addr)) ?? '', port, name };
}

export function toNodeState(row: Row): NodeState {
  const { name, port, incarnation, vsn } = row;
  const state = stateCodes[row.state];
  return { name, addr: unpack(row.addr), port, meta: unpack(row.meta), incarnation, vsn, state };
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

const noVersions: Versions = { pMin: 0, pMax: 0, pCur: 0, dMin: 0, dMax: 0, dCur: 0 };
