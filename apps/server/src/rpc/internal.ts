/**
 * internal.ts: Internal.*: what a datacenter's own agents and those of others ask in bulk.
 *
 * Source: Consul agent/consul/internal_endpoint.go.
 */
import type { NodeRow, ReadStore } from '@fed/fsm';
import type { Value } from '@fed/msgpack';
import { RpcApplicationError } from '@fed/rpc';
import { type Serf, SerfError } from '@fed/serf';
import { poolPrefix } from '../events/user-event.ts';
import { flag, text } from './args.ts';
import type { Endpoint } from './ask.ts';
import { type BlockingOptions, blocking } from './blocking.ts';
import { refuseFilter } from './catalog.ts';

export interface InternalOptions extends BlockingOptions {
  /** Tells the LAN pool of an event. Throws SerfError for one that does not fit. */
  readonly lan: () => Pick<Serf, 'userEvent'>;
}

export function internalEndpoints(o: InternalOptions): Readonly<Record<string, Endpoint>> {
  return {
    'Internal.EventFire': {
      belongs: 'datacenter',
      answeredBy: 'any',
      answer: (args) => {
        fire(o.lan(), text(args, 'Name'), args['Payload']);
        return { ConsistencyLevel: '', Index: 0, KnownLeader: false, LastContact: 0, NotModified: false };
      },
    },
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

/** The payload is already the event as other servers read it; the pool only needs to know its name. */
function fire(lan: Pick<Serf, 'userEvent'>, name: string, payload: Value | undefined): void {
  const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload;
  try {
    lan.userEvent(`${poolPrefix}${name}`, bytes instanceof Uint8Array ? bytes : new Uint8Array(0));
  } catch (error) {
    if (!(error instanceof SerfError) || error.code !== 'event_too_large') throw error;
    // The words of the original, its list of one error included.
    throw new RpcApplicationError(
      '1 error occurred:\n\t* error broadcasting event to segment "": user event exceeds configured limit of 512 bytes before encoding\n\n',
      { cause: error },
    );
  }
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
