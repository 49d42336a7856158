/**
 * guard.ts: puts the rules of access around every endpoint, so that no endpoint knows of tokens.
 *
 * Some questions are refused as a whole; of most answers only the rows are shown that the token's holder may read. An
 * endpoint this file says nothing about is refused to all but management tokens: forgetting one must not open it.
 * Rows are picked into new lists: what the store holds is never changed.
 * Source: Consul agent/consul/*_endpoint.go, acl_filter.go; the matrix of FederationState.* as recorded from v1.9.8.
 */
import type { CheckRow, CheckServiceNode, NodeRow, ServiceNodeRow, ServiceRow } from '@fed/fsm';
import type { Value } from '@fed/msgpack';
import { RpcApplicationError } from '@fed/rpc';
import { type Args, asArgs, text } from '../rpc/args.ts';
import type { Endpoint } from '../rpc/ask.ts';
import { type Access, AccessError, need, needKeyring, needManagement, needOperator } from './access.ts';
import { entriesSeen, needEntryRead, needEntryWrite } from './config-entries.ts';
import type { Authorizer } from './rules.ts';

interface Rule {
  /** Throws AccessError when the question may not be asked. */
  readonly before?: (who: Authorizer, args: Args) => void;
  /** What of the answer may be seen. */
  readonly after?: (who: Authorizer, reply: Value) => Value;
}

/** The token travels as `Token` among the arguments, from other datacenters too. */
export function guarding(
  endpoints: Readonly<Record<string, Endpoint>>,
  access: Access,
): Readonly<Record<string, Endpoint>> {
  if (!access.enabled) return endpoints;
  return Object.fromEntries(
    Object.entries(endpoints).map(([method, endpoint]) => {
      const rule = rules[method] ?? managementOnly;
      return [method, { ...endpoint, answer: guarded(endpoint.answer, rule, access) }];
    }),
  );
}

function guarded(answer: Endpoint['answer'], rule: Rule, access: Access): Endpoint['answer'] {
  if (rule === open) return answer;
  return async (args, context) => {
    try {
      const who = access.authorizer(text(args, 'Token'));
      rule.before?.(who, args);
      const reply = await answer(args, context);
      return rule.after === undefined || who.management ? reply : rule.after(who, reply);
    } catch (error) {
      if (!(error instanceof AccessError)) throw error;
      throw new RpcApplicationError(error.message, { cause: error });
    }
  };
}

const open: Rule = {};
const managementOnly: Rule = { before: needManagement };
const operatorRead: Rule = { before: (who) => needOperator(who, 'read') };
const operatorWrite: Rule = { before: (who) => needOperator(who, 'write') };

const readable = (who: Authorizer, node: string, service: string): boolean =>
  who.may('node', node, 'read') && (service === '' || who.may('service', service, 'read'));
const seesInstance = (who: Authorizer, { Node, Service }: CheckServiceNode): boolean =>
  readable(who, Node.Node, Service.Service);
const seesCheck = (who: Authorizer, { Node, ServiceName }: CheckRow): boolean =>
  readable(who, Node, ServiceName);

/** Only the rows of `key` that `sees` lets through. */
function rowsOf<T>(key: string, sees: (who: Authorizer, row: T) => boolean): Rule {
  return {
    after: (who, value) => {
      const reply = asArgs(value);
      const rows = (reply[key] ?? null) as unknown as readonly T[] | null;
      if (rows === null) return value;
      return { ...reply, [key]: rows.filter((row) => sees(who, row)) as unknown as Value };
    },
  };
}

type Services = Readonly<Record<string, ServiceRow>> | readonly ServiceRow[];

const nodeServices: Rule = {
  after: (who, value) => {
    const reply = asArgs(value);
    const found = reply['NodeServices'] as { Node: NodeRow | null; Services: Services } | null;
    if (found === null || found.Node === null) return value;
    if (!who.may('node', found.Node.Node, 'read')) return { ...reply, NodeServices: null };
    const sees = ({ Service }: ServiceRow): boolean => who.may('service', Service, 'read');
    const services = Array.isArray(found.Services)
      ? found.Services.filter(sees)
      : Object.fromEntries(Object.entries(found.Services).filter(([, row]) => sees(row as ServiceRow)));
    return { ...reply, NodeServices: { Node: found.Node, Services: services as Value } };
  },
};

interface NodeDump {
  readonly Node: string;
  readonly Services: readonly ServiceRow[];
  readonly Checks: readonly CheckRow[];
}

