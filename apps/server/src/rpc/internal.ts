/**
 * internal.ts: Internal.*: what a datacenter's own agents and those of others ask in bulk.
 *
 * Source: Consul agent/consul/internal_endpoint.go.
 */
import type { NodeRow, ReadStore } from '@fed/fsm';
import type { Value } from '@fed/msgpack';
import { flag, text } from './args.ts';
import type { Endpoint } from './ask.ts';
import { type BlockingOptions, blocking } from './blocking.ts';
import { refuseFilter } from './catalog.ts';

export function internalEndpoints(o: BlockingOptions): Readonly<Record<string, Endpoint>> {
  return {
    'Internal.ServiceDump': {
      belongs: 'datacenter',
      answer: (args, context) =>
        blocking(o, args, context, (store) => {
          refuseFilter(args);
          const byKind = flag(args, 'UseServiceKind');
          const { index, rows } = byKind ? store.serviceKind(text(args, 'ServiceKind')) : store.serviceDump();
          // Which services stand behind terminating and ingress gateways is said by config entries; none is given a meaning here.
          return { index, reply: { Gateways: null, Nodes: rows } };
        }),
    },
    'Internal.NodeInfo': {
      belongs: 'datacenter',
      answer: (args, context) =>
        blocking(o, args, context, (store) => {
          const { row } = store.node(text(args, 'Node'));
          const dump = row === undefined ? [] : [nodeInfo(store, row)];
          return { index: store.index('nodes', 'services', 'checks'), reply: { Dump: dump } };
        }),
    },
    'Internal.NodeDump': {
      belongs: 'datacenter',
      answer: (args, context) =>
        blocking(o, args, context, (store) => {
          refuseFilter(args);
          const { rows } = store.nodes();
          return {
            index: store.index('nodes', 'services', 'checks'),
            reply: { Dump: rows.map((row) => nodeInfo(store, row)) },
          };
        }),
    },
  };
}

function nodeInfo(store: ReadStore, node: NodeRow): Value {
  return {
    Address: node.Address,
    Checks: store.nodeChecks(node.Node).rows,
    ID: node.ID,
    Meta: node.Meta,
    Node: node.Node,
    Services: store.nodeServices(node.Node).rows,
    TaggedAddresses: node.TaggedAddresses,
  };
}
