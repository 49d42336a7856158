/**
 * requests.ts: catalog writes of this node's own rows.
 */
import {
  type CheckRow,
  type Command,
  type NodeRow,
  newDeregisterRequest,
  newRegisterRequest,
  type ServiceRow,
} from '@fed/fsm';

export function registerCommand(
  node: NodeRow,
  o: { readonly service?: ServiceRow; readonly checks?: readonly CheckRow[] },
): Command {
  const request = newRegisterRequest({
    Address: node.Address,
    Checks: o.checks ?? null,
    Datacenter: node.Datacenter,
    ID: node.ID,
    Node: node.Node,
    NodeMeta: node.Meta,
    Service: o.service ?? null,
    TaggedAddresses: node.TaggedAddresses,
  });
  return { type: 'register', request };
}

export function deregisterCommand(
  node: NodeRow,
  what: { readonly ServiceID: string } | { readonly CheckID: string },
): Command {
  return {
    type: 'deregister',
    request: newDeregisterRequest({ Datacenter: node.Datacenter, Node: node.Node, ...what }),
  };
}
