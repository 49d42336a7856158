/**
 * crew.ts: several processes that relay as one: one configuration, one set of ports, one sum of counters.
 *
 * Each worker listens on every port by itself and the kernel spreads new connections over them, so nobody has to hand
 * connections around, and a worker that dies takes its own connections with it and nothing else; another takes its place.
 * Ports shared that way would be shared with a stranger who does the same, so a new one is tried alone first.
 * Lives here: who is there and what all of them are told. Must not live here: processes (world.ts), relaying.
 * Source: Linux socket(7), SO_REUSEPORT.
 */
import { type HostPort, renderHostPort } from '@fed/alpn-mux';
import type { Carrier } from '../carrier.ts';
import { Counters, type Tally } from '../relay/counters.ts';
import type { RelayRecord } from '../relay/journal.ts';
import type { Clock, RelayCluster, RelayConfig } from '../relay/ports.ts';
import { checkConfig, type RelayEvent } from '../relay/relay.ts';
import type { Answers, Question, WorkerLink } from './messages.ts';

/** A worker that ends is replaced after this long; longer each time it does not live for a while. */
const restartMsMin = 250;
const restartMsMax = 5_000;
const livedMs = 60_000;
/** A port that is not ours to have is tried again after this long. */
const bindRetryMs = 10_000;
/** What a worker cannot say in that time it is not waited for. */
const answerMsMax = 2_000;
/** How long a worker may take to end after its drain. */
const endMs = 2_000;

export interface CrewOptions {
  readonly size: number;
  readonly clock: Clock;
  readonly start: (index: number) => WorkerLink;
  /** Rejects if the port cannot be had by us alone. */
  readonly freePort: (host: string, port: number) => Promise<unknown>;
  /** Something that is not a worker's own to tell. */
  readonly onEvent: (e: CrewEvent) => void;
}

export type CrewEvent =
  | Extract<RelayEvent, { kind: 'bindFailed' }>
  | { readonly kind: 'ready' }
  | {
      readonly kind: 'workerEnded';
      readonly index: number;
      readonly how: string;
      readonly restartMs: number;
    };

interface Worker {
  readonly index: number;
  readonly link: WorkerLink;
  readonly since: number;
  ready: boolean;
  /** The last heard. */
  tally: Tally | undefined;
  readonly asked: Map<number, (value: Answers[Question] | undefined) => void>;
}

export class Crew implements Carrier {
  readonly #o: CrewOptions;
  readonly #workers = new Map<number, Worker>();
  readonly #failures: number[];
  readonly #alarms = new Set<Disposable>();
  #config: RelayConfig | undefined;
  /** Ports that were found to be free, and are ours since. */
  readonly #ours = new Set<string>();
  readonly #trying = new Set<string>();
  /** What workers that are gone had counted. */
  #gone: readonly Tally[] = [];
  #stopping = false;
  #nextId = 1;

  constructor(o: CrewOptions) {
    this.#o = o;
    this.#failures = Array.from({ length: o.size }, () => 0);
    for (let index = 0; index < o.size; index++) this.#start(index);
  }

