/**
 * pools.ts: the two gossip pools a server is a member of: its own datacenter's, and that of all servers everywhere.
 *
 * Lives here: what each pool is opened with. Must not live here: what their members mean to us (wan-members.ts).
 */
import { wanName } from '@fed/alpn-mux';
import type { Keyring, Transport } from '@fed/memberlist';
import { openSerf, type Serf, type SerfEvent, type SerfMember } from '@fed/serf';
import type { WanfedTransport } from '@fed/wanfed-transport';
import { binding } from './binding.ts';
import type { Config } from './config/config.ts';
import { lanGossip, lanSerf, wanGossip, wanSerf } from './gossip-config.ts';
import { openRing } from './keyring/ring.ts';
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

export async function openWanPool(o: PoolOptions & { readonly transport: WanfedTransport }): Promise<Serf> {
  const { config, transport, onEvent, onAnswer, log } = o;
  const { clock, rng, randomBytes, machine } = o.world;
  const settings = machine.remembering(wanSerf(config));
  return openSerf({
    name: wanName(config.nodeName, config.datacenter),
    tags: serverTags(ownTags(o)),
    transport,
    keyring: await keysOf(o, settings.keyringPath),
    memberlist: wanGossip(config),
    config: settings,
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
  const settings = machine.remembering(lanSerf(config));
  const keyring = await keysOf(o, settings.keyringPath);
  const transport = await openSockets(machine, 'ports.serf_lan', bind, config.advertiseHost);
  let pool: Serf | undefined;
  const members = (): readonly SerfMember[] => pool?.members() ?? [];
  pool = await openSerf({
    name: config.nodeName,
    tags: serverTags({ ...ownTags(o), wanJoinPort: config.wanPort }),
    transport,
    keyring,
    memberlist: lanGossip(config),
    config: settings,
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

/** A ring of its own for each pool: their keys may be rotated one after the other. */
function keysOf({ config, log }: PoolOptions, path: string | undefined): Promise<Keyring> {
  return openRing({
    gossipKey: config.gossipKey,
    path,
    outdated: (file) =>
      log({
        level: 'warn',
        code: 'encrypt_outdated',
        text: `the configured 'encrypt' is none of the keys in ${file}, which are used instead`,
      }),
  });
}

function ownTags({ config, nodeId }: PoolOptions): Parameters<typeof serverTags>[0] {
  const { datacenter, serverPort, acl, engine, bootstrapExpect } = config;
  const shared = engine.type === 'embedded' ? {} : { shared: { servers: bootstrapExpect } };
  return { datacenter, nodeId, serverPort, build: buildTag, tls: true, acls: acl.enabled, ...shared };
}
