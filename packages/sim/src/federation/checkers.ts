/**
 * checkers.ts: what must hold in a federation whatever happens to it (I1 to I8 of the invariants in the README).
 *
 * Some rules are looked at with every change (indexes), some with every packet (I7, I8), some whenever a server ends (I4), some
 * from time to time (I5, I6), and some once it is quiet again (I1, I2: federation.ts).
 * Lives here: the rules. Must not live here: what happens to the federation.
 */
import { embeddedLog, type FederationState, openFsm } from '@fed/fsm';
import { diff, sameRecord } from '@fed/replication';
import type { Running } from '@fed/server/inside';
import type { Conduit, ConduitEnd } from './conduit.ts';
import type { Datacenter, Federation } from './federation.ts';
import { FrameCounter } from './frame-counter.ts';
import type { SimHost } from './network.ts';

const packetProtocol = 'consul/wan-gossip/packet';
const lookEveryMs = 1_000;

export class Checkers {
  readonly #fed: Federation;
  /** Per life of a server: the largest index seen of each table, and gossip frames that came whole. */
  readonly #indexes = new WeakMap<Running, number>();
  readonly #frames = new WeakMap<Running, number>();
  readonly #counters = new WeakMap<ConduitEnd, FrameCounter>();
  /** The packet connection in use, from server to server, and the bytes written to it. */
  readonly #packetWays = new Map<string, ConduitEnd>();
  readonly #written = new WeakMap<ConduitEnd, number>();
  readonly #watches: Disposable[] = [];
  #looks = 0;

  constructor(fed: Federation) {
    this.#fed = fed;
    fed.net.taps = {
      opened: (conduit) => this.#opened(conduit),
      written: (end, bytes) => this.#written.set(end, (this.#written.get(end) ?? 0) + bytes.length),
      arrived: (end, bytes) => this.#arrived(end, bytes),
    };
    fed.onUp((dc, running) => this.#up(dc, running));
    fed.onKilled((dc, running) => this.#killed(dc, running));
    const look = (): void => {
      for (const dc of fed.datacenters) this.#look(dc);
      fed.clock.at(fed.clock.now() + lookEveryMs, look);
    };
    fed.clock.at(lookEveryMs, look);
  }

  /** Once it is quiet: what came in whole was handed on, once each. */
  quiet(): void {
    for (const { server } of this.#fed.datacenters) {
      const { running } = server;
      if (running === undefined) continue;
      const { datacenters } = running.rooms.transport.stats();
      const taken = Object.values(datacenters).reduce((sum, { packetsIn }) => sum + packetsIn, 0);
      const came = this.#frames.get(running) ?? 0;
      if (taken !== came)
        this.#violated(
          'I7 no packet is split or delivered twice',
          `${server.wanName} took ${taken} of ${came}`,
        );
    }
  }

  #violated(rule: string, detail: string): void {
    this.#fed.violations.push({ rule, atMs: this.#fed.clock.now(), detail });
    this.#fed.net.note(`VIOLATED ${rule}: ${detail}`);
  }

