/**
 * etcd-world.ts: several engines around one etcd in memory, on virtual time, and what each of them has applied.
 *
 * The state machine here is a list of words: enough to see what was lost, doubled or put in another order.
 */

import { SteppedClock, settled } from '@fed/tooling/virtual-clock';
import type { LogEngine } from '../src/engine.ts';
import { openEtcdLog } from '../src/etcd/open.ts';
import type { EtcdEngineOptions } from '../src/etcd/options.ts';
import type { Rng } from '../src/ports.ts';
import { type Connection, MemoryEtcd } from './memory-etcd.ts';

export interface Server {
  readonly name: string;
  readonly engine: LogEngine;
  readonly connection: Connection;
  /** Every word applied, with its index. A restore puts a snapshot's words there. */
  words: { readonly index: number; readonly word: string }[];
}

export class EtcdWorld {
  readonly clock: SteppedClock = new SteppedClock();
  readonly etcd: MemoryEtcd;

  constructor(rng: Rng) {
    this.etcd = new MemoryEtcd(this.clock, rng);
  }

  /** Lets `ms` pass in small steps, or less if `until` turns true. */
  async run(ms: number, until: () => boolean = () => false): Promise<void> {
    for (let passed = 0; passed < ms && !until(); passed += stepMs) {
      this.clock.advance(stepMs);
      await settled();
      await settled();
    }
  }

  /** Runs until `promise` has settled. */
  async during<T>(promise: Promise<T>): Promise<T> {
    let over = false;
    const done = (): void => {
      over = true;
    };
    promise.then(done, done);
    await this.run(60_000, () => over);
    if (!over) throw new Error('not within a minute');
    return await promise;
  }

  async open(name: string, extra: Partial<EtcdEngineOptions> = {}): Promise<Server> {
    const connection = this.etcd.connect();
    const server = { name, connection, words: [] as Server['words'] };
    const engine = await this.during(
      openEtcdLog({
        endpoints: [],
        prefix: '/fed/dc1/',
        node: name,
        address: `${name}:8300`,
        instance: `${name}-${++this.#opened}`,
        etcd: connection,
        clock: this.clock,
        apply: (index, command) => {
          const word = Buffer.from(command).toString();
          server.words.push({ index, word });
          return `${word}!`;
        },
        snapshot: () => [...server.words].map((one) => Buffer.from(JSON.stringify(one))),
        restore: (records) => {
          server.words = [...records].map((record) => JSON.parse(Buffer.from(record).toString()));
        },
        ...extra,
      }),
    );
    return Object.assign(server, { engine });
  }

  #opened = 0;
}

const stepMs = 5;

export function leaderOf(servers: readonly Server[]): Server | undefined {
  return servers.find(({ engine }) => engine.leadership().leader);
}
