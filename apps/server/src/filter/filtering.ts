/**
 * filtering.ts: puts the filter behind every endpoint that lists rows, so that no endpoint knows of filters.
 *
 * What an endpoint returned is thinned out after its wait: the index stays that of the whole answer, as in the original,
 * and a filter that cannot be read is refused before the wait begins.
 * Source: the uses of bexpr in Consul agent/consul/*_endpoint.go.
 */
import type { ReadStore } from '@fed/fsm';
import {
  checkFields,
  checkServiceNodeFields,
  compileFilter,
  type Fields,
  FilterError,
  nodeDumpFields,
  nodeFields,
  type Predicate,
  serviceFields,
  serviceNodeFields,
} from '@fed/fsm/filter';
import type { Value } from '@fed/msgpack';
import { RpcApplicationError } from '@fed/rpc';
import { type Args, asArgs, text } from '../rpc/args.ts';
import type { Endpoint } from '../rpc/ask.ts';

interface Filtered {
  readonly fields: Fields;
  readonly thin: (reply: Args, keep: Predicate) => Args;
}

/** @param store read for the one answer that no longer shows the rows it was made of. */
export function filtering(
  endpoints: Readonly<Record<string, Endpoint>>,
  store: () => Pick<ReadStore, 'services' | 'serviceNodes'>,
): Readonly<Record<string, Endpoint>> {
  const out: Record<string, Endpoint> = { ...endpoints };
  for (const [method, { fields, thin }] of Object.entries(filtered(store))) {
    const endpoint = endpoints[method];
    if (endpoint === undefined) continue;
    out[method] = {
      ...endpoint,
      answer: async (args, context) => {
        const filter = text(args, 'Filter');
        if (filter === '') return endpoint.answer(args, context);
        const keep = predicate(filter, fields);
        return thin(asArgs(await endpoint.answer({ ...args, Filter: '' }, context)), keep);
      },
    };
  }
  return out;
}

/** No filter lets everything through. Throws RpcApplicationError with the original's text; so does the predicate, for a pattern that costs too much. */
export function predicate(filter: string, fields: Fields): Predicate {
  if (filter === '') return () => true;
  const keep = refusing('Failed to create boolean expression evaluator: ', () =>
    compileFilter(filter, fields),
  );
  return (row) => refusing('', () => keep(row));
}

function refusing<T>(before: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof FilterError)) throw error;
    throw new RpcApplicationError(`${before}${error.message}`, { cause: error });
  }
}

function filtered(
  store: () => Pick<ReadStore, 'services' | 'serviceNodes'>,
): Readonly<Record<string, Filtered>> {
  const list = (key: string, fields: Fields): Filtered => ({
    fields,
    thin: (reply, keep) => {
      const rows = reply[key] as readonly Value[] | null;
      return rows === null ? reply : { ...reply, [key]: rows.filter(keep) };
    },
  });
  return {
    'Catalog.ListNodes': list('Nodes', nodeFields),
    'Catalog.ListServices': {
      fields: serviceNodeFields,
      thin: (reply, keep) => {
        if (reply['Services'] === null) return reply;
        return {
          ...reply,
          Services: servicesOf(store(), Object.keys(asArgs(reply['Services'] ?? null)), keep),
        };
      },
    },
    'Catalog.ServiceNodes': list('ServiceNodes', serviceNodeFields),
    'Catalog.NodeServices': nodeServices((services, keep) =>
      Object.fromEntries(Object.entries(asArgs(services)).filter(([, row]) => keep(row))),
    ),
    'Catalog.NodeServiceList': nodeServices((services, keep) => (services as readonly Value[]).filter(keep)),
    'Health.ServiceNodes': list('Nodes', checkServiceNodeFields),
    'Health.NodeChecks': list('HealthChecks', checkFields),
    'Health.ServiceChecks': list('HealthChecks', checkFields),
    'Health.ChecksInState': list('HealthChecks', checkFields),
    'Internal.ServiceDump': list('Nodes', checkServiceNodeFields),
    'Internal.NodeDump': list('Dump', nodeDumpFields),
  };
}

function nodeServices(thinned: (services: Value, keep: Predicate) => Value): Filtered {
  return {
    fields: serviceFields,
    thin: (reply, keep) => {
      const found = reply['NodeServices'] as { readonly Node: Value; readonly Services: Value } | null;
      if (found === null) return reply;
      return { ...reply, NodeServices: { ...found, Services: thinned(found.Services, keep) } };
    },
  };
}

function servicesOf(store: Pick<ReadStore, 'serviceNodes'>, names: readonly string[], keep: Predicate): Args {
  const found: Record<string, readonly string[]> = {};
  for (const name of names) {
    const rows = store.serviceNodes(name).rows.filter(keep);
    if (rows.length > 0) found[name] = [...new Set(rows.flatMap((row) => row.ServiceTags ?? []))];
  }
  return found;
}
