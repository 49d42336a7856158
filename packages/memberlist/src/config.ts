/**
 * config.ts: every number that shapes gossip, in three profiles.
 *
 * The profiles are those of hashicorp/memberlist (config.go: DefaultLANConfig, DefaultWANConfig, DefaultLocalConfig),
 * so that mixed clusters agree on how long a suspicion lasts. Lives here: fields, units, defaults, their check.
 * Must not live here: names, keys, labels and hooks, which belong to one member.
 */
import { MemberlistError } from './errors.ts';
import { protocolMax, protocolMin } from './wire/vsn.ts';

export interface MemberlistConfig {
  /** Where the profile expects the transport to listen. Join targets without a port take `bindPort`. */
  readonly bindHost: string;
  readonly bindPort: number;
  /** Protocol spoken, 1..5. Everybody speaks 2; 1 also selects the padded encryption version 0. */
  readonly protocolVersion: number;
  /** Connecting, and each direction of a stream exchange, may take this long. */
  readonly tcpTimeoutMs: number;
  /** How many members are asked to ping on our behalf when a direct ping stays unanswered. */
  readonly indirectChecks: number;
  /** A broadcast is sent retransmitMult * ceil(log10(n + 1)) times. */
  readonly retransmitMult: number;
  /** A suspect has suspicionMult * log10(n) * probeIntervalMs to clear its name once enough accusers agree ... */
  readonly suspicionMult: number;
  /** ... and this many times longer while there is one accuser only. */
  readonly suspicionMaxTimeoutMult: number;
  /** Full state exchange with one random member; 0: never. */
  readonly pushPullIntervalMs: number;
  /** One member is probed per interval; 0: never. */
  readonly probeIntervalMs: number;
  /** How long a direct ping may stay unanswered. Not scaled by health. */
  readonly probeTimeoutMs: number;
  /** Never confirm over TCP what UDP could not reach. */
  readonly disableTcpPings: boolean;
  /** The same for single members, by name. */
  readonly disableTcpPingsForNode?: (name: string) => boolean;
  /** The health score stays below this; probe intervals stretch by score + 1. */
  readonly awarenessMaxMultiplier: number;
  /** Queued broadcasts go out once per interval; 0: only piggybacked on other packets. */
  readonly gossipIntervalMs: number;
  /** To how many members per interval. */
  readonly gossipNodes: number;
  /** The dead are still gossiped to for this long, so that they can refute; then they are forgotten. */
  readonly gossipToTheDeadMs: number;
  /** With keys: refuse what is not encrypted. Off only while a cluster changes over. */
  readonly gossipVerifyIncoming: boolean;
  /** With keys: encrypt what we send. Off only while a cluster changes over. */
  readonly gossipVerifyOutgoing: boolean;
  readonly enableCompression: boolean;
  /** Label headers were already taken off by something in front of us: expect none. */
  readonly skipInboundLabelCheck: boolean;
  /** Incoming membership and user messages waiting to be handled, per priority. More are dropped. */
  readonly handoffQueueDepth: number;
  /** Packets are packed up to this size. */
  readonly udpBufferBytes: number;
  /** A dead member's name may be taken over from another address after this long; 0: never before it is forgotten. */
  readonly deadNodeReclaimMs: number;
  /** Refuse to send anything to an address without a member name. For transports that route by name. */
  readonly requireNodeNames: boolean;
  /** Networks members may live in, as "10.0.0.0/8"; absent: anywhere. */
  readonly cidrsAllowed?: readonly string[];
  /** How often the depth of the broadcast queue is logged when it is not empty; 0: never. */
  readonly queueCheckIntervalMs: number;
}

/** Members on one network segment or in one datacenter. */
export const lan: MemberlistConfig = Object.freeze({
  bindHost: '0.0.0.0',
  bindPort: 7946,
  protocolVersion: 2,
  tcpTimeoutMs: 10_000,
  indirectChecks: 3,
  retransmitMult: 4,
  suspicionMult: 4,
  suspicionMaxTimeoutMult: 6,
  pushPullIntervalMs: 30_000,
  probeIntervalMs: 1_000,
  probeTimeoutMs: 500,
  disableTcpPings: false,
  awarenessMaxMultiplier: 8,
  gossipIntervalMs: 200,
  gossipNodes: 3,
  gossipToTheDeadMs: 30_000,
  gossipVerifyIncoming: true,
  gossipVerifyOutgoing: true,
  enableCompression: true,
  skipInboundLabelCheck: false,
  handoffQueueDepth: 1_024,
  udpBufferBytes: 1_400,
  deadNodeReclaimMs: 0,
  requireNodeNames: false,
  queueCheckIntervalMs: 30_000,
});

/** Members spread over datacenters. */
export const wan: MemberlistConfig = Object.freeze({
  ...lan,
  tcpTimeoutMs: 30_000,
  suspicionMult: 6,
  pushPullIntervalMs: 60_000,
  probeIntervalMs: 5_000,
  probeTimeoutMs: 3_000,
  gossipIntervalMs: 500,
  gossipNodes: 4,
  gossipToTheDeadMs: 60_000,
});

/** Members on one machine. */
export const local: MemberlistConfig = Object.freeze({
  ...lan,
  tcpTimeoutMs: 1_000,
  indirectChecks: 1,
  retransmitMult: 2,
  suspicionMult: 3,
  pushPullIntervalMs: 15_000,
  probeTimeoutMs: 200,
  gossipIntervalMs: 100,
  gossipToTheDeadMs: 15_000,
});

/** Returns `config` when it makes sense; throws MemberlistError 'bad_config' naming the field otherwise. */
export function checkConfig(config: MemberlistConfig): MemberlistConfig {
  const refuse = (field: keyof MemberlistConfig, rule: string): never => {
    throw new MemberlistError('bad_config', `config.${field} is ${String(config[field])}: ${rule}`);
  };
  for (const field of durations)
    if (!(Number.isFinite(config[field]) && config[field] >= 0))
      refuse(field, 'give milliseconds, 0 or more');
  for (const [field, min] of counts)
    if (!(Number.isInteger(config[field]) && config[field] >= min))
      refuse(field, `give an integer, ${min} or more`);
  if (config.protocolVersion > protocolMax)
    refuse('protocolVersion', `give ${protocolMin} to ${protocolMax}`);
  if (config.udpBufferBytes > 65_507) refuse('udpBufferBytes', 'a UDP datagram carries at most 65507 bytes');
  return config;
}

const durations = [
  'tcpTimeoutMs',
  'pushPullIntervalMs',
  'probeIntervalMs',
  'probeTimeoutMs',
  'gossipIntervalMs',
  'gossipToTheDeadMs',
  'deadNodeReclaimMs',
  'queueCheckIntervalMs',
] as const satisfies readonly (keyof MemberlistConfig)[];

const counts = [
  ['protocolVersion', protocolMin],
  ['indirectChecks', 0],
  ['retransmitMult', 1],
  ['suspicionMult', 1],
  ['suspicionMaxTimeoutMult', 1],
  ['awarenessMaxMultiplier', 1],
  ['gossipNodes', 0],
  ['handoffQueueDepth', 1],
  ['udpBufferBytes', 512],
] as const satisfies readonly (readonly [keyof MemberlistConfig, number])[];
