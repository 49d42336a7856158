/**
 * catalog.ts: what registering and deregistering means for nodes, services and checks.
 *
 * The indexes tell a blocked reader whether something newer than what he holds exists, so each change raises every index
 * a reader of it may go by: the table's, the service's, the kind's. Saying the same thing again raises none.
 * Lives here: the rules and their index bumps. Must not live here: how tables are kept (tables.ts), bytes, waiting.
 * Source: Consul agent/consul/state/catalog.go, catalog_oss.go (v1.9.8).
 */
import type { DeregisterRequest, RegisterRequest } from './command.ts';
import { FsmError } from './errors.ts';
import { newNode, sameButIndexes, withIndexes } from './new-row.ts';
import type { CheckRow, NodeRow, ServiceRow } from './rows.ts';
import { same } from './shapes.ts';
import { indexKey, keyOf, prefixOf, type ServiceEntry, type Transaction, watchKey } from './tables.ts';

/** The check serf keeps for every member; while it is critical the node's name may be taken by another. */
const serfCheckId = 'serfHealth';

/**
 * A node with, optionally, one service and checks, as one step: if any part is refused, nothing has happened. `restoring`
 * keeps the indexes the rows bring along.
 */
export function register(
  tx: Transaction,
  request: RegisterRequest,
  o: { readonly restoring: boolean },
): void {
  requireName('Node', request.Node);
  const existing = tx.tables.nodes.get(keyOf(request.Node));
  if (existing === undefined || changesNode(request, existing)) ensureNode(tx, nodeOf(request), o.restoring);
  if (request.Service !== null) ensureService(tx, request.Node, request.Service, o.restoring);
  const checks = request.Check === null ? [] : [request.Check];
  for (const check of [...checks, ...(request.Checks ?? [])]) {
    if (keyOf(check.Node) !== keyOf(request.Node))
      throw new FsmError(
        'check_node_mismatch',
        `check node "${check.Node}" does not match node "${request.Node}"`,
      );
    ensureCheck(tx, check, o.restoring);
  }
}

/** Removing what is not there is a success that changes no index. */
export function deregister(tx: Transaction, request: DeregisterRequest): void {
  if (request.ServiceID !== '') {
    const entry = tx.tables.services.get(keyOf(request.Node, request.ServiceID));
    if (entry !== undefined) deleteService(tx, entry);
  } else if (request.CheckID !== '') {
    const check = tx.tables.checks.get(keyOf(request.Node, request.CheckID));
    if (check !== undefined) deleteCheck(tx, check);
  } else {
    const node = tx.tables.nodes.get(keyOf(request.Node));
    if (node !== undefined) deleteNode(tx, node);
  }
}

function nodeOf(request: RegisterRequest): NodeRow {
  return newNode({
    Address: request.Address,
    CreateIndex: request.CreateIndex,
    Datacenter: request.Datacenter,
    ID: request.ID,
    Meta: request.NodeMeta,
    ModifyIndex: request.ModifyIndex,
    Node: request.Node,
    TaggedAddresses: request.TaggedAddresses,
  });
}

function changesNode(request: RegisterRequest, existing: NodeRow): boolean {
  if (request.SkipNodeUpdate) return false;
  return !sameButIndexes(existing, nodeOf(request));
}

function ensureNode(tx: Transaction, node: NodeRow, restoring: boolean): void {
  let existing = tx.tables.nodes.get(keyOf(node.Node));
  if (node.ID !== '') {
    const byId = tx.tables.nodesById.get(node.ID.toLowerCase());
    if (byId === undefined) {
      refuseReservedName(tx, node, { unlessWithoutId: true });
    } else if (byId !== keyOf(node.Node)) {
      // The same machine under a new name: the old name goes, with everything registered under it.
      refuseReservedName(tx, node, { unlessWithoutId: false });
      existing = tx.tables.nodes.get(byId) as NodeRow;
      deleteNode(tx, existing);
    }
  }
  if (existing === undefined) {
    const keep = restoring && node.CreateIndex !== 0;
    insertNode(tx, keep ? node : withIndexes(node, tx.index, tx.index));
  } else if (!sameButIndexes(existing, node)) {
    insertNode(tx, withIndexes(node, existing.CreateIndex, tx.index));
  }
}

/** Another node that is alive keeps its name; one without a serf check, or with a critical one, can be replaced. */
function refuseReservedName(tx: Transaction, node: NodeRow, o: { readonly unlessWithoutId: boolean }): void {
  const holder = tx.tables.nodes.get(keyOf(node.Node));
  if (holder === undefined || holder.ID.toLowerCase() === node.ID.toLowerCase()) return;
  if (holder.ID === '' && o.unlessWithoutId) return;
  const serf = tx.tables.checks.get(keyOf(holder.Node, serfCheckId));
  if (serf === undefined || serf.Status === 'critical') return;
  throw new FsmError(
    'node_name_reserved',
    `Node name ${node.Node} is reserved by node ${holder.ID} with name ${holder.Node} (${holder.Address})`,
  );
}

function insertNode(tx: Transaction, node: NodeRow): void {
  tx.putNode(node);
  tx.raise(indexKey.nodes, node.ModifyIndex);
  // Answers about a service carry the rows of its nodes.
  raiseServicesOfNode(tx, node.Node, node.ModifyIndex);
}

