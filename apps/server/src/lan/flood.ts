/**
 * flood.ts: brings every server of our own datacenter into the WAN pool, as soon as the LAN pool knows it.
 *
 * So one server of a datacenter that has met another datacenter is enough for all of them.
 * Source: Consul agent/consul/flood.go, agent/router/serf_flooder.go: on each join, and every minute.
 */
import { wanName } from '@fed/alpn-mux';
import type { Serf } from '@fed/serf';
import { readServer } from '../tags.ts';
import type { World } from '../world.ts';

export interface FloodOptions {
  readonly datacenter: string;
  readonly lan: Pick<Serf, 'members' | 'events'>;
  readonly wan: Pick<Serf, 'member' | 'join'>;
  readonly failed: (name: string, error: unknown) => void;
  readonly clock: World['clock'];
}

const everyMs = 60_000;

export function openFlood(o: FloodOptions): AsyncDisposable {
  const stop = new AbortController();
  const joining = new Map<string, Promise<void>>();
  let timer: Disposable | undefined;
  const join = async (name: string, target: string): Promise<void> => {
    try {
      await o.wan.join([target], { ignoreOld: true, signal: stop.signal });
    } catch (error) {
      if (!stop.signal.aborted) o.failed(name, error);
    }
    joining.delete(name);
  };
  const flood = (): void => {
    for (const member of o.lan.members()) {
      const server = readServer(member);
      if (member.status !== 'alive' || typeof server === 'string' || server.datacenter !== o.datacenter)
        continue;
      const name = wanName(member.name, o.datacenter);
      if (o.wan.member(name)?.status === 'alive' || joining.has(name)) continue;
      const host = server.host.includes(':') ? `[${server.host}]` : server.host;
      const port = member.tags['wan_join_port'];
      joining.set(name, join(name, `${name}/${host}${port === undefined ? '' : `:${port}`}`));
    }
  };
  const again = (): void => {
    flood();
    timer = o.clock.at(o.clock.now() + everyMs, again);
  };
  again();
  const listening = o.lan.events(({ kind }) => {
    if (kind === 'member-join' || kind === 'member-update') flood();
  });
  return {
    async [Symbol.asyncDispose]() {
      listening[Symbol.dispose]();
      timer?.[Symbol.dispose]();
      stop.abort(new Error('this server is stopping'));
      await Promise.all(joining.values());
    },
  };
}
