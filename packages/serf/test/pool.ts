/**
 * pool.ts: real serfs on loopback for tests, in a hurry, and ways to wait for what they tell.
 */
import { type Keyring, type MemberlistConfig, openUdpTcpTransport } from '@fed/memberlist';
import type { SerfOptions } from '../src/api.ts';
import type { SerfConfig } from '../src/config.ts';
import { openSerf, type Serf, type SerfEvent } from '../src/index.ts';

/** A pool on one machine that notices a death within a second. */
export const fast: Partial<MemberlistConfig> = {
  probeIntervalMs: 100,
  probeTimeoutMs: 60,
  gossipIntervalMs: 10,
  pushPullIntervalMs: 300,
  suspicionMult: 4,
  suspicionMaxTimeoutMult: 2,
  tcpTimeoutMs: 1_000,
};

export const fastSerf: Partial<SerfConfig> = {
  broadcastTimeoutMs: 1_000,
  leavePropagateDelayMs: 50,
  reapIntervalMs: 50,
  reconnectIntervalMs: 100,
  queryTimeoutMult: 500,
};

export class Witness {
  readonly serf: Serf;
  readonly heard: SerfEvent[];
  readonly #waiting = new Set<() => void>();

  constructor(serf: Serf, heard: SerfEvent[]) {
    this.serf = serf;
    this.heard = heard;
  }

  wake(): void {
    for (const look of [...this.#waiting]) look();
  }

  /** Resolves as soon as `find` finds something; it looks now, and after every event and packet from now on. */
  async until<T>(find: (heard: readonly SerfEvent[]) => T | undefined | false): Promise<T> {
    const { promise, resolve } = Promise.withResolvers<T>();
    const look = (): void => {
      const found = find(this.heard);
      if (found === undefined || found === false) return;
      this.#waiting.delete(look);
      resolve(found);
    };
    this.#waiting.add(look);
    look();
    return await promise;
  }

  /** Resolves once a member event of this kind about `name` was heard. */
  member(kind: SerfEvent['kind'], name: string): Promise<unknown> {
    return this.until((heard) =>
      heard.some((e) => e.kind === kind && 'members' in e && e.members.some((m) => m.name === name)),
    );
  }
}

export interface PoolOptions extends Partial<Omit<SerfOptions, 'transport' | 'name'>> {
  readonly keyring?: Keyring;
  /** 0 when absent: any that is free. */
  readonly port?: number;
}

/** Closed by leaving the block. */
export class Pool implements AsyncDisposable {
  readonly #open: Serf[] = [];

  async open(name: string, o: PoolOptions = {}): Promise<Witness> {
    const { port, config, memberlist, ...rest } = o;
    const transport = await openUdpTcpTransport({ host: '127.0.0.1', port: port ?? 0 });
    const heard: SerfEvent[] = [];
    let witness: Witness | undefined;
    const listen = transport.listen.bind(transport);
    transport.listen = ({ packet, stream }) =>
      listen({
        stream,
        packet: (bytes, from) => {
          packet(bytes, from);
          witness?.wake();
        },
      });
    const serf = await openSerf({
      tags: {},
      ...rest,
      name,
      transport,
      memberlist: { ...fast, ...memberlist },
      config: { ...fastSerf, ...config },
      onEvent: (e) => {
        heard.push(e);
        witness?.wake();
      },
    });
    this.#open.push(serf);
    witness = new Witness(serf, heard);
    return witness;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#open.map((serf) => serf[Symbol.asyncDispose]()));
  }
}

/** `name/host:port` of a serf. */
export function target({ serf }: Witness): string {
  const { name, host, port } = serf.local();
  return `${name}/${host}:${port}`;
}

export const text = (s: string): Uint8Array => Buffer.from(s);
