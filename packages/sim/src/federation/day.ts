/**
 * day.ts: a bad day for a federation, followed by a good one.
 *
 * Gateways die, move, stand still and go dark, ways are closed in one direction, servers are killed, links get slow and lossy,
 * clocks are set wrong; meanwhile people read and write. Then all of it ends, and the federation must become whole again, soon. All
 * of it follows from the seed.
 * Lives here: what happens when. Must not live here: what must hold meanwhile (checkers.ts), single faults (scenarios.ts).
 */

import { newService } from '@fed/fsm';
import { RpcApplicationError, RpcError } from '@fed/rpc';
import type { Config } from '@fed/server/inside';
import type { Violation } from '../checkers/violation.ts';
import { Checkers } from './checkers.ts';
import { type Datacenter, Federation } from './federation.ts';
import type { SimGateway } from './gateway.ts';
import { calmFaults } from './network.ts';

const badMs = 60_000;
/** What servers and gateways take to be up, before anybody looks who has lost whom. */
const startMs = 200;
/** I10: whole again after the last fault is over. */
export const wholeMsMax = 15_000;
/** Health checks run every 10 s: what they find once everything is mended still changes records. */
const checksMs = 12_000;
/** And then so long nothing may happen any more. */
const quietMs = 15_000;
/** No read takes longer, whatever happens (apps/server abroad.ts, answerMsMax). */
const readMsMax = 10_000;

export interface DayOptions {
  readonly seed: number;
  /** Absent: 2 to 5, by the seed. */
  readonly datacenters?: number | undefined;
  readonly logLevel?: Config['logLevel'];
}

export interface DayResult {
  readonly seed: number;
  readonly datacenters: number;
  readonly violations: readonly Violation[];
  /** The same for the same seed, always. */
  readonly hash: string;
  readonly events: number;
  readonly wholeAfterMs: number | undefined;
  readonly reads: number;
  readonly readsFailed: number;
  readonly tail: readonly string[];
}

export async function runFederationDay(o: DayOptions): Promise<DayResult> {
  const { seed } = o;
  const fed = await Federation.open({
    seed,
    datacenters: o.datacenters ?? 2 + (seed % 4),
    gateways: 1 + (seed % 2),
    encrypted: seed % 3 === 0,
    ...(o.logLevel !== undefined && { logLevel: o.logLevel }),
  });
  const checkers = new Checkers(fed);
  const day = new BadDay(fed);
  fed.startAll();
  if (fed.rng.chance(0.8)) await fed.clock.run(fed.rng.between(0, 10_000)); // sometimes it is not even formed
  await day.suffer();
  await day.recover();
  const whole = await fed.untilWhole(wholeMsMax);
  if (typeof whole === 'string')
    day.violated('I10 it becomes whole again', `after ${wholeMsMax} ms: ${whole}`);
  else await day.staysWhole();
  checkers.quiet();
  day.lostNothing();
  await day.end();
  const { transcript, violations } = fed;
  return {
    seed,
    datacenters: fed.datacenters.length,
    violations,
    hash: transcript.hash,
    events: transcript.length,
    wholeAfterMs: typeof whole === 'number' ? whole : undefined,
    reads: day.reads,
    readsFailed: day.readsFailed,
    tail: transcript.tail(transcriptTail),
  };
}

const transcriptTail = 120;

class BadDay {
  readonly #fed: Federation;
  readonly #acknowledged = new Map<Datacenter, string[]>();
  readonly #pending = new Set<Promise<unknown>>();
  reads = 0;
  readsFailed = 0;
  #writes = 0;

  constructor(fed: Federation) {
    this.#fed = fed;
  }

  violated(rule: string, detail: string): void {
    this.#fed.violations.push({ rule, atMs: this.#fed.clock.now(), detail });
    this.#fed.net.note(`VIOLATED ${rule}: ${detail}`);
  }

  async suffer(): Promise<void> {
    const { clock, rng } = this.#fed;
    const end = clock.now() + badMs;
    while (clock.now() < end) {
      await clock.run(rng.between(50, 4_000));
      await this.#mishap();
      this.#somebodyReads();
      if (rng.chance(0.3)) this.#somebodyWrites();
    }
  }