  /** I3: the table's index only grows while a server lives, and a restored one covers every row. */
  #up(dc: Datacenter, running: Running): void {
    const { fsm, transport } = running.rooms;
    const table = (): { readonly index: number; readonly rows: readonly FederationState[] } =>
      fsm.store.federationStates();
    const { index, rows } = table();
    this.#indexes.set(running, index);
    const highest = Math.max(0, ...rows.map(({ ModifyIndex }) => ModifyIndex));
    if (index < highest)
      this.#violated('I3 a restored index covers every row', `${dc.name}: ${index} below ${highest}`);
    this.#watches.push(
      fsm.watch(table, (now) => {
        const before = this.#indexes.get(running) ?? 0;
        if (now.index < before)
          this.#violated('I3 an index never goes back', `${dc.name}: ${now.index} after ${before}`);
        this.#indexes.set(running, now.index);
      }),
    );
    this.#watchQueue(dc, transport);
  }

  /** I8: a packet for a way that flows leaves in the tick in which it was sent, whatever hangs beside it. */
  #watchQueue(dc: Datacenter, transport: Running['rooms']['transport']): void {
    const { clock } = this.#fed;
    const send = transport.sendPacket.bind(transport);
    transport.sendPacket = (to, packet, failed) => {
      const way = this.#packetWays.get(`${dc.server.wanName} ${to.name}`);
      const usable = way !== undefined && isOpen(way) && way.conduit.flows;
      const before = usable ? (this.#written.get(way) ?? 0) : 0;
      send(to, packet, failed);
      if (!usable) return;
      clock.at(clock.now(), () => {
        if (!isOpen(way) || (this.#written.get(way) ?? 0) >= before + packet.length + 4) return;
        this.#violated(
          'I8 a blocked destination delays no other',
          `${dc.server.wanName} did not write to ${to.name} in the tick it was sent`,
        );
      });
    };
  }

  #opened(conduit: Conduit): void {
    if (conduit.protocol !== packetProtocol) return;
    const from = this.#serverAt(conduit.near.host);
    const to = this.#serverAt(conduit.far.host);
    if (from && to) this.#packetWays.set(`${from.server.wanName} ${to.server.wanName}`, conduit.near);
  }

  #arrived(end: ConduitEnd, bytes: Uint8Array): void {
    if (end.conduit.protocol !== packetProtocol || end !== end.conduit.far) return;
    const running = this.#serverAt(end.host)?.server.running;
    if (running === undefined) return;
    let counter = this.#counters.get(end);
    if (counter === undefined) {
      counter = new FrameCounter();
      this.#counters.set(end, counter);
    }
    this.#frames.set(running, (this.#frames.get(running) ?? 0) + counter.push(bytes));
  }

  #serverAt(host: SimHost): Datacenter | undefined {
    return this.#fed.datacenters.find(({ server }) => server.host === host);
  }

  #look(dc: Datacenter): void {
    const { running } = dc.server;
    if (running === undefined) return;
    this.#diffConverges(running);
    const to = this.#fed.datacenters[this.#looks++ % this.#fed.datacenters.length]!;
    if (to !== dc) this.#locatorAnswers(dc, to, running);
  }

  /** I5: the difference, applied to what we have, is what the primary has. */
  #diffConverges(running: Running): void {
    const remote = this.#fed.primary.server.running?.rooms.fsm.store.federationStates().rows;
    if (remote === undefined || running.rooms.config.datacenter === this.#fed.primary.name) return;
    const local = running.rooms.fsm.store.federationStates().rows;
    const { deletions, updates } = diff(local, remote);
    const result = new Map(local.map((row) => [row.Datacenter, row]));
    for (const gone of deletions) result.delete(gone);
    for (const row of updates) result.set(row.Datacenter, row);
    const wrong =
      result.size !== remote.length ||
      remote.find((row) => {
        const copy = result.get(row.Datacenter);
        return copy === undefined || !sameRecord(copy, row) || copy.PrimaryModifyIndex !== row.ModifyIndex;
      });
    if (wrong) this.#violated('I5 the difference leads to the primary', running.rooms.config.datacenter);
  }

  /** I6: the candidates follow from the role and the lists; asking changes nothing. */
  #locatorAnswers(dc: Datacenter, to: Datacenter, running: Running): void {
    const { locator, fsm } = running.rooms;
    const explained = locator.explain(to.name);
    const again = locator.explain(to.name);
    const names = (e: typeof explained): string =>
      e.candidates.map(({ gateway }) => `${gateway.host}:${gateway.port}`).join(' ');
    if (names(explained) !== names(again))
      this.#violated('I6 asking the locator changes nothing', `${dc.name} to ${to.name}`);
    const own = fsm.store
      .serviceKind('mesh-gateway')
      .rows.filter(({ Checks }) => !(Checks ?? []).some(({ Status }) => Status === 'critical'))
      .map(({ Service }) => `${Service.Address}:${Service.Port}`);
    const found = new Set(names(explained).split(' ').filter(Boolean));
    const toPrimary = to === this.#fed.primary;
    const missing = own.find((address) => !found.has(address));
    const foreign = [...found].find(
      (address) => !own.includes(address) && !(toPrimary && this.#fed.wasOfPrimary(address)),
    );
    if (missing !== undefined || foreign !== undefined)
      this.#violated(
        'I6 the locator answers by role and lists',
        `${dc.name} to ${to.name}: ${missing === undefined ? `${foreign} is nobody's` : `${missing} is missing`}`,
      );
  }

  /** I4: the log of who just ended, replayed twice, gives the same bytes, and those it had in memory. */
  async #killed(dc: Datacenter, running: Running): Promise<void> {
    const { fsm } = running.rooms;
    const live = fsm.snapshot();
    const { appliedIndex } = fsm.stats();
    const replay = async (): Promise<{ readonly snapshot: Uint8Array; readonly index: number }> => {
      const again = await openFsm({ engine: embeddedLog({ dir: '/data/log', fs: dc.server.disk }) });
      const result = { snapshot: again.snapshot(), index: again.stats().appliedIndex };
      await again[Symbol.asyncDispose]();
      return result;
    };
    const [one, two] = [await replay(), await replay()];
    if (Buffer.compare(one.snapshot, two.snapshot) !== 0)
      this.#violated('I4 replay is deterministic', dc.name);
    // What was durable and not yet applied when it was killed is applied now.
    if (one.index < appliedIndex)
      this.#violated('I4 what was applied is durable', `${dc.name}: ${one.index} of ${appliedIndex}`);
    if (one.index === appliedIndex && Buffer.compare(one.snapshot, live) !== 0)
      this.#violated('I4 replay gives the state that was', dc.name);
  }
}

const isOpen = (end: ConduitEnd): boolean => !end.destroyed && !end.writableEnded && !end.writableNeedDrain;
