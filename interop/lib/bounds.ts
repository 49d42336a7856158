/**
 * bounds.ts: how long gossip may take, computed from its own settings.
 *
 * Lives here: arithmetic over a profile. Must not live here: waiting.
 */
import type { MemberlistConfig } from '@fed/memberlist';

/**
 * The longest until everybody knows that one of `members` died without a word, in ms: the others reach it in their probing
 * order at worst at the very end of the next round, the probe fails (twice as slowly if the prober has just failed with
 * another), nobody else confirms the suspicion, and the news needs all its retransmissions.
 */
export function detectionMs(profile: MemberlistConfig, members: number): number {
  const { probeIntervalMs, suspicionMult, suspicionMaxTimeoutMult, retransmitMult, gossipIntervalMs } =
    profile;
  const reachMs = 2 * (members - 1) * probeIntervalMs;
  const failMs = 2 * probeIntervalMs;
  const suspicionMs =
    suspicionMaxTimeoutMult * suspicionMult * Math.max(1, Math.log10(members)) * probeIntervalMs;
  const spreadMs = retransmitMult * Math.ceil(Math.log10(members + 1)) * gossipIntervalMs;
  return reachMs + failMs + suspicionMs + spreadMs;
}

/**
 * The longest until everybody knows that a part of `members` has been cut off at once: as above, but every probe of theirs
 * that fails, and every helper among them that stays silent, makes the prober more patient, up to its limit.
 */
export function partitionMs(profile: MemberlistConfig, members: number): number {
  const patienceMs = (profile.awarenessMaxMultiplier - 1) * profile.probeIntervalMs;
  return detectionMs(profile, members) + 2 * members * patienceMs;
}
