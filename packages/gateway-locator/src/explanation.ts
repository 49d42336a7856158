/**
 * explanation.ts: what an operator wants to read about the way to a datacenter.
 *
 * Lives here: from ranked ways to words. Must not live here: ranking.
 */
import { renderHostPort } from './address.ts';
import type { GatewayList } from './gateways.ts';
import type { Standing } from './memory.ts';
import type { RankedWay } from './order.ts';
import type { HostPort, Millis } from './ports.ts';
import type { Source } from './ways.ts';

export interface Candidate {
  readonly gateway: HostPort;
  /** Everybody who names this address. */
  readonly sources: readonly Source[];
  readonly standing: Standing;
  /** About 1 per recent failure, 3 per recent timeout; fades by half every 30 s. */
  readonly badness: number;
  readonly okMsAgo?: number;
  /** Of the last success. */
  readonly tookMs?: number;
  readonly failure?: { readonly code: string; readonly msAgo: number };
  readonly restsForMs?: number;
}

/**
 * How we go: not at all, by an address that once worked, by configured ones, by gossip, by the primary's record, through
 * our own gateways.
 */
export type Mode = 'none' | 'history' | 'fallback' | 'gossip' | 'replicated' | 'local';

export interface Explanation {
  readonly datacenter: string;
  readonly mode: Mode;
  /** Best first. */
  readonly candidates: readonly Candidate[];
  /** What the destination has published, as seen from outside. */
  readonly remoteGateways: readonly HostPort[];
  /** The same for people, one line per candidate. */
  readonly text: string;
}

function modeOf(ranked: readonly { readonly sources: readonly Source[] }[]): Mode {
  const sources = ranked[0]?.sources ?? [];
  if (sources.includes('local_catalog') || sources.includes('own_record')) return 'local';
  if (sources.includes('primary_record')) return 'replicated';
  if (sources.includes('gossip')) return 'gossip';
  if (sources.includes('fallback')) return 'fallback';
  return sources.includes('history') ? 'history' : 'none';
}

export function explainWays(o: {
  readonly datacenter: string;
  readonly ranked: readonly RankedWay[];
  readonly remoteGateways: readonly HostPort[];
  readonly whyNone: string;
  readonly now: Millis;
}): Explanation {
  const candidates = o.ranked.map((way) => candidateOf(way, o.now));
  const mode = modeOf(o.ranked);
  const remote = o.remoteGateways.map(renderHostPort).join(', ');
  const lines = [
    `${o.datacenter}: ${mode === 'none' ? `no gateway is known: ${o.whyNone}` : `mode ${mode}`}`,
    ...candidates.map((candidate, at) => `  ${at + 1}. ${lineOf(candidate)}`),
    `  it has published ${remote === '' ? 'no gateway' : remote}`,
  ];
  return {
    datacenter: o.datacenter,
    mode,
    candidates,
    remoteGateways: o.remoteGateways,
    text: lines.join('\n'),
  };
}

function candidateOf({ gateway, sources, verdict }: RankedWay, now: Millis): Candidate {
  const { standing, badness, okAt, failure, restsUntil, tookMs } = verdict;
  return {
    gateway,
    sources,
    standing,
    badness: Math.round(badness * 100) / 100,
    ...(okAt !== undefined && { okMsAgo: now - okAt }),
    ...(tookMs !== undefined && { tookMs }),
    ...(failure && { failure: { code: failure.code, msAgo: now - failure.at } }),
    ...(restsUntil !== undefined && { restsForMs: restsUntil - now }),
  };
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

function lineOf(c: Candidate): string {
  const parts = [`${renderHostPort(c.gateway)} (${c.sources.join(', ')}): ${c.standing}`];
  if (c.okMsAgo !== undefined) parts.push(`led there ${seconds(c.okMsAgo)} ago`);
  if (c.failure) parts.push(`${c.failure.code} ${seconds(c.failure.msAgo)} ago`);
  if (c.restsForMs !== undefined) parts.push(`tried last for another ${seconds(c.restsForMs)}`);
  return parts.join('; ');
}

/** The remedy differs, so each case has its own words. */
export function whyNoGateway(o: {
  /** From a secondary to the primary, which also has doors of its own. */
  readonly toPrimary: boolean;
  readonly local: GatewayList;
  readonly primaryRecord: GatewayList | undefined;
  readonly statesHeard: boolean;
}): string {
  const own = `our own datacenter ${leftOut(o.local)}`;
  if (!o.toPrimary) return own;
  if (o.primaryRecord)
    return `${own}; the primary ${leftOut(o.primaryRecord)}; primary_gateways yield no address`;
  const states = o.statesHeard
    ? 'the primary has no federation state here'
    : 'no federation state has been replicated yet';
  return `${own}; ${states}; primary_gateways yield no address`;
}

function leftOut(list: GatewayList): string {
  if (list.rows === 0) return 'has registered no mesh gateway';
  const reasons = [
    list.unwilling > 0 && `${list.unwilling} without consul-wan-federation=1`,
    list.critical > 0 && `${list.critical} critical`,
    list.unaddressed > 0 && `${list.unaddressed} without a usable address`,
  ].filter((reason) => reason !== false);
  if (reasons.length === 0) return `has ${list.addresses.length} usable mesh gateway(s)`;
  return `has ${list.rows} mesh gateway(s), but ${reasons.join(', ')}`;
}