  async recover(): Promise<void> {
    const { net, datacenters } = this.#fed;
    net.note('everything is mended');
    net.faults = calmFaults;
    net.unblockAll();
    for (const dc of datacenters) {
      net.slow(dc.name, 0);
      dc.server.host.dark = dc.server.host.frozen = false;
      dc.server.start();
      for (const gateway of dc.gateways) {
        gateway.host.dark = gateway.host.frozen = false;
        gateway.start();
      }
    }
    await this.#fed.clock.run(startMs);
    for (const dc of this.#fed.lost()) await this.#fed.clock.until(this.#fed.correct(dc));
  }

  async staysWhole(): Promise<void> {
    const { clock } = this.#fed;
    await clock.run(checksMs);
    const whole = await this.#fed.untilWhole(wholeMsMax);
    if (typeof whole === 'string') return this.violated('I10 it becomes whole again', whole);
    const end = clock.now() + quietMs;
    while (clock.now() < end) {
      await clock.run(1_000);
      const why = this.#fed.disagreement();
      if (why !== undefined) return this.violated('a calm federation stays whole', why);
    }
    const failed = await this.#fed.readsFail();
    if (failed !== undefined) this.violated('a calm federation stays whole', failed);
  }

  /** What a server has acknowledged is there, however often it was killed since. */
  lostNothing(): void {
    for (const [{ name, server }, ids] of this.#acknowledged) {
      const rows = server.running?.rooms.fsm.store.nodeServices(server.node).rows;
      const lost = rows && ids.find((id) => !rows.some((row) => row.ID === id));
      if (lost !== undefined) this.violated('what was acknowledged is kept', `${name} has lost ${lost}`);
    }
  }

  async end(): Promise<void> {
    const { clock } = this.#fed;
    await clock.until(Promise.allSettled(this.#pending));
    await clock.until(this.#fed.close());
  }

  #somebodyReads(): void {
    const { rng, clock, datacenters } = this.#fed;
    const from = rng.pick(datacenters);
    const to = rng.pick(datacenters);
    const { running } = from.server;
    if (from === to || running === undefined) return;
    const began = clock.now();
    this.reads++;
    const took = (): void => {
      if (from.server.running !== running) return; // who asked is dead
      const ms = clock.now() - began;
      if (ms > readMsMax + 1_000)
        this.violated(
          'no read waits without a limit',
          `${from.name} waited ${Math.round(ms)} ms for ${to.name}`,
        );
    };
    clock.at(began + readMsMax + 1_500, () => {
      if (!settled) took();
    });
    let settled = false;
    this.#fed.read(from, to).then(
      () => {
        settled = true;
        took();
      },
      (error: unknown) => {
        settled = true;
        this.readsFailed++;
        if (!(error instanceof RpcApplicationError) && !(error instanceof RpcError))
          this.violated('a failed read says why', String((error as Error).stack));
        this.#fed.net.note(`read ${from.name} ${to.name} failed: ${(error as Error).message}`);
        took();
      },
    );
  }

  #somebodyWrites(): void {
    const { rng, datacenters, net } = this.#fed;
    const dc = rng.pick(datacenters);
    const { running } = dc.server;
    if (running === undefined) return;
    const id = `web-${++this.#writes}`;
    const service = newService({ ID: id, Service: 'web', Port: 80 });
    running.agent.register({ service, checks: [] }, { replaceChecks: false }).then(
      () => {
        net.note(`acknowledged ${dc.name} ${id}`);
        const kept = this.#acknowledged.get(dc) ?? [];
        this.#acknowledged.set(dc, [...kept, id]);
      },
      () => {}, // refused is not acknowledged
    );
  }

  async #mishap(): Promise<void> {
    const { rng, net, clock, datacenters } = this.#fed;
    const dc = rng.pick(datacenters);
    const gateway = rng.pick(dc.gateways);
    const forMs = rng.between(500, 25_000);
    switch (rng.below(14)) {
      case 0:
      case 1:
        gateway.kill();
        return this.#later(forMs, () => this.#start(gateway));
      case 2:
        return this.#state(gateway, 'frozen', forMs);
      case 3:
        return this.#state(gateway, 'dark', forMs);
      case 4:
        if (dc.server.isStarted) await clock.until(this.#fed.replaceGateways(dc), 60_000);
        return;
      case 5: {
        const other = rng.pick(datacenters);
        if (other === dc) return;
        net.note(`block ${dc.name}>${other.name}`);
        net.block(dc.name, other.name);
        return this.#later(forMs, () => net.unblock(dc.name, other.name));
      }
      case 6:
      case 7:
        await clock.until(dc.server.kill());
        return this.#later(rng.between(200, 40_000), () => dc.server.start());
      case 8:
        net.note(`slow ${dc.name}`);
        net.slow(dc.name, rng.between(50, 800));
        return this.#later(forMs, () => net.slow(dc.name, 0));
      case 9:
        net.faults = { ...net.faults, loss: rng.between(0, 10) / 100, chunking: rng.between(0, 100) / 100 };
        return;
      case 10:
        dc.server.skewMs += rng.between(-300_000, 300_000);
        net.note(`clock of ${dc.name} is off by ${dc.server.skewMs}`);
        return;
      case 11: {
        net.note(`dark ${dc.name}`);
        const hosts = [dc.server.host, ...dc.gateways.map(({ host }) => host)];
        for (const host of hosts) host.dark = true;
        return this.#later(forMs, () => {
          for (const host of hosts) host.dark = false;
        });
      }
      case 12:
        if (dc.gateways.length < 3) this.#fed.addGateway(dc).start();
        return;
      case 13:
        for (const one of dc.gateways) one.kill();
        return this.#later(forMs, () => {
          for (const one of dc.gateways) this.#start(one);
        });
    }
  }

  #start(gateway: SimGateway): void {
    const stillThere = this.#fed.datacenters.some(({ gateways }) => gateways.includes(gateway));
    if (stillThere) gateway.start();
  }

  #state(gateway: SimGateway, state: 'frozen' | 'dark', forMs: number): void {
    this.#fed.net.note(`${state} ${gateway.id}`);
    gateway.host[state] = true;
    this.#later(forMs, () => {
      const gone = !this.#fed.datacenters.some(({ gateways }) => gateways.includes(gateway));
      if (!gone) gateway.host[state] = false;
    });
  }

  #later(ms: number, then: () => void): void {
    const { clock } = this.#fed;
    clock.at(clock.now() + ms, then);
  }
}
