/**
 * scenario.ts: a bad day, followed by a good one.
 *
 * For a while members crash, come back, leave, are cut off, slowed down and talked to over a lossy network; then the
 * network heals, everybody knocks on one door (what serf's reconnecting does), and all must come to agree. Everything,
 * from the first fault to the last nonce, follows from the seed.
 * Lives here: what happens when. Must not live here: what must hold meanwhile (checkers/).
 */
import { MemberlistError, PeerError } from '@fed/memberlist';
import { disagreement } from './checkers/convergence.ts';
import type { Violation } from './checkers/violation.ts';
import { Cluster } from './cluster.ts';
import { calm, type Faults } from './network.ts';

/** How long the bad day lasts, and how long agreement may take afterwards: two push/pull rounds and some probes. */
const badMs = 60_000;
const agreeMsMax = 180_000;
/** What is still underway when all agree for the first time may take so long, ... */
const calmDownMs = 30_000;
/** ... and then for so long nothing may happen any more. */
const quietMs = 20_000;
/** What nobody logs on a calm network. */
const alarmCodes = [
  'suspect',
  'suspect_failed',
  'tcp_only',
  'conflict',
  'push_pull_failed',
  'send_failed',
  'hook_failed',
];
/** Shorter than the dead are remembered, so that both sides still know each other when it ends. */
const partitionMsMax = 15_000;

export interface ScenarioOptions {
  readonly seed: number;
  readonly nodes: number;
}

export interface ScenarioResult {
  readonly seed: number;
  readonly nodes: number;
  readonly violations: readonly Violation[];
  /** The same for the same seed, always. */
  readonly hash: string;
  /** Lines of the transcript: packets, streams, changes. */
  readonly events: number;
  /** Virtual time between the end of the faults and agreement. */
  readonly agreedAfterMs: number | undefined;
  readonly tail: readonly string[];
}

export async function runScenario({ seed, nodes }: ScenarioOptions): Promise<ScenarioResult> {
  // Every third seed encrypts and every fifth wears a label, so that the whole onion is under test.
  const key = seed % 3 === 0 ? Uint8Array.from({ length: 16 }, (_, i) => (seed + i) & 0xff) : undefined;
  await using cluster = new Cluster({
    seed,
    ...(key && { key }),
    ...(seed % 5 === 0 && { label: 'sim' }),
  });
  const { clock, network, violations } = cluster;
  const day = new BadDay(
    cluster,
    Array.from({ length: nodes }, (_, i) => `n${i}`),
  );
  await day.begin();
  await day.suffer();
  await day.recover();
  const healedAt = clock.now();
  let agreedAfterMs: number | undefined;
  await clock.run(agreeMsMax, () => {
    if (disagreement(cluster.running) !== undefined) return false;
    agreedAfterMs = clock.now() - healedAt;
    return true;
  });
  const open = disagreement(cluster.running);
  if (open !== undefined)
    violations.push({
      rule: 'all come to agree',
      atMs: clock.now(),
      detail: `after ${agreeMsMax} ms: ${open}`,
    });
  network.note(`agreed ${open ?? 'yes'}`);
  if (open === undefined) await staysQuiet(cluster);
  const { hash, length: events } = cluster.transcript;
  return { seed, nodes, violations, hash, events, agreedAfterMs, tail: cluster.transcript.tail(40) };
}

/** On a calm network nobody is suspected, and whoever doubted himself has regained his health. */
async function staysQuiet({ clock, running, violations, logged }: Cluster): Promise<void> {
  await clock.run(calmDownMs);
  const before = new Map(logged);
  let noise: string | undefined;
  await clock.run(quietMs, () => {
    noise = disagreement(running);
    return noise !== undefined;
  });
  const alarm = alarmCodes.find((code) => logged.get(code) !== before.get(code));
  if (alarm !== undefined) noise ??= `somebody logged ${alarm}`;
  // Who is alone has no probes to recover by.
  const ill = running.length > 1 ? running.find((member) => member.healthScore() > 0) : undefined;
  if (ill !== undefined) noise ??= `${ill.name} has a health score of ${ill.healthScore()}`;
  if (noise !== undefined)
    violations.push({ rule: 'a calm network is quiet', atMs: clock.now(), detail: noise });
}

class BadDay {
  readonly #cluster: Cluster;
  readonly #names: readonly string[];
  readonly #metas = new Map<string, Uint8Array>();
  /** What has been begun and not yet waited for. */
  readonly #pending = new Set<Promise<unknown>>();

