/**
 * tags.ts: how a server presents itself in the gossip pools, and how it recognises another one.
 *
 * The tags are the contract with Consul's servers: a missing `build`, `port` or `vsn` makes a node invisible there,
 * and poisons joins of third parties through it. Source: Consul agent/metadata/server.go, agent/consul/server_serf.go.
 */

/** Ours: the server's log is in an etcd cluster. Peers that are not ours ignore it. */
export const sharedLogTag = 'fed_shared';

/** A member that is a server, with what its tags say. */
export interface ServerMember {
  readonly name: string; // short: without the datacenter
  readonly datacenter: string;
  readonly id: string;
  readonly host: string;
  /** RPC port. */
  readonly port: number;
  readonly tls: boolean;
  readonly federationStates: boolean;
  readonly build: string;
  /** It keeps the log of its datacenter for itself: a second such server there would be a datacenter of its own. */
  readonly alone: boolean;
}

export interface OwnTags {
  readonly datacenter: string;
  readonly nodeId: string;
  readonly serverPort: number;
  readonly build: string;
  readonly tls: boolean;
  /** Whether access control is on. */
  readonly acls: boolean;
  /** Whether its log is shared with other servers, and by how many, if the operator said so. */
  readonly shared?: { readonly servers: number };
  /** On the LAN pool: where the same server listens for the WAN pool. */
  readonly wanJoinPort?: number;
}

export function serverTags(own: OwnTags): Record<string, string> {
  return {
    acls: own.acls ? '1' : '0',
    ...(own.shared === undefined ? { bootstrap: '1' } : {}),
    build: own.build,
    dc: own.datacenter,
    ...(own.shared === undefined ? {} : { [sharedLogTag]: '1' }),
    ...((own.shared?.servers ?? 1) > 1 ? { expect: String(own.shared?.servers) } : {}),
    ft_fs: '1',
    ft_si: '1',
    id: own.nodeId,
    port: String(own.serverPort),
    raft_vsn: '3',
    role: 'consul',
    segment: '',
    ...(own.tls ? { use_tls: '1' } : {}),
    vsn: '2',
    vsn_max: '3',
    vsn_min: '2',
    ...(own.wanJoinPort === undefined ? {} : { wan_join_port: String(own.wanJoinPort) }),
  };
}

/** The server behind a member's tags, or the reason why it is none. */
export function readServer(member: {
  readonly name: string;
  readonly host: string;
  readonly tags: Readonly<Record<string, string>>;
}): ServerMember | string {
  const { tags } = member;
  if (tags['role'] !== 'consul') return `role is '${tags['role'] ?? ''}', not 'consul'`;
  const integer = /^-?\d+$/;
  for (const key of ['port', 'vsn'])
    if (!integer.test(tags[key] ?? '')) return `tag ${key} is '${tags[key] ?? ''}', not an integer`;
  for (const key of ['expect', 'wan_join_port', 'raft_vsn'])
    if (tags[key] !== undefined && !integer.test(tags[key]))
      return `tag ${key} is '${tags[key]}', not an integer`;
  for (const [key, value] of Object.entries(tags))
    if (key.startsWith('ft_') && !integer.test(value)) return `tag ${key} is '${value}', not an integer`;
  if (!/\d+\.\d+\.\d+/.test(tags['build'] ?? ''))
    return `tag build is '${tags['build'] ?? ''}', not a version`;
  const datacenter = tags['dc'] ?? '';
  const suffix = `.${datacenter}`;
  return {
    name: member.name.endsWith(suffix) ? member.name.slice(0, -suffix.length) : member.name,
    datacenter,
    id: tags['id'] ?? '',
    host: member.host,
    port: Number(tags['port']),
    tls: tags['use_tls'] !== undefined,
    federationStates: tags['ft_fs'] === '1',
    build: tags['build'] as string,
    alone: tags['bootstrap'] !== undefined,
  };
}
