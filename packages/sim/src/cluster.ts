/**
 * cluster.ts: members that run the production code on a simulated network.
 *
 * Lives here: starting, killing and watching members. Must not live here: when to do so (scenario.ts).
 */
import {
  type Hooks,
  Keyring,
  lan,
  type Memberlist,
  type MemberlistConfig,
  type MemberlistOptions,
} from '@fed/memberlist';
import { openAcquainted, type Row } from '@fed/memberlist/internals';
import { IncarnationChecker } from './checkers/incarnations.ts';
import { ResurrectionChecker } from './checkers/resurrections.ts';
import type { Violation } from './checkers/violation.ts';
import { type Faults, SimNetwork } from './network.ts';
import { SeededRng } from './seeded-rng.ts';
import { Transcript } from './transcript.ts';
import { VirtualClock } from './virtual-clock.ts';

/** How often everybody's table is looked at. */
const lookEveryMs = 100;
const port = 7946;

export interface ClusterOptions {
  readonly seed: number;
  readonly config?: Partial<MemberlistConfig>;
  readonly faults?: Faults;
  /** 16, 24 or 32 bytes turn encryption on. */
  readonly key?: Uint8Array;
  readonly label?: string;
  /**
   * Look at all tables all the time, and write down every packet; default true. Costs members squared: off where
   * something is measured, not checked.
   */
  readonly checked?: boolean;
}

export class Cluster implements AsyncDisposable {
  readonly clock: VirtualClock = new VirtualClock();
  readonly rng: SeededRng;
  readonly transcript: Transcript = new Transcript();
  readonly network: SimNetwork;
  readonly violations: Violation[] = [];
  /** How often each code has been logged, by anybody. */
  readonly logged: Map<string, number> = new Map();
  readonly config: MemberlistConfig;
  readonly #o: ClusterOptions;
  readonly #running = new Map<string, Memberlist>();
  readonly #hosts = new Map<string, string>();
  readonly #incarnations: IncarnationChecker;
  readonly #resurrections: ResurrectionChecker;

  constructor(o: ClusterOptions) {
    this.#o = o;
    this.config = { ...lan, ...o.config };
    this.rng = new SeededRng(o.seed);
    const { clock, transcript } = this;
    const rng = this.rng.fork();
    const checked = o.checked ?? true;
    this.network = new SimNetwork({
      clock,
      rng,
      ...(checked && { transcript }),
      ...(o.faults && { faults: o.faults }),
    });
    const report = (violation: Violation): void => {
      this.violations.push(violation);
    };
    const rememberMs = this.config.gossipToTheDeadMs;
    this.#incarnations = new IncarnationChecker({ report, rememberMs });
    this.#resurrections = new ResurrectionChecker({ report, rememberMs });
    const look = (): void => {
      for (const member of this.#running.values()) this.#incarnations.look(member, clock.now());
      clock.at(clock.now() + lookEveryMs, look);
    };
    if (checked) look();
  }

  get running(): readonly Memberlist[] {
    return [...this.#running.values()];
  }

  get(name: string): Memberlist {
    const member = this.#running.get(name);
    if (member === undefined) throw new Error(`${name} is not running`);
    return member;
  }

  isRunning(name: string): boolean {
    return this.#running.has(name);
  }

  /** The same name always lives at the same address. */
  hostOf(name: string): string {
    let host = this.#hosts.get(name);
    if (host === undefined) {
      const n = this.#hosts.size + 1;
      host = `10.0.${n >> 8}.${n & 0xff}`;
      this.#hosts.set(name, host);
    }
    return host;
  }

  addressOf(name: string): string {
    return `${name}/${this.hostOf(name)}:${port}`;
  }

  /** @param known rows of a cluster it has been in for long */
  async start(
    name: string,
    hooks: Hooks = {},
    o: Partial<MemberlistOptions> = {},
    known?: readonly Row[],
  ): Promise<Memberlist> {
    const { clock } = this;
    const rng = this.rng.fork();
    const nonces = this.rng.fork();
    const life = {};
    const transport = this.network.open({ host: this.hostOf(name), port });
    this.network.note(`start ${name}`);
    const options: MemberlistOptions = {
      name,
      transport,
      config: this.config,
      clock,
      rng,
      randomBytes: (n) => nonces.bytes(n),
      log: ({ code }) => this.logged.set(code, (this.logged.get(code) ?? 0) + 1),
      ...(this.#o.key && { keyring: new Keyring([], this.#o.key) }),
      ...(this.#o.label !== undefined && { label: this.#o.label }),
      ...o,
      hooks: {
        ...hooks,
        changed: (change) => {
          const { kind, member: subject } = change;
          this.network.note(`${name} ${kind} ${subject.name} ${subject.state} ${subject.incarnation}`);
          this.#resurrections.changed(life, name, change, clock.now());
          const observer = this.#running.get(name);
          if (observer !== undefined && this.#o.checked !== false)
            this.#incarnations.look(observer, clock.now());
          hooks.changed?.(change);
        },
      },
    };
    const member = await openAcquainted(options, known);
    this.#running.set(name, member);
    return member;
  }

  /** Without a word to anybody. */
  async kill(name: string): Promise<void> {
    const member = this.get(name);
    this.#running.delete(name);
    this.network.note(`kill ${name}`);
    await member[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const member of this.running) await member[Symbol.asyncDispose]();
    this.#running.clear();
  }
}