function ensureService(tx: Transaction, nodeName: string, service: ServiceRow, restoring: boolean): void {
  requireName('Service.ID', service.ID);
  requireName('Service.Service', service.Service);
  const old = tx.tables.services.get(keyOf(nodeName, service.ID));
  if (old !== undefined && sameButIndexes(old.service, service)) return;
  const node = tx.tables.nodes.get(keyOf(nodeName));
  if (node === undefined)
    throw new FsmError('missing_node', `node "${nodeName}" of service "${service.ID}" is not registered`);
  const row = restoring
    ? service
    : withIndexes(service, old === undefined ? tx.index : old.service.CreateIndex, tx.index);
  tx.putService({ node: node.Node, service: row });
  tx.raise(indexKey.services, row.ModifyIndex);
  tx.raise(indexKey.service(row.Service), row.ModifyIndex);
  tx.raise(indexKey.kind(row.Kind), row.ModifyIndex);
  if (old === undefined) return;
  // The instance may have left another service or kind behind.
  if (keyOf(old.service.Service) !== keyOf(row.Service)) serviceLostInstance(tx, old.service.Service);
  if (old.service.Kind !== row.Kind) tx.raise(indexKey.kind(old.service.Kind), tx.index);
}

function ensureCheck(tx: Transaction, check: CheckRow, restoring: boolean): void {
  requireName('CheckID', check.CheckID);
  const node = tx.tables.nodes.get(keyOf(check.Node));
  if (node === undefined)
    throw new FsmError('missing_node', `node "${check.Node}" of check "${check.CheckID}" is not registered`);
  const old = tx.tables.checks.get(keyOf(check.Node, check.CheckID));
  let row: CheckRow = check.Status === '' && !restoring ? { ...check, Status: 'critical' } : check;
  let service: ServiceEntry | undefined;
  if (row.ServiceID !== '') {
    service = tx.tables.services.get(keyOf(row.Node, row.ServiceID));
    if (service === undefined)
      throw new FsmError(
        'missing_service',
        `service "${row.ServiceID}" of check "${row.CheckID}" is not registered on node "${row.Node}"`,
      );
    const { Service, Tags } = service.service;
    // A check carries what its service said when the check was last written; a snapshot brings back exactly that.
    if (!restoring && (row.ServiceName !== Service || !same(row.ServiceTags, Tags)))
      row = { ...row, ServiceName: Service, ServiceTags: Tags };
  }
  if (old !== undefined && sameButIndexes(old, row)) return;
  if (!restoring) row = withIndexes(row, old === undefined ? tx.index : old.CreateIndex, tx.index);
  tx.putCheck(row);
  tx.raise(indexKey.checks, restoring ? row.ModifyIndex : tx.index);
  raiseForCheck(tx, row, restoring ? row.ModifyIndex : tx.index);
  if (old !== undefined && keyOf(old.ServiceID) !== keyOf(row.ServiceID)) raiseForCheck(tx, old, tx.index);
}

/** A node's check speaks for every service of the node, a service's check for that service. */
function raiseForCheck(tx: Transaction, check: CheckRow, index: number): void {
  if (check.ServiceID === '') {
    raiseServicesOfNode(tx, check.Node, index);
    return;
  }
  const entry = tx.tables.services.get(keyOf(check.Node, check.ServiceID));
  if (entry !== undefined) raiseService(tx, entry, index);
}

function raiseServicesOfNode(tx: Transaction, node: string, index: number): void {
  for (const entry of tx.tables.services.withPrefix(prefixOf(node))) raiseService(tx, entry, index);
}

function raiseService(tx: Transaction, { service }: ServiceEntry, index: number): void {
  tx.raise(indexKey.service(service.Service), index);
  tx.raise(indexKey.kind(service.Kind), index);
  tx.touch(watchKey.service(service.Service));
  tx.touch(watchKey.kind(service.Kind));
  if (service.Connect.Native) tx.touch(watchKey.native);
}

function deleteNode(tx: Transaction, node: NodeRow): void {
  for (const entry of tx.tables.services.withPrefix(prefixOf(node.Node))) deleteService(tx, entry);
  for (const check of tx.tables.checks.withPrefix(prefixOf(node.Node))) deleteCheck(tx, check);
  for (const coordinate of tx.tables.coordinates.withPrefix(prefixOf(node.Node))) {
    tx.deleteCoordinate(coordinate);
    tx.raise(indexKey.coordinates, tx.index);
  }
  tx.deleteNode(node);
  tx.raise(indexKey.nodes, tx.index);
}

function deleteService(tx: Transaction, entry: ServiceEntry): void {
  for (const check of tx.tables.checks.withPrefix(prefixOf(entry.node)))
    if (keyOf(check.ServiceID) === keyOf(entry.service.ID)) deleteCheck(tx, check);
  tx.deleteService(entry);
  tx.raise(indexKey.services, tx.index);
  tx.raise(indexKey.kind(entry.service.Kind), tx.index);
  serviceLostInstance(tx, entry.service.Service);
}

/**
 * While instances remain, the service's own index moves on. With the last one it is dropped, and one shared index
 * remembers that some service died: names that are gone for ever cost nothing.
 */
function serviceLostInstance(tx: Transaction, name: string): void {
  if (tx.tables.servicesByName.hasPrefix(prefixOf(name))) {
    tx.raise(indexKey.service(name), tx.index);
  } else {
    tx.dropIndex(indexKey.service(name));
    tx.raise(indexKey.serviceExtinction, tx.index);
  }
}

function deleteCheck(tx: Transaction, check: CheckRow): void {
  tx.deleteCheck(check);
  tx.raise(indexKey.checks, tx.index);
  raiseForCheck(tx, check, tx.index);
}

function requireName(field: string, name: string): void {
  if (name === '') throw new FsmError('invalid', `${field} is required`);
  // NUL joins the parts of our keys (I5).
  if (name.includes('\0')) throw new FsmError('invalid', `${field} contains a NUL`);
}
