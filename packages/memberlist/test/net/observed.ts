/**
 * observed.ts: members on real sockets whose events a test can wait for.
 */

import type { MemberlistOptions } from '../../src/api.ts';
import {
  type Hooks,
  local,
  type Memberlist,
  type MemberlistConfig,
  openMemberlist,
  openUdpTcpTransport,
} from '../../src/index.ts';

export interface Observed {
  readonly list: Memberlist;
  /** What a joiner writes. */
  readonly at: string;
  /** Resolves once something that happened, or will happen, reads like `line`. */
  saw(line: string): Promise<void>;
}

/** Members of one test; all are closed when the block is left. */
export class Scene implements AsyncDisposable {
  readonly #open: Memberlist[] = [];

  /** Events read `join b alive`, `update b alive`, `leave b left`, `user TEXT`, `conflict b`, `merge TEXT`. */
  async member(
    name: string,
    o: Partial<MemberlistOptions> & { config?: Partial<MemberlistConfig>; host?: string } = {},
  ): Promise<Observed> {
    const said: string[] = [];
    const waiting: { readonly line: string; readonly resolve: () => void }[] = [];
    const say = (line: string): void => {
      said.push(line);
      for (const waiter of waiting) if (waiter.line === line) waiter.resolve();
    };
    const hooks: Hooks = {
      ...o.hooks,
      changed: ({ kind, member }) => say(`${kind} ${member.name} ${member.state}`),
      userMessage: (payload) => say(`user ${Buffer.from(payload).toString()}`),
      conflict: (existing) => say(`conflict ${existing.name}`),
      mergeRemoteState: (state) => say(`merge ${Buffer.from(state).toString()}`),
      pingCompleted: (member) => say(`ping ${member.name}`),
    };
    const transport = await openUdpTcpTransport({ host: o.host ?? '127.0.0.1', port: 0 });
    const { host, port } = transport.advertise;
    const config = { ...local, probeIntervalMs: 200, probeTimeoutMs: 100, gossipIntervalMs: 10, ...o.config };
    const list = await openMemberlist({ ...o, name, transport, config, hooks });
    this.#open.push(list);
    return {
      list,
      at: host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`,
      saw: (line) =>
        said.includes(line)
          ? Promise.resolve()
          : new Promise((resolve) => {
              waiting.push({ line, resolve });
            }),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#open.map((list) => list[Symbol.asyncDispose]()));
  }
}

export function names(list: Memberlist): string[] {
  return list
    .members()
    .map(({ name }) => name)
    .sort();
}
