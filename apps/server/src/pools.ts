/**
 * pools.ts: the two gossip pools a server is a member of: its own datacenter's, and that of all servers everywhere.
 *
 * Lives here: what each pool is opened with. Must not live here: what their members mean to us (wan-members.ts).
 */
import { wanName } from '@fed/alpn-mux';
import type { Transport } from '@fed/memberlist';
import { openSerf, type Serf, type SerfEvent } from '@fed/serf';
import type { WanfedTransport } from '@fed/wanfed-transport';
import { binding } from './binding.ts';
import type { Config } from './config/config.ts';
import { lanGossip, lanSerf, ring, wanGossip, wanSerf } from './gossip-config.ts';
import type { RoomEvent } from './log.ts';
import type { Machine } from './machine.ts';
import { serverTags } from './tags.ts';
import { buildTag } from './version.ts';
import { refuseOtherDatacenters, refuseStrangers } from './wan-members.ts';
import type { World } from './world.ts';

export interface PoolOptions {
  readonly config: Config;
  readonly world: World;
  readonly nodeId: string;
  readonly onEvent?: (event: SerfEvent) => void;
  readonly onAnswer?: (name: string) => void;
  readonly log: (event: RoomEvent) => void;
}

/** Sockets of the WAN pool's port; what leaves the datacenter goes another way (@fed/wanfed-transport). */
export function openWanSockets(config: Config, machine: Machine): Promise<Transport> {
  return openSockets(
    machine,
    'ports.serf_wan',
    { host: config.bindHost, port: config.wanPort },
    config.advertiseWanHost,
  );
}

export function openWanPool(o: PoolOptions & { readonly transport: WanfedTransport }): Promise<Serf> {
  const { config, transport, onEvent, onAnswer, log } = o;
  const { clock, rng, randomBytes, machine } = o.world;
  return openSerf({
    name: wanName(config.nodeName, config.datacenter),
    tags: serverTags(ownTags(o)),
    transport,
    keyring: ring(config),
    memberlist: wanGossip(config),
    config: machine.remembering(wanSerf(config)),
    refuseMember: refuseStrangers,
    ...(onEvent === undefined ? {} : { onEvent }),
    ...(onAnswer === undefined ? {} : { onAnswer }),
    clock,
    rng,
    randomBytes,
    log,
  });
}

export async function openLanPool(o: PoolOptions): Promise<Serf> {
  const { config, onEvent, log } = o;
  const { clock, rng, randomBytes, machine } = o.world;
  const bind = { host: config.bindHost, port: config.lanPort };
  const transport = await openSockets(machine, 'ports.serf_lan', bind, config.advertiseHost);
  return openSerf({
    name: config.nodeName,
    tags: serverTags({ ...ownTags(o), wanJoinPort: config.wanPort }),
    transport,
    keyring: ring(config),
    memberlist: lanGossip(config),
    config: machine.remembering(lanSerf(config)),
    refuseMember: refuseOtherDatacenters(config.datacenter),
    ...(onEvent === undefined ? {} : { onEvent }),
    clock,
    rng,
    randomBytes,
    log,
  });
}

function openSockets(
  machine: Machine,
  key: string,
  bind: { readonly host: string; readonly port: number },
  advertiseHost: string,
): Promise<Transport> {
  return binding(key, bind, () => machine.openGossip({ ...bind, advertise: { host: advertiseHost } }));
}

function ownTags(o: PoolOptions): Parameters<typeof serverTags>[0] {
  const { datacenter, serverPort, acl } = o.config;
  return { datacenter, nodeId: o.nodeId, serverPort, build: buildTag, tls: true, acls: acl.enabled };
}