const nodeDump: Rule = {
  after: (who, value) => {
    const reply = asArgs(value);
    const dump = (reply['Dump'] as unknown as readonly NodeDump[])
      .filter(({ Node }) => who.may('node', Node, 'read'))
      .map((node) => ({
        ...node,
        Services: node.Services.filter(({ Service }) => who.may('service', Service, 'read')),
        Checks: node.Checks.filter((check) => seesCheck(who, check)),
      }));
    return { ...reply, Dump: dump as unknown as Value };
  },
};

const meshGateways: Rule = {
  after: (who, value) => {
    const reply = asArgs(value);
    const shown: Record<string, Value> = {};
    for (const [datacenter, gateways] of Object.entries(asArgs(reply['DatacenterNodes'] ?? null))) {
      const seen = (gateways as unknown as readonly CheckServiceNode[]).filter((row) =>
        seesInstance(who, row),
      );
      if (seen.length > 0) shown[datacenter] = seen as unknown as Value;
    }
    return { ...reply, DatacenterNodes: shown };
  },
};

const services: Rule = {
  after: (who, value) => {
    const reply = asArgs(value);
    const all = reply['Services'] ?? null;
    if (all === null) return value;
    const seen = Object.entries(asArgs(all)).filter(([name]) => who.may('service', name, 'read'));
    return { ...reply, Services: Object.fromEntries(seen) };
  },
};

const register: Rule = {
  before: (who, args) => {
    need(who, 'node', text(args, 'Node'), 'write');
    const service = asArgs(args['Service'] ?? null);
    if (Object.keys(service).length > 0) need(who, 'service', text(service, 'Service'), 'write');
    const checks = [args['Check'] ?? null, ...((args['Checks'] ?? []) as readonly Value[])];
    for (const check of checks.map(asArgs))
      if (text(check, 'ServiceName') !== '') need(who, 'service', text(check, 'ServiceName'), 'write');
  },
};

const rules: Readonly<Record<string, Rule>> = {
  'Status.Ping': open,
  'Status.Leader': open,
  'Status.Peers': open,
  'Status.RaftStats': open,

  'Catalog.ListDatacenters': open,
  'Catalog.ListNodes': rowsOf<NodeRow>('Nodes', (who, { Node }) => who.may('node', Node, 'read')),
  'Catalog.ListServices': services,
  'Catalog.ServiceNodes': rowsOf<ServiceNodeRow>('ServiceNodes', (who, row) =>
    readable(who, row.Node, row.ServiceName),
  ),
  'Catalog.NodeServices': nodeServices,
  'Catalog.NodeServiceList': nodeServices,
  'Catalog.Register': register,
  // A deregistration names no service, only an id: whoever may write the node may take what is on it away.
  'Catalog.Deregister': { before: (who, args) => need(who, 'node', text(args, 'Node'), 'write') },
  'Health.ServiceNodes': rowsOf<CheckServiceNode>('Nodes', seesInstance),
  'Health.NodeChecks': rowsOf<CheckRow>('HealthChecks', seesCheck),
  'Health.ServiceChecks': rowsOf<CheckRow>('HealthChecks', seesCheck),
  'Health.ChecksInState': rowsOf<CheckRow>('HealthChecks', seesCheck),

  'FederationState.Apply': operatorWrite,
  'FederationState.Get': operatorRead,
  'FederationState.List': operatorRead,
  'FederationState.ListMeshGateways': meshGateways,

  'Internal.KeyringOperation': {
    before: (who, args) => needKeyring(who, text(args, 'Operation') === 'list' ? 'read' : 'write'),
  },
  'Internal.EventFire': { before: (who, args) => need(who, 'event', text(args, 'Name'), 'write') },
  'Internal.ServiceDump': rowsOf<CheckServiceNode>('Nodes', seesInstance),
  'Internal.NodeInfo': nodeDump,
  'Internal.NodeDump': nodeDump,

  'Operator.RaftGetConfiguration': operatorRead,
  'Operator.ServerHealth': operatorRead,

  'ConnectCA.Roots': open,
  'ConnectCA.SignIntermediate': operatorWrite,
  'ConfigEntry.Apply': { before: needEntryWrite },
  'ConfigEntry.Delete': { before: needEntryWrite },
  'ConfigEntry.Get': { before: (who, args) => needEntryRead(who, text(args, 'Kind'), text(args, 'Name')) },
  'ConfigEntry.List': { after: entriesSeen },
  'ConfigEntry.ListAll': { after: entriesSeen },
  'Intention.List': operatorRead,

  'Coordinate.ListDatacenters': open,
  'Coordinate.ListNodes': rowsOf<{ readonly Node: string }>('Coordinates', (who, { Node }) =>
    who.may('node', Node, 'read'),
  ),
  'Coordinate.Node': { before: (who, args) => need(who, 'node', text(args, 'Node'), 'read') },
  'Coordinate.Update': { before: (who, args) => need(who, 'node', text(args, 'Node'), 'write') },
};
