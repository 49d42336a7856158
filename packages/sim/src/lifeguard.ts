/**
 * lifeguard.ts: the experiment of the Lifeguard paper: who is taken for dead because somebody else is slow?
 *
 * Of 128 members some stand still, again and again, all at the same times: for `stallMs` they neither hear nor are heard
 * while their clocks go on, then for `pauseMs` all is well, for two minutes. A false positive is a healthy member that
 * somebody declares dead. Run with Lifeguard and without; the difference is Lifeguard. Dadgar, Phillips, Currey,
 * "Lifeguard: Local Health Awareness for More Accurate Failure Detection" (2018), section V (C, D and I there).
 * Lives here: one cell of the experiment. Must not live here: which cells (main.ts).
 */
import { lan, type MemberlistConfig } from '@fed/memberlist';
import { disagreement } from './checkers/convergence.ts';
import { Cluster } from './cluster.ts';

/** Probes that doubt themselves, and suspicions that wait for witnesses; alpha 5 and beta 6, as in the paper. */
const withLifeguard: Partial<MemberlistConfig> = { ...lan, suspicionMult: 5, suspicionMaxTimeoutMult: 6 };
/** A health score that stays 0 (so nacks and refutations teach nothing), and suspicions of a fixed length: SWIM. */
const withoutLifeguard: Partial<MemberlistConfig> = {
  ...withLifeguard,
  awarenessMaxMultiplier: 1,
  suspicionMaxTimeoutMult: 1,
};
const experimentMs = 120_000;

export interface LifeguardOptions {
  readonly seed: number;
  readonly nodes: number;
  /** How many stand still. */
  readonly slow: number;
  readonly stallMs: number;
  readonly pauseMs: number;
  readonly lifeguard: boolean;
}

export interface FalsePositives {
  /** Healthy members declared dead, counted at everybody. */
  readonly everywhere: number;
  /** The same, counted at the healthy only. */
  readonly atHealthy: number;
}

export async function countFalsePositives(o: LifeguardOptions): Promise<FalsePositives> {
  const config = o.lifeguard ? withLifeguard : withoutLifeguard;
  await using cluster = new Cluster({ seed: o.seed, config, checked: false });
  const { clock, rng, network } = cluster;
  const names = Array.from({ length: o.nodes }, (_, i) => `n${i}`);
  const slow = new Set<string>();
  let everywhere = 0;
  let atHealthy = 0;
  for (const [i, name] of names.entries()) {
    const member = await cluster.start(name, {
      changed: ({ kind, member: subject }) => {
        if (kind !== 'leave' || slow.has(subject.name) || slow.size === 0) return;
        everywhere++;
        if (!slow.has(name)) atHealthy++;
      },
    });
    if (i > 0) await clock.until(member.join([cluster.addressOf('n0')]));
  }
  const settled = (): boolean => disagreement(cluster.running) === undefined;
  while (!settled()) await clock.run(1_000);
  await clock.run(15_000); // as long as the paper waits

  while (slow.size < o.slow) slow.add(rng.pick(names));
  const hosts = [...slow].map((name) => cluster.hostOf(name));
  const end = clock.now() + experimentMs;
  while (clock.now() < end) {
    for (const host of hosts) network.stall(host);
    await clock.run(Math.min(o.stallMs, end - clock.now()));
    for (const host of hosts) network.resume(host);
    await clock.run(Math.min(o.pauseMs, end - clock.now()));
  }
  return { everywhere, atHealthy };
}
