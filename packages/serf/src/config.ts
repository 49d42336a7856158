/**
 * config.ts: every number that shapes a serf, with serf's own defaults.
 *
 * serf config.go, DefaultConfig. Lives here: fields, units, defaults, their check. Must not live here: names, tags and
 * hooks, which belong to one member; gossip timing, which is memberlist's.
 */
import type { CoalesceTimes } from './core/coalesce.ts';
import { SerfError } from './errors.ts';

export interface SerfConfig {
  /** Protocol spoken, 2..5. 4, the default, has queries; 5 relays answers. */
  readonly protocolVersion: number;
  /** How long leaving waits for its intent to be gossiped, and again for memberlist's own farewell. */
  readonly broadcastTimeoutMs: number;
  /** How long leaving waits after that, so that the others pass it on. */
  readonly leavePropagateDelayMs: number;
  /** Lamport times back that user events (queries) are remembered, so that none is told twice. */
  readonly eventBufferSlots: number;
  readonly queryBufferSlots: number;
  /** How often members gone for too long are looked for. */
  readonly reapIntervalMs: number;
  /** How long an intent waits for its member to show up. */
  readonly recentIntentTimeoutMs: number;
  /** How often a failed member may be tried again. 0: never. */
  readonly reconnectIntervalMs: number;
  /** Failed members are forgotten after this long ... */
  readonly reconnectTimeoutMs: number;
  /** ... and those who left after this long. */
  readonly tombstoneTimeoutMs: number;
  /** How often the queues are looked at for a warning. 0: never. */
  readonly queueCheckIntervalMs: number;
  /** Messages in one queue that are worth a warning. */
  readonly queueDepthWarning: number;
  /** Messages kept in one queue; the most sent go first. */
  readonly maxQueueDepth: number;
  /** When above 0, the limit is twice the members instead, but at least this. */
  readonly minQueueDepth: number;
  /** A query waits gossip interval * this * ceil(log10(members + 1)) unless told otherwise. */
  readonly queryTimeoutMult: number;
  readonly queryBytesMax: number;
  readonly queryResponseBytesMax: number;
  /** Name and payload, and the message they make; at most 9216. */
  readonly userEventBytesMax: number;
  /** When another member claims our name, ask the others; the one in the minority closes itself. */
  readonly nameConflictResolution: boolean;
  /** Network coordinates ride on acks. */
  readonly coordinates: boolean;
  /** Where to remember who was there; absent: nowhere. */
  readonly snapshotPath?: string;
  /** Whether a snapshot outlives a leave. */
  readonly rejoinAfterLeave: boolean;
  /** Rewritten whenever a key query changes the ring: JSON, base64, primary first. Absent: kept in memory only. */
  readonly keyringPath?: string;
  /** Holding back member events; off by default. */
  readonly memberCoalesce: CoalesceTimes;
  /** Holding back user events that allow it; off by default. */
  readonly userCoalesce: CoalesceTimes;
  /** Names of members must be letters, digits, dots and dashes, at most 128. */
  readonly validateNodeNames: boolean;
}

export const defaults: SerfConfig = Object.freeze({
  protocolVersion: 4,
  broadcastTimeoutMs: 5_000,
  leavePropagateDelayMs: 1_000,
  eventBufferSlots: 512,
  queryBufferSlots: 512,
  reapIntervalMs: 15_000,
  recentIntentTimeoutMs: 5 * 60_000,
  reconnectIntervalMs: 30_000,
  reconnectTimeoutMs: 24 * 3_600_000,
  tombstoneTimeoutMs: 24 * 3_600_000,
  queueCheckIntervalMs: 30_000,
  queueDepthWarning: 128,
  maxQueueDepth: 4_096,
  minQueueDepth: 0,
  queryTimeoutMult: 16,
  queryBytesMax: 1_024,
  queryResponseBytesMax: 1_024,
  userEventBytesMax: 512,
  nameConflictResolution: true,
  coordinates: true,
  rejoinAfterLeave: false,
  memberCoalesce: { periodMs: 0, quiescentMs: 0 },
  userCoalesce: { periodMs: 0, quiescentMs: 0 },
  validateNodeNames: false,
});

export const protocolVersionMin = 2;
export const protocolVersionMax = 5;
/** A user event fits a packet whatever userEventBytesMax says. serf serf.go, UserEventSizeLimit. */
const userEventBytesHardMax = 9 * 1_024;

/** Returns `config` when it makes sense; throws SerfError 'bad_config' naming the field otherwise. */
export function checkConfig(config: SerfConfig): SerfConfig {
  const refuse = (field: keyof SerfConfig, rule: string): never => {
    throw new SerfError('bad_config', `config.${field} is ${String(config[field])}: ${rule}`);
  };
  for (const [field, value] of Object.entries(config) as [keyof SerfConfig, unknown][]) {
    if (typeof value !== 'number') continue;
    if (!(Number.isFinite(value) && value >= 0)) refuse(field, 'give a number, 0 or more');
    if (!field.endsWith('Ms') && !Number.isInteger(value)) refuse(field, 'give an integer');
  }
  if (config.protocolVersion < protocolVersionMin || config.protocolVersion > protocolVersionMax)
    refuse('protocolVersion', `give ${protocolVersionMin} to ${protocolVersionMax}`);
  for (const field of ['eventBufferSlots', 'queryBufferSlots', 'reapIntervalMs', 'maxQueueDepth'] as const)
    if (config[field] < 1) refuse(field, 'give 1 or more');
  if (config.userEventBytesMax > userEventBytesHardMax)
    refuse('userEventBytesMax', `give at most ${userEventBytesHardMax}`);
  return config;
}

const nameCharsMax = 128;

/** Why a name breaks the naming rule, or undefined. serf serf.go, validateNodeName. */
export function refuseName(name: string): string | undefined {
  if (name.length > nameCharsMax)
    return `the name has ${name.length} characters, at most ${nameCharsMax} are allowed`;
  if (!/^[A-Za-z0-9\-.]+$/.test(name))
    return `the name '${name}' has others than letters, digits, dots and dashes`;
  return undefined;
}
