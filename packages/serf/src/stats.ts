/**
 * stats.ts: the numbers `consul info` shows of a pool, under the names it has for them. serf serf.go, Stats.
 */
import type { Core } from './core/core.ts';

export function statsOf(
  { members, clock, userEvents, queries, queues }: Core,
  o: {
    readonly healthScore: number;
    readonly encrypted: boolean;
    readonly coordinateResets: number | undefined;
  },
): Record<string, string> {
  const stats: Record<string, number | bigint | boolean> = {
    members: members.size,
    failed: members.failed.size,
    left: members.left.size,
    health_score: o.healthScore,
    member_time: clock.time,
    event_time: userEvents.clock.time,
    query_time: queries.clock.time,
    intent_queue: queues.intents.length,
    event_queue: queues.events.length,
    query_queue: queues.queries.length,
    encrypted: o.encrypted,
  };
  if (o.coordinateResets !== undefined) stats['coordinate_resets'] = o.coordinateResets;
  return Object.fromEntries(Object.entries(stats).map(([k, v]) => [k, String(v)]));
}