  constructor(cluster: Cluster, names: readonly string[]) {
    this.#cluster = cluster;
    this.#names = names;
  }

  async begin(): Promise<void> {
    for (const name of this.#names) await this.#start(name);
    await this.#cluster.clock.run(3_000);
  }

  async suffer(): Promise<void> {
    const { clock, rng, network } = this.#cluster;
    const end = clock.now() + badMs;
    network.faults = this.#faults();
    while (clock.now() < end) {
      await clock.run(rng.between(50, 3_000));
      await this.#mishap();
    }
  }

  async recover(): Promise<void> {
    const { clock, network, rng } = this.#cluster;
    network.faults = calm;
    network.heal();
    for (const name of this.#names) network.slow(this.#cluster.hostOf(name), 0);
    for (const name of this.#names)
      if (!this.#cluster.isRunning(name) && rng.chance(0.5)) await this.#start(name);
    if (this.#cluster.running.length === 0) await this.#start(this.#names[0]!);
    await clock.until(Promise.allSettled(this.#pending));
    const door = this.#cluster.addressOf(rng.pick(this.#cluster.running).name);
    for (const member of this.#cluster.running) this.#begin(member.join([door]));
    await clock.until(Promise.allSettled(this.#pending));
  }

  #faults(): Faults {
    const { rng } = this.#cluster;
    const percent = (max: number): number => rng.between(0, max) / 100;
    return {
      delayMsMin: 1,
      delayMsMax: rng.between(2, 120),
      loss: percent(30),
      duplication: percent(10),
      reordering: percent(20),
      reorderMsMax: 400,
      sendFailure: percent(3),
      streamBreak: percent(20),
    };
  }

  async #mishap(): Promise<void> {
    const { rng, network, clock } = this.#cluster;
    const name = rng.pick(this.#names);
    const running = this.#cluster.isRunning(name);
    switch (rng.below(9)) {
      case 0:
        if (running) await this.#cluster.kill(name);
        return;
      case 1:
      case 2:
        if (!running) await this.#start(name);
        return;
      case 3: {
        const side = this.#names.filter(() => rng.chance(0.5)).map((n) => this.#cluster.hostOf(n));
        network.partition(side);
        clock.at(clock.now() + rng.between(500, partitionMsMax), () => network.heal());
        return;
      }
      case 4: {
        const host = this.#cluster.hostOf(name);
        network.slow(host, rng.between(0, 900));
        clock.at(clock.now() + rng.between(500, 10_000), () => network.slow(host, 0));
        return;
      }
      case 5:
        if (!running) return;
        this.#metas.set(name, rng.bytes(rng.between(0, 60)));
        this.#begin(this.#cluster.get(name).updateMeta());
        return;
      case 6:
        if (running) await this.#leave(name);
        return;
      case 7: {
        const other = rng.pick(this.#names);
        if (running && this.#cluster.get(name).member(other) !== undefined)
          this.#begin(this.#cluster.get(name).sync(other));
        return;
      }
      case 8:
        network.faults = this.#faults();
        return;
    }
  }

  async #start(name: string): Promise<void> {
    const none = new Uint8Array(0);
    const member = await this.#cluster.start(name, {
      meta: () => this.#metas.get(name) ?? none,
      localState: () => this.#metas.get(name) ?? none,
    });
    const others = this.#names
      .filter((other) => other !== name)
      .map((other) => this.#cluster.addressOf(other));
    if (others.length > 0) this.#begin(member.join(others));
  }

  async #leave(name: string): Promise<void> {
    const { clock } = this.#cluster;
    const leaving = this.#cluster.get(name).leave({ timeoutMs: 5_000 });
    this.#begin(leaving);
    await clock.until(Promise.allSettled([leaving]));
    if (this.#cluster.isRunning(name)) await this.#cluster.kill(name);
  }

  /** Work that the bad day may make fail, with the errors that are announced and no others. */
  #begin(work: Promise<unknown>): void {
    const watched = work.catch((cause: unknown) => {
      if (cause instanceof MemberlistError || cause instanceof PeerError) return;
      const detail = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
      this.#cluster.violations.push({
        rule: 'errors are typed',
        atMs: this.#cluster.clock.now(),
        detail,
      });
    });
    this.#pending.add(watched);
    void watched.finally(() => this.#pending.delete(watched));
  }
}
