/** Any interleaving of worlds, messages and lost streams ends in the newest world. fast-check prints the seed of a failure. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { recommended, upstream } from '../src/core/profile.ts';
import type { RelayConfig } from '../src/core/relay-config.ts';
import { Session } from '../src/core/session.ts';
import type { Snapshot } from '../src/core/snapshot.ts';
import { Subscriber } from '../src/core/subscriber.ts';
import { snapshotOf } from '../src/core/workshop.ts';
import type { GatewayWorld } from '../src/core/world.ts';
import { worldOf } from './scenario.ts';

const base = worldOf('golden-dc1-gw1a');
const dc2 = base.federationStates.find((s) => s.Datacenter === 'dc2')!;
const worlds: GatewayWorld[] = [
  base,
  { ...base, federationStates: [...base.federationStates, { ...dc2, Datacenter: 'dc5' }] },
  { ...base, servers: base.servers.slice(1) },
  { ...base, servers: base.servers.map((s) => ({ ...s, host: `10.9.${s.host.slice(-2)}.1` })) },
  { ...base, services: [] },
  { ...base, federationStates: base.federationStates.filter((s) => s.Datacenter !== 'dc2') },
  { ...base, gateway: { ...base.gateway, Proxy: { Config: { connect_timeout_ms: 7_000 } } } },
];
const snapshots = worlds.flatMap((w) => [snapshotOf(w, upstream), snapshotOf(w, recommended)]);

const step = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('offer' as const), at: fc.nat(snapshots.length - 1) }),
  },
  { weight: 6, arbitrary: fc.constant({ kind: 'toClient' as const }) },
  { weight: 6, arbitrary: fc.constant({ kind: 'toServer' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'lose' as const }) },
);

test('I8: in the end the client has the newest configuration, whatever happened on the way', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80, size: 'max' }), (steps) => {
      const line = new Line();
      for (const s of steps) {
        if (s.kind === 'offer') line.offer(snapshots[s.at]!);
        else if (s.kind === 'lose') line.connect();
        else if (s.kind === 'toClient') line.toClient();
        else line.toServer();
      }
      line.drain();
      const straight = new Line();
      straight.offer(line.snapshot);
      straight.drain();
      expect(line.config).toEqual(straight.config);
    }),
    { numRuns: 80 },
  );
});

test('I2: without a lost stream no chain ever leads to a cluster that is not there', () => {
  const order = fc.array(
    step.filter((s) => s.kind !== 'lose'),
    { maxLength: 80, size: 'max' },
  );
  fc.assert(
    fc.property(order, (steps) => {
      const line = new Line();
      line.strict = true;
      for (const s of steps) {
        if (s.kind === 'offer') line.offer(snapshots[s.at]!);
        else if (s.kind === 'toClient') line.toClient();
        else line.toServer();
      }
      line.drain();
    }),
    { numRuns: 80 },
  );
});

/** A stream between a server session and a subscriber, message by message. */
class Line {
  snapshot: Snapshot = snapshots[0]!;
  config: RelayConfig | undefined;
  strict = false;
  #session!: Session;
  #down: Uint8Array[] = [];
  #up: Uint8Array[] = [];
  readonly #subscriber = new Subscriber({
    identity: { nodeId: 'gw', cluster: 'mesh', userAgent: 'test' },
    apply: (config) => {
      this.config = config;
      if (this.strict)
        for (const chain of config.listeners.flatMap((l) => l.chains))
          if (chain.cluster !== 'sni') expect([...config.clusters.keys()]).toContain(chain.cluster);
      return [];
    },
  });

  constructor() {
    this.connect();
  }

  connect(): void {
    this.#session = new Session({ mode: 'delta', authorize: () => 'allow', notice: () => undefined, now: 0 });
    this.#down = [];
    this.#up = [...this.#subscriber.open()];
    this.#down.push(...this.#session.offer(this.snapshot, 0));
  }

  offer(snapshot: Snapshot): void {
    this.snapshot = snapshot;
    this.#down.push(...this.#session.offer(snapshot, 0));
  }

  toClient(): void {
    const bytes = this.#down.shift();
    if (bytes !== undefined) this.#up.push(...this.#subscriber.receive(bytes, 0).requests);
  }

  toServer(): void {
    const bytes = this.#up.shift();
    if (bytes !== undefined) this.#down.push(...this.#session.request(bytes, 0));
  }

  drain(): void {
    for (let i = 0; i < 1_000 && this.#down.length + this.#up.length > 0; i++) {
      this.toServer();
      this.toClient();
    }
    expect(this.#down.length + this.#up.length, 'the conversation comes to rest').toBe(0);
  }
}
