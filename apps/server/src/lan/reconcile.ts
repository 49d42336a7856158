/**
 * reconcile.ts: what the catalog must be told about one member of the datacenter's gossip pool.
 *
 * Alive: a node with a passing check, and if it is a server the service `consul`. Failed: the check turns critical, nothing
 * else. Gone for good, by its own will or because it was given up: the node goes, with everything on it. What others wrote
 * about a node (meta, tagged addresses) stays; and where the catalog says it already, nothing is written.
 * Lives here: members to commands. Must not live here: when, by whom (reconciler.ts), the log.
 * Source: Consul agent/consul/leader.go, leader_registrator_v1.go (HandleAliveMember, HandleFailedMember,
 * HandleLeftMember, HandleReapMember).
 */
import {
  type Command,
  type NodeRow,
  newDeregisterRequest,
  newRegisterRequest,
  type ReadStore,
  type ServiceRow,
} from '@fed/fsm';
import type { SerfMember } from '@fed/serf';
import { serfHealth } from '../agent/registration.ts';
import { serfCheck, serverService } from '../server-rows.ts';
import { readServer } from '../tags.ts';

export type Catalog = Pick<ReadStore, 'node' | 'nodeServices' | 'nodeChecks'>;

/** In the order they must be applied in; empty when the catalog says it already. */
export function reconcileMember(
  member: SerfMember,
  catalog: Catalog,
  o: { readonly datacenter: string; readonly self: string },
): readonly Command[] {
  if (!isOurs(member, o.datacenter)) return [];
  switch (member.status) {
    case 'alive':
      return alive(member, catalog, o.datacenter);
    case 'failed':
      return failed(member, catalog, o.datacenter);
    case 'left':
      return gone(member.name, catalog, o);
    case 'leaving':
      return [];
  }
}

/** The node is known to gossip no more. Our own is taken away by the next leader, never by ourselves. */
export function gone(
  name: string,
  catalog: Catalog,
  o: { readonly datacenter: string; readonly self: string },
): readonly Command[] {
  if (name === o.self || catalog.node(name).row === undefined) return [];
  return [{ type: 'deregister', request: newDeregisterRequest({ Datacenter: o.datacenter, Node: name }) }];
}

/** Servers and client agents of this datacenter; whoever else gossips here is nobody the catalog knows of. */
function isOurs({ tags }: SerfMember, datacenter: string): boolean {
  return tags['dc'] === datacenter && (tags['role'] === 'consul' || tags['role'] === 'node');
}

function alive(member: SerfMember, catalog: Catalog, datacenter: string): readonly Command[] {
  const node = catalog.node(member.name).row;
  const id = member.tags['id'] ?? '';
  const service = serviceOf(member);
  const check = serfCheck(member.name, 'passing');
  if (
    node !== undefined &&
    sameId(node, id) &&
    node.Address === member.host &&
    (service === undefined || hasService(catalog, member.name, service)) &&
    statusOf(catalog, member.name) === 'passing'
  )
    return [];
  const commands: Command[] = [];
  // The pool has one member of a name. Whoever had this one in the catalog, under another id, is not there any more; and a
  // node gives its name up only once it is not alive.
  if (node !== undefined && !sameId(node, id) && node.ID !== '' && statusOf(catalog, node.Node) === 'passing')
    commands.push({
      type: 'register',
      request: newRegisterRequest({
        ...rowOf(node),
        SkipNodeUpdate: true,
        Check: serfCheck(node.Node, 'critical'),
      }),
    });
  commands.push({
    type: 'register',
    request: newRegisterRequest({
      Address: member.host,
      Check: check,
      Datacenter: datacenter,
      ID: id,
      Node: member.name,
      NodeMeta: node?.Meta ?? null,
      Service: service ?? null,
      TaggedAddresses: node?.TaggedAddresses ?? null,
    }),
  });
  return commands;
}

/** A node that was never registered has nothing that could be out of order. */
function failed(member: SerfMember, catalog: Catalog, datacenter: string): readonly Command[] {
  const node = catalog.node(member.name).row;
  if (node === undefined || statusOf(catalog, member.name) === 'critical') return [];
  return [
    {
      type: 'register',
      request: newRegisterRequest({
        ...rowOf(node),
        Datacenter: datacenter,
        SkipNodeUpdate: true,
        Check: serfCheck(member.name, 'critical'),
      }),
    },
  ];
}

/** The service `consul` of a member that is a server. */
function serviceOf(member: SerfMember): ServiceRow | undefined {
  const server = readServer(member);
  if (typeof server === 'string') return undefined;
  const { vsn, tags } = member;
  return serverService({ port: server.port, build: server.build, raft: tags['raft_vsn'] ?? '0', vsn });
}

function rowOf(node: NodeRow) {
  return {
    Address: node.Address,
    Datacenter: node.Datacenter,
    ID: node.ID,
    Node: node.Node,
    NodeMeta: node.Meta,
    TaggedAddresses: node.TaggedAddresses,
  };
}

const sameId = (node: NodeRow, id: string): boolean => node.ID.toLowerCase() === id.toLowerCase();

function statusOf(catalog: Catalog, node: string): string | undefined {
  return catalog.nodeChecks(node).rows.find((check) => check.CheckID === serfHealth)?.Status;
}

function hasService(catalog: Catalog, node: string, service: ServiceRow): boolean {
  const found = catalog.nodeServices(node).rows.find(({ ID }) => ID === service.ID);
  return found !== undefined && found.Port === service.Port && sameMeta(found.Meta, service.Meta);
}

function sameMeta(a: ServiceRow['Meta'], b: ServiceRow['Meta']): boolean {
  const text = (meta: ServiceRow['Meta']): string => JSON.stringify(Object.entries(meta ?? {}).sort());
  return text(a) === text(b);
}
