/**
 * pools.ts: the two gossip pools a server is a member of: its own datacenter's, and that of all servers everywhere.
 *
 * Lives here: what each pool is opened with. Must not live here: what their members mean to us (wan-members.ts).
 */
import { wanName } from '@fed/alpn-mux';
import type { Transport } from '@fed/memberlist';
import { openSerf, type Serf, type SerfEvent, type SerfMember } from '@fed/serf';
import type { WanfedTransport } from '@fed/wanfed-transport';
import { binding } from './binding.ts';
import type { Config } from './config/config.ts';
import { lanGossip, lanSerf, ring, wanGossip, wanSerf } from './gossip-config.ts';
import { type AdmissionOptions, lanAdmission } from './lan/admission.ts';
import type { RoomEvent } from './log.ts';
import type { Machine } from './machine.ts';
import { serverTags } from './tags.ts';
import { buildTag } from './version.ts';
import { refuseStrangers } from './wan-members.ts';
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

export async function openLanPool(
  o: PoolOptions & { readonly foundAlone: AdmissionOptions['foundAlone'] },
): Promise<Serf> {
  const { config, nodeId, foundAlone, onEvent, log } = o;
  const { clock, rng, randomBytes, machine } = o.world;
  const bind = { host: config.bindHost, port: config.lanPort };
  const transport = await openSockets(machine, 'ports.serf_lan', bind, config.advertiseHost);
  let pool: Serf | undefined;
  const members = (): readonly SerfMember[] => pool?.members() ?? [];
  pool = await openSerf({
    name: config.nodeName,
    tags: serverTags({ ...ownTags(o), wanJoinPort: config.wanPort }),
    transport,
    keyring: ring(config),
    memberlist: lanGossip(config),
    config: machine.remembering(lanSerf(config)),
    refuseMember: lanAdmission({ config, nodeId, members, foundAlone }),
    ...(onEvent === undefined ? {} : { onEvent }),
    clock,
    rng,
    randomBytes,
    log,
  });
  return pool;
}

function openSockets(
  machine: Machine,
  key: string,
  bind: { readonly host: string; readonly port: number },
  advertiseHost: string,
): Promise<Transport> {
  return binding(key, bind, () => machine.openGossip({ ...bind, advertise: { host: advertiseHost } }));
}

function ownTags({ config, nodeId }: PoolOptions): Parameters<typeof serverTags>[0] {
  const { datacenter, serverPort, acl, engine, bootstrapExpect } = config;
  const shared = engine.type === 'embedded' ? {} : { shared: { servers: bootstrapExpect } };
  return { datacenter, nodeId, serverPort, build: buildTag, tls: true, acls: acl.enabled, ...shared };
}
