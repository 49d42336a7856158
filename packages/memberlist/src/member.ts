/**
 * member.ts: one member as the outside sees it.
 *
 * Lives here: the public view of a table row and of a change to it. Must not live here: the row itself, which only
 * core/members.ts writes.
 */

import type { Versions } from './wire/vsn.ts';

/** The six version bytes: protocol (p) and delegate (d), the range understood and the one spoken. */
export type { Versions };

export type MemberState = 'alive' | 'suspect' | 'dead' | 'left';

/** A snapshot: it does not change when the member does. */
export interface Member {
  readonly name: string;
  /** `addr` as text; an IPv4 address mapped into IPv6 reads as IPv4. */
  readonly host: string;
  readonly port: number;
  /** 4 or 16 bytes, exactly as the member announced them. */
  readonly addr: Uint8Array;
  /** At most 512 bytes, opaque to membership. */
  readonly meta: Uint8Array;
  readonly state: MemberState;
  /** Unsigned 32-bit; only its member raises it. */
  readonly incarnation: number;
  readonly vsn: Versions;
}

export interface MemberChange {
  /** `leave` is said of the dead and of those who left; `member.state` tells which. `update` means new meta. */
  readonly kind: 'join' | 'leave' | 'update';
  readonly member: Member;
}
