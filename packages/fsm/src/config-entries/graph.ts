/**
 * graph.ts: whether the entries still make sense together after one of them changes.
 *
 * A resolver may send its service's callers to another service's subset, that one further still; and the datacenters that
 * copy these entries refuse what leads nowhere or in circles, for ever. So it is refused here, where somebody can mend it.
 * Pure: the entries there are, the one that changes, and which way.
 * Lives here: rules between entries. Must not live here: rules within one (apps/server/src/config-entries).
 * Source: Consul agent/consul/state/config_entry.go (validateProposedConfigEntryInServiceGraph),
 * agent/consul/discoverychain/compile.go (getResolverNode, recordServiceProtocol; v1.10.1).
 */
import type { Value } from '@fed/msgpack';
import { FsmError } from '../errors.ts';
import type { ConfigEntry } from './entry.ts';

/** Entries of a kind; of that name, at most one. */
export type Entries = (kind: string, name?: string) => readonly ConfigEntry[];

type Fields = { readonly [key: string]: Value };

const chainKinds = ['service-router', 'service-splitter', 'service-resolver'] as const;

/** Throws FsmError `invalid`, naming the services and what to change. */
export function checkGraph(before: Entries, changed: ConfigEntry, how: 'put' | 'delete'): void {
  const graph = new Graph(after(before, changed, how));
  const services = new Set<string>();
  let intentions = graph.all('service-intentions');
  switch (changed.kind) {
    case 'proxy-defaults':
      for (const kind of chainKinds) for (const { name } of graph.all(kind)) services.add(name);
      break;
    case 'service-intentions':
      intentions = how === 'delete' ? [] : [changed];
      break;
    default:
      services.add(changed.name);
      for (const { name, value } of graph.all('service-resolver'))
        if (referred(value).some((other) => same(other, changed.name))) services.add(name);
  }
  for (const service of services) graph.checkChain(service);
  for (const entry of intentions) graph.checkIntentions(entry);
}

function after(before: Entries, changed: ConfigEntry, how: 'put' | 'delete'): Entries {
  return (kind, name) => {
    if (kind !== changed.kind || (name !== undefined && !same(name, changed.name))) return before(kind, name);
    const others = before(kind, name).filter((entry) => !same(entry.name, changed.name));
    return how === 'put' ? [...others, changed] : others;
  };
}

interface Target {
  readonly service: string;
  readonly subset: string;
  readonly datacenter: string;
}

class Graph {
  readonly #entries: Entries;

  constructor(entries: Entries) {
    this.#entries = entries;
  }

  all(kind: string): readonly ConfigEntry[] {
    return this.#entries(kind);
  }

  /** Everything a call of `service` may be sent to: there, of one protocol, and not in circles. */
  checkChain(service: string): void {
    const protocol = this.#protocolOf(service);
    const advanced = ['service-router', 'service-splitter'].some((kind) => this.#one(kind, service));
    if (advanced && !isHttpLike(protocol))
      throw refused(
        `discovery chain "${service}" uses a protocol "${protocol}" that does not permit advanced routing or splitting behavior; set Protocol of service-defaults "${service}" to http, http2 or grpc`,
      );
    this.#resolve({ service, subset: '', datacenter: '' }, service, protocol, true);
  }

  checkIntentions({ name, value }: ConfigEntry): void {
    const hasPermissions = list(value['Sources']).some((s) => list(fields(s)['Permissions']).length > 0);
    if (name === '*' || !hasPermissions) return;
    const protocol = this.#protocolOf(name);
    if (!isHttpLike(protocol))
      throw refused(
        `service "${name}" has protocol "${protocol}", which is incompatible with L7 intentions permissions; set Protocol of service-defaults "${name}" to http, http2 or grpc`,
      );
  }

  #resolve(from: Target, chain: string, protocol: string, withFailover: boolean): void {
    const path: Target[] = [];
    let target = from;
    for (;;) {
      if (path.some((passed) => sameTarget(passed, target)))
        throw refused(
          `detected circular resolver redirect: [${[...path, target].map(targetText).join(' -> ')}]; let one of these service-resolvers not redirect`,
        );
      path.push(target);
      this.#checkProtocol(target.service, chain, protocol);
      const resolver = this.#one('service-resolver', target.service)?.value ?? {};
      const redirect = fields(resolver['Redirect']);
      const next = redirected(target, redirect, text(resolver['DefaultSubset']));
      if (next !== undefined) {
        target = next;
        continue;
      }
      this.#checkEnd(target, resolver);
      if (withFailover) this.#checkFailover(target, fields(resolver['Failover']), chain, protocol);
      return;
    }
  }

