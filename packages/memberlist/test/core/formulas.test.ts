/**
 * formulas.test.ts: the numbers everybody must agree on, against those of Go.
 */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { lan, local, type MemberlistConfig, wan } from '../../src/config.ts';
import { Awareness } from '../../src/core/awareness.ts';
import {
  pushPullIntervalMs,
  retransmitLimit,
  suspicionTimeoutMs,
  suspicionTotalMs,
} from '../../src/core/formulas.ts';
import { encryptedLength, encryptOverheadBytes } from '../../src/wire/encrypt.ts';

type Row = Readonly<Record<string, number>>;

interface Table {
  readonly name: string;
  readonly rows: readonly Row[];
}

const file = new URL('../vectors/formulas.json', import.meta.url);
const tables = (JSON.parse(readFileSync(file, 'utf8')) as { readonly vectors: readonly Table[] }).vectors;

function rows(name: string): readonly Row[] {
  const table = tables.find((t) => t.name === name);
  expect(table?.rows.length).toBeGreaterThan(0);
  return table!.rows;
}

test('suspicionTimeout: least suspicion by multiplier, table size and probe interval', () => {
  for (const row of rows('suspicionTimeout'))
    expect({ ...row, us: 1000 * suspicionTimeoutMs(row['mult']!, row['n']!, row['intervalMs']!) }).toEqual(
      row,
    );
});

test('retransmitLimit: how often a broadcast is sent, by multiplier and table size', () => {
  for (const row of rows('retransmitLimit'))
    expect({ ...row, limit: retransmitLimit(row['mult']!, row['n']!) }).toEqual(row);
});

test('pushPullScale: full exchanges become rarer from 33 members on', () => {
  for (const row of rows('pushPullScale'))
    expect({ ...row, ms: pushPullIntervalMs(row['intervalMs']!, row['n']!) }).toEqual(row);
});

test('remainingSuspicionTime: what is left after n of k confirmations', () => {
  for (const row of rows('remainingSuspicionTime')) {
    const totalMs = suspicionTotalMs(row['n']!, row['k']!, row['minMs']!, row['maxMs']!);
    expect({ ...row, us: 1000 * (totalMs - row['elapsedMs']!) }).toEqual(row);
  }
});

test('awareness: the score stays below the maximum and stretches intervals', () => {
  const awareness = new Awareness(8);
  for (const row of rows('awareness')) {
    awareness.apply(row['delta']!);
    expect({ ...row, score: awareness.score, scaled1000Ms: awareness.scaleMs(1000) }).toEqual(row);
  }
});

test('encryptedLength: what encryption adds', () => {
  for (const row of rows('encryptedLength')) {
    const inner = row['inner']!;
    expect({ inner, v0: encryptedLength(0, inner), v1: encryptedLength(1, inner) }).toEqual(row);
  }
  expect([encryptOverheadBytes(0), encryptOverheadBytes(1)]).toEqual([45, 29]);
});

/** A serf formula, derived from memberlist's numbers: gossip interval * 16 * ceil(log10(members + 1)). */
test('defaultQueryTimeout: follows from the retransmit formula and the gossip intervals', () => {
  for (const row of rows('defaultQueryTimeout')) {
    const rounds = retransmitLimit(16, row['members']!);
    expect({ ...row, lanMs: lan.gossipIntervalMs * rounds, wanMs: wan.gossipIntervalMs * rounds }).toEqual(
      row,
    );
  }
});

test('defaults: the three profiles', () => {
  const profiles: Readonly<Record<string, MemberlistConfig>> = { lan, wan, local };
  for (const { config: name, ...row } of rows('defaults') as unknown as readonly {
    readonly config: string;
  }[]) {
    const c = profiles[name]!;
    expect({
      AwarenessMaxMultiplier: c.awarenessMaxMultiplier,
      BindPort: c.bindPort,
      DeadNodeReclaimTime: c.deadNodeReclaimMs,
      DisableTcpPings: c.disableTcpPings,
      EnableCompression: c.enableCompression,
      GossipInterval: c.gossipIntervalMs,
      GossipNodes: c.gossipNodes,
      GossipToTheDeadTime: c.gossipToTheDeadMs,
      GossipVerifyIncoming: c.gossipVerifyIncoming,
      GossipVerifyOutgoing: c.gossipVerifyOutgoing,
      HandoffQueueDepth: c.handoffQueueDepth,
      IndirectChecks: c.indirectChecks,
      ProbeInterval: c.probeIntervalMs,
      ProbeTimeout: c.probeTimeoutMs,
      ProtocolVersion: c.protocolVersion,
      PushPullInterval: c.pushPullIntervalMs,
      QueueCheckInterval: c.queueCheckIntervalMs,
      RequireNodeNames: c.requireNodeNames,
      RetransmitMult: c.retransmitMult,
      SuspicionMaxTimeoutMult: c.suspicionMaxTimeoutMult,
      SuspicionMult: c.suspicionMult,
      TCPTimeout: c.tcpTimeoutMs,
      UDPBufferSize: c.udpBufferBytes,
    }).toEqual(row);
  }
});

test('every recorded table has its test here', () => {
  expect(tables.map((t) => t.name).sort()).toEqual(
    [
      'awareness',
      'defaultQueryTimeout',
      'defaults',
      'encryptedLength',
      'pushPullScale',
      'remainingSuspicionTime',
      'retransmitLimit',
      'suspicionTimeout',
    ].sort(),
  );
});
