/**
 * subject.ts: what a scenario does to a federation and asks of it, whoever runs it: our servers, or a model of the original's rules.
 */
import { registerCommand } from '@fed/server/inside';
import type { VirtualClock } from '../virtual-clock.ts';
import { Federation } from './federation.ts';
import { Original } from './original.ts';

export interface Subject {
  readonly clock: VirtualClock;
  /** Servers of all datacenters; gateways of those named. */
  start(o: { readonly gatewaysOf: readonly string[] }): void;
  startGateways(dc: string): void;
  killGateways(dc: string, o?: { readonly onlyFirst?: boolean }): Promise<void>;
  /** They accept connections and say nothing. */
  freezeGateways(dc: string, on: boolean): void;
  darkenGateways(dc: string, on: boolean, o?: { readonly onlyFirst?: boolean }): void;
  /** All connections through the datacenter's gateways break. */
  breakConnections(dc: string): void;
  /** Nothing between the gateways of two datacenters, either way. */
  cutLink(one: string, other: string, on: boolean): void;
  /** Others, at addresses nobody knows, instead of those that were. */
  replaceGateways(dc: string): Promise<void>;
  killServer(dc: string): Promise<void>;
  startServer(dc: string): void;
  /** Resolves with an answer, rejects with an error. How long it waits is its own affair. */
  read(from: string, to: string): Promise<unknown>;
  status(at: string, of: string): 'alive' | 'failed' | 'unknown';
  /** Whether `at` knows the present gateways of `of`. */
  knowsGateways(at: string, of: string): boolean;
  /** New text in the output of a gateway's health check; how routable it is does not change. */
  mumble(dc: string): Promise<void>;
  /** Writes of federation states in the primary so far. */
  writes(): number;
  /** The same, of copies in a secondary. */
  copies(dc: string): number;
  end(): Promise<void>;
}

export type Kind = 'ours' | "the original's";

export async function subjectOf(
  kind: Kind,
  o: { seed: number; datacenters: number; gateways: number },
): Promise<Subject> {
  return kind === 'ours' ? new Ours(await Federation.open({ ...o, logLevel: 'error' })) : new Original(o);
}

class Ours implements Subject {
  readonly #fed: Federation;

  constructor(fed: Federation) {
    this.#fed = fed;
  }

  get clock(): VirtualClock {
    return this.#fed.clock;
  }

  start({ gatewaysOf }: { readonly gatewaysOf: readonly string[] }): void {
    for (const { name, server } of this.#fed.datacenters) {
      server.start();
      if (gatewaysOf.includes(name)) this.startGateways(name);
    }
  }

  startGateways(dc: string): void {
    for (const gateway of this.#fed.dc(dc).gateways) gateway.start();
  }

  async killGateways(dc: string, o: { readonly onlyFirst?: boolean } = {}): Promise<void> {
    for (const gateway of this.#fed.dc(dc).gateways.slice(0, o.onlyFirst === true ? 1 : undefined))
      gateway.kill();
  }

  freezeGateways(dc: string, on: boolean): void {
    for (const { host } of this.#fed.dc(dc).gateways) {
      host.frozen = on;
      if (on) this.#fed.net.sever(host);
    }
  }

  darkenGateways(dc: string, on: boolean, o: { readonly onlyFirst?: boolean } = {}): void {
    for (const { host } of this.#fed.dc(dc).gateways.slice(0, o.onlyFirst === true ? 1 : undefined))
      host.dark = on;
  }

  breakConnections(dc: string): void {
    for (const { host } of this.#fed.dc(dc).gateways) this.#fed.net.sever(host);
  }

  cutLink(one: string, other: string, on: boolean): void {
    this.#fed.net.cutLink(one, other, on);
  }

  replaceGateways(dc: string): Promise<void> {
    return this.#fed.replaceGateways(this.#fed.dc(dc));
  }

  killServer(dc: string): Promise<void> {
    return this.#fed.dc(dc).server.kill();
  }

  startServer(dc: string): void {
    this.#fed.dc(dc).server.start();
  }

  read(from: string, to: string): Promise<unknown> {
    return this.#fed.read(this.#fed.dc(from), this.#fed.dc(to));
  }

  status(at: string, of: string): 'alive' | 'failed' | 'unknown' {
    const members = this.#fed.dc(at).server.running?.rooms.wan.members() ?? [];
    const status = members.find(({ name }) => name === this.#fed.dc(of).server.wanName)?.status;
    return status === undefined ? 'unknown' : status === 'alive' ? 'alive' : 'failed';
  }

  knowsGateways(at: string, of: string): boolean {
    const rows = this.#fed.dc(at).server.running?.rooms.fsm.store.federationStates().rows ?? [];
    const gateways = rows.find(({ Datacenter }) => Datacenter === of)?.MeshGateways ?? [];
    const known = gateways.map(({ Service }) => Service.ID).sort();
    return (
      JSON.stringify(known) ===
      JSON.stringify(
        this.#fed
          .dc(of)
          .gateways.map(({ id }) => id)
          .sort(),
      )
    );
  }

  async mumble(dc: string): Promise<void> {
    const { running } = this.#fed.dc(dc).server;
    const check = running?.agent.checks().find(({ ServiceName }) => ServiceName === 'mesh-gateway');
    if (running === undefined || check === undefined) throw new Error(`${dc} has no gateway's check`);
    const { fsm, self } = running.rooms;
    const Output = `${check.Output} again at ${this.clock.now()}`;
    await fsm.apply(registerCommand(self, { checks: [{ ...check, Output }] }));
  }

  writes(): number {
    return this.copies(this.#fed.primary.name);
  }

  copies(dc: string): number {
    return this.#fed.dc(dc).server.running?.rooms.fsm.store.federationStates().index ?? 0;
  }

  end(): Promise<void> {
    return this.#fed.close();
  }
}
