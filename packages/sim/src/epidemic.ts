/**
 * epidemic.ts: how long a rumour should take, from the mathematics of infection.
 *
 * Everybody who knows makes `contacts` a round with members picked at random, and tells. SWIM §4.1 takes the epidemic of
 * Bailey (The Mathematical Theory of Infectious Diseases, 1975): dx/dt = beta x (n - x). With x who know, the next one
 * hears after (n - 1) / (contacts x (n - x)) rounds on average; summed over x from 1 to n - 1 that is Bailey's mean
 * duration of the whole simple epidemic, of which SWIM's logistic curve is the limit for many members.
 */
import type { MemberlistConfig } from '@fed/memberlist';

/** Rounds until all of `n` know, on average. */
export function roundsToAll(n: number, contacts: number): number {
  let sum = 0;
  for (let x = 1; x < n; x++) sum += 1 / (x * (n - x));
  return ((n - 1) / contacts) * sum;
}

/** Whom a member tells per gossip round: its gossip targets, and the one it pings and the one it acks per probe interval. */
export function contactsPerRound(config: MemberlistConfig): number {
  return config.gossipNodes + (2 * config.gossipIntervalMs) / config.probeIntervalMs;
}
