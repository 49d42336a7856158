/**
 * order.ts: the best way first, from policy (tier) and memory (verdict).
 *
 * What rests goes last, whatever its tier. Among the others policy counts before memory: a preferred gateway
 * that failed a while ago is still preferred, once its rest is over. Of equals the nearer goes first, but only if it is
 * nearer by far: what a dial takes is compared in steps of four times. Those nobody has tried count as near, or nobody
 * would find out. What is left is shuffled, so that load spreads.
 * The coordinates of gossip are no help here: they place servers, and all gateways of a datacenter lead to the same ones.
 * Lives here: the comparison. Must not live here: learning, policy.
 */
import { byHostPort } from './address.ts';
import type { Verdict } from './memory.ts';
import type { Rng } from './ports.ts';
import type { Way } from './ways.ts';

export interface RankedWay extends Way {
  readonly verdict: Verdict;
}

/** Without `rng` equals stand in the order of their addresses, for people to read. */
export function rank(ways: readonly RankedWay[], rng: Rng | undefined): readonly RankedWay[] {
  const ranked = [...ways].sort((a, b) => byHostPort(a.gateway, b.gateway));
  if (rng) shuffle(ranked, rng);
  return ranked.sort(compare); // stable: equals stay as they were shuffled
}

function compare(a: RankedWay, b: RankedWay): number {
  const resting = Number(a.verdict.standing === 'resting') - Number(b.verdict.standing === 'resting');
  if (resting !== 0) return resting;
  const badness = Math.round(a.verdict.badness) - Math.round(b.verdict.badness);
  if (a.verdict.standing === 'resting') return badness || a.tier - b.tier;
  return a.tier - b.tier || badness || stepsAway(a.verdict) - stepsAway(b.verdict);
}

/** Below this many ms no difference is worth a preference. */
const nearMs = 20;

function stepsAway({ tookMs }: Verdict): number {
  return tookMs === undefined || tookMs <= nearMs ? 0 : Math.ceil(Math.log2(tookMs / nearMs) / 2);
}

function shuffle<T>(items: T[], rng: Rng): void {
  for (let last = items.length - 1; last > 0; last--) {
    const other = rng.below(last + 1);
    const item = items[last]!;
    items[last] = items[other]!;
    items[other] = item;
  }
}
