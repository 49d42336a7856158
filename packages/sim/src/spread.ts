/**
 * spread.ts: how many gossip rounds a rumour takes until everybody knows it, beside what the mathematics say.
 *
 * Two ways. `spreadInCluster` runs whole members and waits for their tables: every byte is encoded, packed and read. Up to
 * `joinedMax` they have joined over the network; each of n members then tells n others of n, sixteen times, so more of them
 * start as if that lay behind them, each with a table of all. `spreadByGossipAlone` runs the dissemination component only
 * (memberlist's Gossip and BroadcastQueue, pings and acks with their piggyback) over one table that all share.
 * Lives here: the measurement. Must not live here: the prediction (epidemic.ts).
 */
import { type Hooks, lan, type MemberlistConfig } from '@fed/memberlist';
import {
  BroadcastQueue,
  createPacketCodec,
  decodeMessage,
  type Effect,
  encodeMessage,
  Gossip,
  pack,
  type Row,
} from '@fed/memberlist/internals';
import { Cluster } from './cluster.ts';
import { calm } from './network.ts';
import { SeededRng } from './seeded-rng.ts';
import { VirtualClock } from './virtual-clock.ts';

/** Without delay, as in the model; and without compression, which changes no choice and costs time. */
const config: MemberlistConfig = Object.freeze({ ...lan, enableCompression: false });
const instant = { ...calm, delayMsMin: 0, delayMsMax: 0 };
/** After this long nobody repeats the last rumour any more: the retransmit limit of 5,000 members, and to spare. */
const forgetMs = 8_000;
const rumourMsMax = 60_000;
const none = new Uint8Array(0);
/** Whole members that form their cluster by joining. */
const joinedMax = 1_000;

export interface SpreadOptions {
  readonly nodes: number;
  readonly rumours: number;
  readonly seed: number;
}

/** Gossip rounds each rumour took. @throws Error when one did not reach everybody */
export async function spreadInCluster({ nodes, rumours, seed }: SpreadOptions): Promise<number[]> {
  await using cluster = new Cluster({ seed, config, faults: instant, checked: false });
  const { clock, rng } = cluster;
  const metas = new Map<string, Uint8Array>();
  let unaware = 0;
  const known =
    nodes > joinedMax ? Array.from({ length: nodes }, (_, i) => settledRow(cluster, `n${i}`)) : undefined;
  for (let i = 0; i < nodes; i++) {
    const name = `n${i}`;
    const hooks: Hooks = {
      meta: () => metas.get(name) ?? none,
      changed: ({ kind }) => {
        if (kind === 'update') unaware--;
      },
    };
    const member = await cluster.start(name, hooks, {}, known);
    if (i > 0 && known === undefined) await clock.until(member.join([cluster.addressOf(`n${rng.below(i)}`)]));
  }
  const quiet = (): boolean =>
    cluster.running.every((m) => m.numEstimated === nodes && m.stats().broadcastsQueued === 0);
  while (!quiet()) await clock.run(1_000);

  const took: number[] = [];
  for (let rumour = 0; rumour < rumours; rumour++) {
    await clock.run(rng.below(config.probeIntervalMs));
    const teller = `n${rng.below(nodes)}`;
    metas.set(teller, Buffer.from(`rumour ${rumour}`));
    const began = clock.now();
    unaware = nodes; // the teller's own update included
    const telling = cluster.get(teller).updateMeta({ timeoutMs: rumourMsMax });
    await clock.run(rumourMsMax, () => unaware === 0);
    if (unaware !== 0) throw new Error(`${unaware} of ${nodes} never heard of rumour ${rumour}`);
    took.push((clock.now() - began) / config.gossipIntervalMs);
    await clock.until(telling);
    await clock.run(forgetMs);
  }
  return took;
}

/** As everybody has it of everybody. Strings and versions are shared, as rows never change theirs; the rows are not. */
function settledRow(cluster: Cluster, name: string): Row {
  const addr = pack(Uint8Array.from(cluster.hostOf(name).split('.'), Number));
  return { name, addr, ...settled };
}

