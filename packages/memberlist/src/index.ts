/**
 * index.ts: the public door of @fed/memberlist.
 */
export type { Hooks, JoinResult, Memberlist, MemberlistOptions, MemberlistStats } from './api.ts';
export { lan, local, type MemberlistConfig, wan } from './config.ts';
export { type JoinError, MemberlistError, PeerError } from './errors.ts';
export type { Member, MemberChange, MemberState, Versions } from './member.ts';
export { openMemberlist } from './memberlist.ts';
export {
  openUdpTcpTransport,
  type UdpTcpTransport,
  type UdpTcpTransportOptions,
} from './net/udp-tcp-transport.ts';
export type {
  Address,
  Clock,
  HostPort,
  Inbound,
  LogEvent,
  RandomBytes,
  ResolveHost,
  Rng,
  Transport,
} from './ports.ts';
export { systemClock, systemRandomBytes, systemRng } from './system.ts';
export { Keyring, KeyringError } from './wire/keyring.ts';