  apply(config: RelayConfig): void {
    checkConfig(config);
    this.#config = share(config, this.#o.size);
    const wanted = new Set(config.listeners.map((l) => renderHostPort(l.bind)));
    for (const key of this.#ours) if (!wanted.has(key)) this.#ours.delete(key);
    for (const { name, bind } of config.listeners) this.#tryPort(name, bind);
    for (const worker of this.#workers.values()) this.#configure(worker);
  }

  /** New connections find somebody on every port. While a worker is being replaced, the others take them. */
  get ready(): boolean {
    return !this.#stopping && [...this.#workers.values()].some((w) => w.ready);
  }

  /** Every worker listens on everything. */
  get complete(): boolean {
    return this.#workers.size === this.#o.size && [...this.#workers.values()].every((w) => w.ready);
  }

  async connections(): Promise<number> {
    const counts = await this.#askAll('connections');
    return counts.reduce((sum, [, count]) => sum + (count ?? 0), 0);
  }

  async journal(): Promise<readonly RelayRecord[]> {
    const lists = await this.#askAll('journal');
    return lists.flatMap(([{ index }, list]) => (list ?? []).map((record) => ({ worker: index, ...record })));
  }

  async counters(): Promise<Counters> {
    for (const [worker, tally] of await this.#askAll('tally')) worker.tally = tally ?? worker.tally;
    const present = [...this.#workers.values()].flatMap(({ tally }) => (tally === undefined ? [] : [tally]));
    return Counters.sum(present, this.#gone);
  }

  async drain(withinMs: number): Promise<void> {
    this.#stopping = true;
    for (const alarm of this.#alarms) alarm[Symbol.dispose]();
    this.#alarms.clear();
    const workers = [...this.#workers.values()];
    const kill = (): void => {
      for (const { link } of workers) link.kill();
    };
    using _deadline = this.#o.clock.at(this.#o.clock.now() + withinMs + endMs, kill);
    for (const { link } of workers) link.send({ kind: 'drain', withinMs });
    await Promise.all(workers.map(({ link }) => link.ended));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.drain(0);
  }

  #start(index: number): void {
    const { clock, start } = this.#o;
    const worker: Worker = {
      index,
      link: start(index),
      since: clock.now(),
      ready: false,
      tally: undefined,
      asked: new Map(),
    };
    this.#workers.set(index, worker);
    worker.link.onMessage((message) => {
      if (message.kind === 'answer') {
        worker.asked.get(message.id)?.(message.value);
        worker.asked.delete(message.id);
        return;
      }
      worker.ready = message.ready;
      if (this.complete) this.#o.onEvent({ kind: 'ready' });
    });
    void worker.link.ended.then((how) => this.#ended(worker, how));
    this.#configure(worker);
  }

  #ended(worker: Worker, how: string): void {
    const { clock, onEvent } = this.#o;
    const { index } = worker;
    this.#workers.delete(index);
    for (const answer of worker.asked.values()) answer(undefined);
    if (worker.tally !== undefined) this.#gone = [Counters.sum([], [...this.#gone, worker.tally]).tally()];
    if (this.#stopping) return;
    const lived = clock.now() - worker.since >= livedMs;
    const failures = lived ? 0 : (this.#failures[index] ?? 0);
    this.#failures[index] = failures + 1;
    const restartMs = Math.min(restartMsMax, restartMsMin * 2 ** Math.min(failures, 10));
    onEvent({ kind: 'workerEnded', index, how, restartMs });
    this.#later(restartMs, () => this.#start(index));
  }

  /** Everything, but for ports that are not known to be ours yet. */
  #configure({ link }: Worker): void {
    if (this.#config === undefined) return;
    const listeners = this.#config.listeners.filter((l) => this.#ours.has(renderHostPort(l.bind)));
    link.send({ kind: 'apply', config: { ...this.#config, listeners } });
  }

  #tryPort(listener: string, bind: HostPort): void {
    const key = renderHostPort(bind);
    if (this.#ours.has(key) || this.#trying.has(key)) return;
    this.#trying.add(key);
    this.#o.freePort(bind.host, bind.port).then(
      () => {
        this.#trying.delete(key);
        if (this.#stopping || !this.#wants(key)) return;
        this.#ours.add(key);
        for (const worker of this.#workers.values()) this.#configure(worker);
      },
      (cause: Error) => {
        this.#o.onEvent({ kind: 'bindFailed', listener, bind, cause });
        this.#later(bindRetryMs, () => {
          this.#trying.delete(key);
          if (this.#wants(key)) this.#tryPort(listener, bind);
        });
      },
    );
  }

  #wants(key: string): boolean {
    return this.#config?.listeners.some((l) => renderHostPort(l.bind) === key) ?? false;
  }

  #later(ms: number, then: () => void): void {
    if (this.#stopping) return;
    const alarm = this.#o.clock.at(this.#o.clock.now() + ms, () => {
      this.#alarms.delete(alarm);
      then();
    });
    this.#alarms.add(alarm);
  }

  async #askAll<Q extends Question>(
    question: Q,
  ): Promise<readonly (readonly [Worker, Answers[Q] | undefined])[]> {
    return await Promise.all(
      [...this.#workers.values()].map(async (worker) => [worker, await this.#ask(worker, question)] as const),
    );
  }

  /** Undefined from one that ends, or takes too long. */
  async #ask<Q extends Question>(worker: Worker, question: Q): Promise<Answers[Q] | undefined> {
    const id = this.#nextId++;
    const { clock } = this.#o;
    return await new Promise((resolve) => {
      const settle = (value: Answers[Question] | undefined): void => {
        deadline[Symbol.dispose]();
        worker.asked.delete(id);
        resolve(value as Answers[Q] | undefined);
      };
      const deadline = clock.at(clock.now() + answerMsMax, () => settle(undefined));
      worker.asked.set(id, settle);
      worker.link.send({ kind: 'ask', id, question });
    });
  }
}

/** The connections a cluster may have are divided; the kernel spreads them evenly enough. */
function share(config: RelayConfig, size: number): RelayConfig {
  const divided = [...config.clusters].map(([name, cluster]): [string, RelayCluster] => [
    name,
    { ...cluster, maxConnections: Math.ceil(cluster.maxConnections / size) },
  ]);
  return { ...config, clusters: new Map(divided) };
}