/** The same, of the dissemination component alone. */
export async function spreadByGossipAlone({ nodes, rumours, seed }: SpreadOptions): Promise<number[]> {
  const clock = new VirtualClock();
  const rng = new SeededRng(seed);
  const room = createPacketCodec({ randomBytes: (n) => new Uint8Array(n) });
  const table: Row[] = Array.from({ length: nodes }, (_, i) => {
    const addr = pack(Uint8Array.of(10, 0, i >> 8, i & 0xff));
    return { name: `n${i}`, addr, ...settled };
  });
  const tellers: Teller[] = [];
  let unaware = 0;

  class Teller {
    readonly queue = new BroadcastQueue({ retransmitMult: config.retransmitMult, tableSize: () => nodes });
    readonly #gossip: Gossip;
    readonly #self: Row;
    readonly #index: number;
    #newest = 0;

    constructor(self: Row, index: number) {
      this.#self = self;
      this.#index = index;
      const dice = rng.fork();
      const emit = (effect: Effect): void => this.#emit(effect);
      this.#gossip = new Gossip({
        config,
        members: { self, list: table },
        queue: this.queue,
        room,
        policy: {},
        rng: dice,
        emit,
      });
      const every = (ms: number, turn: () => void): void => {
        const again = (): void => {
          turn();
          clock.at(clock.now() + ms, again);
        };
        clock.at(dice.below(ms), again);
      };
      every(config.gossipIntervalMs, () => this.#gossip.round(clock.now()));
      every(config.probeIntervalMs, () => {
        const other = (index + 1 + dice.below(nodes - 1)) % nodes;
        const { name } = table[other]!;
        this.#gossip.piggyback(
          { host: '', port: 0, name },
          { kind: 'ping', seqNo: 1, node: name, sourceNode: self.name },
        );
      });
    }

    /** News are passed on once, the newest only. */
    hear(encoded: Uint8Array): void {
      const message = decodeMessage(encoded);
      if (message.kind === 'ping')
        this.#gossip.piggyback(
          { host: '', port: 0, name: message.sourceNode ?? '' },
          { kind: 'ack', seqNo: message.seqNo, payload: none },
        );
      if (message.kind !== 'alive' || message.incarnation <= this.#newest) return;
      this.#newest = message.incarnation;
      unaware--;
      this.queue.add({ subject: message.node, message: encoded });
    }

    tell(incarnation: number): void {
      const { name: node, port, vsn } = this.#self;
      const addr = Uint8Array.of(10, 0, this.#index >> 8, this.#index & 0xff);
      this.hear(encodeMessage({ kind: 'alive', incarnation, node, addr, port, meta: none, vsn }));
    }

    #emit(effect: Effect): void {
      if (effect.kind !== 'send') return;
      const receiver = tellers[Number(effect.to.name.slice(1))]!;
      clock.at(clock.now(), () => {
        for (const message of effect.messages) receiver.hear(message);
      });
    }
  }

  for (const [i, self] of table.entries()) tellers.push(new Teller(self, i));
  const took: number[] = [];
  for (let rumour = 1; rumour <= rumours; rumour++) {
    await clock.run(rng.below(config.probeIntervalMs));
    const began = clock.now();
    unaware = nodes;
    tellers[rng.below(nodes)]!.tell(rumour);
    await clock.run(rumourMsMax, () => unaware === 0);
    if (unaware !== 0) throw new Error(`${unaware} of ${nodes} never heard of rumour ${rumour}`);
    took.push((clock.now() - began) / config.gossipIntervalMs);
    await clock.run(forgetMs);
  }
  return took;
}

const settled: Omit<Row, 'name' | 'addr'> = {
  port: 7946,
  meta: pack(none),
  vsn: Uint8Array.of(1, 5, 2, 0, 0, 0),
  incarnation: 1,
  state: 'alive',
  stateChangedAt: 0,
  shown: undefined,
};

export { config as spreadConfig };
