/**
 * worlds.ts: what gateways of two datacenters must know of each other, handed to them without a server in between.
 *
 * Both have a gateway and a server n1 (the same one, to save a process); dc2 has the service web with two subsets, too.
 * Lives here: worlds as values. Must not live here: processes.
 */
import type { GatewayWorld } from '@fed/xds';

export const trustDomain = '11111111-2222-3333-4444-555555555555.consul';
export const webSni = `web.default.dc2.internal.${trustDomain}`;
export const subsetSni = (subset: string): string => `${subset}.${webSni}`;
export const serverSni = 'n1.server.dc2.consul';

export interface Ports {
  readonly gateway: Readonly<Record<'dc1' | 'dc2', number>>;
  /** Where the servers n1 are. */
  readonly server: number;
  /** Where instances of web are, by version. */
  readonly web: Readonly<Record<string, number>>;
}

const host = '127.0.0.1';
const nothing = { CreateIndex: 0, ModifyIndex: 0 };

/** The world of the gateway of `datacenter`. */
export function worldOf(datacenter: 'dc1' | 'dc2', p: Ports): GatewayWorld {
  const rows = (['dc1', 'dc2'] as const).map((dc) => gatewayRow(dc, p.gateway[dc]));
  const own = rows[datacenter === 'dc1' ? 0 : 1] as (typeof rows)[number];
  const world: GatewayWorld = {
    datacenter,
    domain: 'consul',
    trustDomain,
    gateway: own.Service,
    servers: [{ node: 'n1', host, port: p.server }],
    federationStates: rows.map((row) => ({
      Datacenter: row.Node.Datacenter,
      MeshGateways: [row] as unknown as GatewayWorld['federationStates'][number]['MeshGateways'],
    })),
  };
  return datacenter === 'dc1' ? world : { ...world, services: [web(p.web)] };
}

function gatewayRow(dc: string, port: number) {
  return {
    Node: { Node: `gw-${dc}`, Address: host, Datacenter: dc, ...nothing },
    Service: {
      ID: `gateway-${dc}`,
      Service: 'mesh-gateway',
      Address: host,
      Port: port,
      Meta: { 'consul-wan-federation': '1' },
      TaggedAddresses: { wan: { Address: host, Port: port } },
      ...nothing,
    },
    Checks: [{ Status: 'passing' }],
  };
}

function web(ports: Readonly<Record<string, number>>): NonNullable<GatewayWorld['services']>[number] {
  const instances = Object.entries(ports).map(([version, port]) => ({
    Node: { Node: `web-${version}`, Address: host, Datacenter: 'dc2' },
    Service: { ID: `web-${version}`, Service: 'web', Address: host, Port: port, Meta: { version } },
    Checks: [{ Status: 'passing' }],
  }));
  const subsets = Object.fromEntries(
    Object.keys(ports).map((version) => [version, { filter: `Service.Meta.version == ${version}` }]),
  );
  return { name: 'web', instances, resolver: { connectTimeoutMs: 2_000, subsets } };
}
