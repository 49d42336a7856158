/**
 * endpoints.ts: Catalog.Register and Catalog.Deregister: writes about any node, not only our own.
 *
 * What the state machine would refuse in its own words is refused here in the original's, before it reaches the log.
 * Source: Consul agent/consul/catalog_endpoint.go (nodePreApply, servicePreApply, checkPreApply, vetDeregister).
 */
import { type Fsm, newDeregisterRequest, newRegisterRequest, RowError } from '@fed/fsm';
import type { Value } from '@fed/msgpack';
import { RpcApplicationError } from '@fed/rpc';
import { RegistrationError } from '../agent/decode.ts';
import { checkName, checkServiceMeta } from '../agent/names.ts';
import { type Args, asArgs, stringMap, text } from '../rpc/args.ts';
import type { Endpoint } from '../rpc/ask.ts';

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export function catalogWriteEndpoints(o: {
  readonly datacenter: string;
  readonly fsm: Pick<Fsm, 'apply'>;
}): Readonly<Record<string, Endpoint>> {
  return {
    'Catalog.Register': {
      belongs: 'datacenter',
      answer: async (args) => {
        await o.fsm.apply({ type: 'register', request: vetted(() => registration(args, o.datacenter)) });
        return null;
      },
    },
    'Catalog.Deregister': {
      belongs: 'datacenter',
      answer: async (args) => {
        if (text(args, 'Node') === '') throw new RpcApplicationError('Must provide node');
        const request = vetted(() =>
          newDeregisterRequest({
            Datacenter: o.datacenter,
            Node: text(args, 'Node'),
            ServiceID: text(args, 'ServiceID'),
            CheckID: text(args, 'CheckID'),
          }),
        );
        await o.fsm.apply({ type: 'deregister', request });
        return null;
      },
    },
  };
}

function registration(args: Args, datacenter: string) {
  const Node = text(args, 'Node');
  if (Node === '') refuse('Must provide node');
  if (text(args, 'Address') === '' && args['SkipNodeUpdate'] !== true)
    refuse('Must provide address if SkipNodeUpdate is not set');
  const id = text(args, 'ID');
  if (id !== '' && !uuid.test(id)) refuse(`Bad node ID: uuid string is wrong: ${JSON.stringify(id)}`);
  checkName('node name', Node);
  checkServiceMeta(withoutReserved(stringMap(args, 'NodeMeta')), '');
  const one = args['Check'] ?? null;
  const all = [...(one === null ? [] : [one]), ...((args['Checks'] ?? []) as readonly Value[])];
  // The token was for us to look at; it has no place in the log.
  return newRegisterRequest({
    ...args,
    Datacenter: datacenter,
    Service: service(args['Service'] ?? null),
    Check: null,
    Checks: all.map((check) => checkOf(asArgs(check), Node)),
    Token: '',
  });
}

function service(given: Value): Value {
  const row = asArgs(given);
  if (Object.keys(row).length === 0) return null;
  const name = text(row, 'Service');
  const id = text(row, 'ID') || name;
  if (name === '') refuse('Must provide service name (Service.Service) when service ID is provided');
  if (['0.0.0.0', '::', '[::]'].includes(text(row, 'Address'))) refuse('Invalid service address');
  checkName('service name', name);
  checkName('service ID', id);
  checkServiceMeta(stringMap(row, 'Meta'), text(row, 'Kind'));
  return { ...row, ID: id };
}

function checkOf(row: Args, node: string): Value {
  const id = text(row, 'CheckID') || text(row, 'Name');
  if (id === '') refuse('Must provide CheckID or Name of a check');
  checkName('check ID', id);
  return { ...row, CheckID: id, Node: text(row, 'Node') || node };
}

/** The original's own agents write such keys about their nodes. */
function withoutReserved(meta: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(meta).filter(([key]) => !key.startsWith('consul-')));
}

function refuse(why: string): never {
  throw new RpcApplicationError(why);
}

function vetted<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof RegistrationError || error instanceof RowError)
      throw new RpcApplicationError(error.message, { cause: error });
    throw error;
  }
}