  #checkEnd({ service, subset }: Target, resolver: Fields): void {
    const subsets = fields(resolver['Subsets']);
    if (subset !== '' && !Object.hasOwn(subsets, subset))
      throw refused(
        `service "${service}" does not have a subset named "${subset}"; add it to Subsets of service-resolver "${service}", or refer to one of: ${Object.keys(subsets).join(', ') || 'none yet'}`,
      );
    if (text(this.#one('service-defaults', service)?.value['ExternalSNI']) === '') return;
    for (const [key, what] of Object.entries(noneWithExternalSni))
      if (Object.keys(fields(resolver[key])).length > 0)
        throw refused(
          `service "${service}" has an external SNI set; cannot define ${what} for external services`,
        );
  }

  #checkFailover(from: Target, failover: Fields, chain: string, protocol: string): void {
    const chosen = failover[from.subset] ?? failover['*'];
    if (chosen === undefined) return;
    const to = rewritten(from, fields(chosen));
    if (!sameTarget(to, from)) this.#resolve(to, chain, protocol, false);
  }

  #checkProtocol(service: string, chain: string, wanted: string): void {
    const protocol = this.#protocolOf(service);
    if (protocol !== wanted)
      throw refused(
        `discovery chain "${chain}" uses inconsistent protocols; service "${service}" has "${protocol}" which is not "${wanted}"; set Protocol of both in service-defaults to the same`,
      );
  }

  #protocolOf(service: string): string {
    const own = text(this.#one('service-defaults', service)?.value['Protocol']);
    const general = fields(this.#one('proxy-defaults', 'global')?.value['Config'])['protocol'];
    return own || text(general) || 'tcp';
  }

  #one(kind: string, name: string): ConfigEntry | undefined {
    return this.#entries(kind, name)[0];
  }
}

const noneWithExternalSni = { Redirect: 'redirects', Subsets: 'subsets', Failover: 'failover' } as const;

/** Where a resolver sends on; undefined: it ends here. What is redirected keeps what the redirect does not name. */
function redirected(from: Target, redirect: Fields, defaultSubset: string): Target | undefined {
  const to = rewritten(from, redirect);
  if (!sameTarget(to, from)) return to;
  return from.subset === '' && defaultSubset !== '' ? { ...from, subset: defaultSubset } : undefined;
}

/** A subset belongs to its service: who moves to another one leaves it behind. */
function rewritten(from: Target, { Service, ServiceSubset, Datacenter }: Fields): Target {
  const service = text(Service) || from.service;
  const kept = same(service, from.service) ? from.subset : '';
  return { service, subset: text(ServiceSubset) || kept, datacenter: text(Datacenter) || from.datacenter };
}

/** Other services a resolver names. */
function referred(resolver: Fields): readonly string[] {
  const failovers = Object.values(fields(resolver['Failover'])).map(fields);
  return [fields(resolver['Redirect']), ...failovers]
    .map((one) => text(one['Service']))
    .filter((name) => name !== '');
}

const targetText = ({ service, subset, datacenter }: Target): string =>
  [subset, service, datacenter].filter((part) => part !== '').join('.');

const sameTarget = (a: Target, b: Target): boolean =>
  same(a.service, b.service) && a.subset === b.subset && a.datacenter === b.datacenter;

const isHttpLike = (protocol: string): boolean => ['http', 'http2', 'grpc'].includes(protocol);

const same = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();

function text(value: Value | undefined): string {
  return typeof value === 'string' ? value : '';
}

function list(value: Value | undefined): readonly Value[] {
  return Array.isArray(value) ? (value as readonly Value[]) : [];
}

function fields(value: Value | undefined): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array)
    return {};
  return value as Fields;
}

function refused(detail: string): FsmError {
  return new FsmError('invalid', detail);
}
