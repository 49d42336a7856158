/**
 * gossip-config.ts: the original's settings for the two pools, and what the operator changed about them.
 *
 * Source: Consul agent/consul/config.go (DefaultConfig), agent/config/default.go; WAN fan-out is 3 there, not
 * memberlist's 4, and names are required because every answer is routed by name.
 */
import { join } from 'node:path';
import type { MemberlistConfig } from '@fed/memberlist';
import { lan, wan } from '@fed/memberlist';
import type { SerfConfig } from '@fed/serf';
import type { Config } from './config/config.ts';

/** How long a name stays taken after its owner was declared dead at another address. */
const deadNodeReclaimMs = 30_000;
/** Time for our goodbye to spread before we close. */
const leavePropagateDelayMs = 3000;

export function wanGossip(config: Config): Partial<MemberlistConfig> {
  return { ...wan, gossipNodes: 3, requireNodeNames: true, deadNodeReclaimMs, ...config.gossipWan };
}

export function lanGossip(config: Config): Partial<MemberlistConfig> {
  return { ...lan, deadNodeReclaimMs, ...config.gossipLan };
}

export function wanSerf(config: Config): Partial<SerfConfig> {
  return {
    leavePropagateDelayMs,
    reconnectTimeoutMs: config.reconnectTimeoutWanMs,
    nameConflictResolution: false,
    rejoinAfterLeave: config.rejoinAfterLeave,
    snapshotPath: join(config.dataDir, 'serf', 'remote.snapshot'),
    keyringPath: join(config.dataDir, 'serf', 'remote.keyring'),
  };
}

export function lanSerf(config: Config): Partial<SerfConfig> {
  return {
    leavePropagateDelayMs,
    reconnectTimeoutMs: config.reconnectTimeoutMs,
    nameConflictResolution: false,
    rejoinAfterLeave: config.rejoinAfterLeave,
    snapshotPath: join(config.dataDir, 'serf', 'local.snapshot'),
    keyringPath: join(config.dataDir, 'serf', 'local.keyring'),
  };
}
