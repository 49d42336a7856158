/**
 * acceptance.ts: Envoy resources as the embedded relay understands them, or the reason why it cannot.
 *
 * I9. Better refused than half understood: whatever would change where bytes go or who may send them, and is not
 * implemented, is named back to the server with its field. What only Envoy's statistics or logs would notice is let pass.
 * Lives here: one resource at a time. Must not live here: which resources belong together (subscriber.ts).
 * Sources: envoy/config/{cluster,endpoint,listener}/v3, tcp_proxy.proto; Envoy's defaults where a field is absent.
 */
import type { Json, JsonObject } from '../wire/json.ts';
import { isLiteral } from './instances.ts';
import type {
  Refusal,
  RelayChain,
  RelayCluster,
  RelayEndpoint,
  RelayKeepalive,
  RelayListener,
} from './relay-config.ts';

/** Envoy's own values for absent fields. */
const connectTimeoutMsDefault = 5_000;
const helloTimeoutMsDefault = 15_000;
const idleTimeoutMsDefault = 3_600_000;
const connectionsMaxDefault = 1_024;
const panicPercentDefault = 50;
const ejectionPercentDefault = 10;
const dnsRefreshMsDefault = 5_000;

export class RefusedError extends Error {
  override readonly name = 'RefusedError';
  readonly code = 'refused';
  readonly refusal: Refusal;
  constructor(refusal: Refusal) {
    super(`${refusal.resource}: ${refusal.field}: ${refusal.reason}`);
    this.refusal = refusal;
  }
}

/** A cluster and, for EDS, under which name its endpoints come. */
export interface AcceptedCluster {
  readonly cluster: RelayCluster;
  readonly edsName?: string;
}

export function acceptCluster(name: string, json: Json): AcceptedCluster {
  const at = new Place(name, json);
  at.absent('transport_socket', 'TLS is not terminated or originated here');
  at.absent('cluster_type', 'only EDS, STATIC, STRICT_DNS and LOGICAL_DNS clusters are supported');
  const type = at.text('type', 'STATIC');
  if (type !== 'EDS' && type !== 'STATIC' && type !== 'STRICT_DNS' && type !== 'LOGICAL_DNS')
    at.refuse('type', `${type} is not supported`);
  if (name === 'sni') at.refuse('name', 'is reserved');
  const policy = at.text('lb_policy', 'ROUND_ROBIN');
  if (policy === 'RING_HASH' || policy === 'MAGLEV')
    at.refuse('lb_policy', `${policy} needs something to hash`);
  const discovery = type as RelayCluster['discovery'];
  const family = at.text('dns_lookup_family', 'AUTO');
  const keepalive = keepaliveOf(at.inner('upstream_connection_options').inner('tcp_keepalive'));
  const thresholds = at.inner('circuit_breakers').list('thresholds');
  const budget = thresholds.find((t) => t.text('priority', 'DEFAULT') === 'DEFAULT');
  const outliers = at.inner('outlier_detection');
  const panic = at.inner('common_lb_config').inner('healthy_panic_threshold');
  const cluster: RelayCluster = {
    connectTimeoutMs: at.ms('connect_timeout', connectTimeoutMsDefault),
    discovery,
    endpoints: discovery === 'EDS' ? [] : endpointsIn(at.inner('load_assignment'), discovery !== 'STATIC'),
    dnsFamily: family === 'V4_ONLY' ? 4 : family === 'V6_ONLY' ? 6 : 0,
    dnsRefreshMs: at.ms('dns_refresh_rate', dnsRefreshMsDefault),
    maxConnections: budget?.number('max_connections', connectionsMaxDefault) ?? connectionsMaxDefault,
    panicPercent: panic.exists ? panic.number('value', 0) : panicPercentDefault,
    ...(outliers.exists
      ? { ejectionPercentMax: outliers.number('max_ejection_percent', ejectionPercentDefault) }
      : {}),
    ...(keepalive !== undefined ? { keepalive } : {}),
  };
  if (discovery !== 'EDS') return { cluster };
  const eds = at.inner('eds_cluster_config');
  if (!eds.inner('eds_config').inner('ads').exists)
    eds.refuse('eds_config', 'endpoints must come over the same stream (ads)');
  return { cluster, edsName: eds.text('service_name', '') || name };
}

export function acceptAssignment(name: string, json: Json): readonly RelayEndpoint[] {
  return endpointsIn(new Place(name, json), false);
}

function endpointsIn(assignment: Place, hostNames: boolean): readonly RelayEndpoint[] {
  return assignment.list('endpoints').flatMap((locality) => {
    const priority = locality.number('priority', 0);
    return locality.list('lb_endpoints').map((at): RelayEndpoint => {
      const socket = at.inner('endpoint').inner('address').inner('socket_address');
      if (!socket.exists) at.refuse('endpoint.address', 'only socket addresses are supported');
      const host = socket.text('address', '');
      if (host === '') socket.refuse('address', 'is empty');
      if (!hostNames && !isLiteral(host)) socket.refuse('address', `${host} is no IP address`);
      const port = socket.number('port_value', 0);
      if (port < 1 || port > 65_535) socket.refuse('port_value', `${port} is no port`);
      const health = at.text('health_status', 'UNKNOWN');
      const healthy = health === 'UNKNOWN' || health === 'HEALTHY' || health === 'DEGRADED';
      return { host, port, weight: Math.max(1, at.number('load_balancing_weight', 1)), healthy, priority };
    });
  });
}

function keepaliveOf(at: Place): RelayKeepalive | undefined {
  if (!at.exists) return undefined;
  const [timeSec, intervalSec, probes] = (
    ['keepalive_time', 'keepalive_interval', 'keepalive_probes'] as const
  ).map((key) => at.number(key, 0));
  return {
    ...(timeSec ? { timeSec } : {}),
    ...(intervalSec ? { intervalSec } : {}),
    ...(probes ? { probes } : {}),
  };
}

export function acceptListener(name: string, json: Json): RelayListener {
  const at = new Place(name, json);
  at.absent('default_filter_chain', 'use a chain without a match');
  const proxyProtocol = proxyProtocolOf(at.list('listener_filters'));
  const socket = at.inner('address').inner('socket_address');
  const host = socket.text('address', '');
  if (!isLiteral(host)) socket.refuse('address', `${host || '(nothing)'} is no IP address`);
  if (socket.text('protocol', 'TCP') !== 'TCP') socket.refuse('protocol', 'only TCP is supported');
  const taken = new Set<string>();
  const chains = at.list('filter_chains').map((chain) => chainOf(chain, taken));
  return {
    name,
    bind: { host, port: socket.number('port_value', 0) },
    ...(proxyProtocol !== undefined ? { proxyProtocol } : {}),
    helloTimeoutMs: at.ms('listener_filters_timeout', helloTimeoutMsDefault),
    chains,
  };
}

/** The TLS inspector may stand alone, or behind one that reads PROXY protocol headers. */
function proxyProtocolOf(filters: readonly Place[]): RelayListener['proxyProtocol'] {
  let found: RelayListener['proxyProtocol'];
  for (const [i, filter] of filters.entries()) {
    if (isFilter(filter, 'envoy.filters.listener.tls_inspector', 'tls_inspector.v3.TlsInspector')) continue;
    if (
      i > 0 ||
      !isFilter(filter, 'envoy.filters.listener.proxy_protocol', 'proxy_protocol.v3.ProxyProtocol')
    )
      filter.refuse('typed_config', `listener filter ${filter.text('name', '')} is not supported`);
    const config = filter.inner('typed_config');
    found = config.flag('allow_requests_without_proxy_protocol') ? 'optional' : 'required';
  }
  return found;
}

/** Which filter it is, its type says; Consul before 1.11 leaves that out where there is nothing to configure, as Envoy allows. */
function isFilter(filter: Place, name: string, type: string): boolean {
  return filter.inner('typed_config').exists
    ? filter.typed('typed_config').endsWith(type)
    : filter.text('name', '') === name;
}

/** `taken`: names that earlier chains match. Two chains for one name make a listener invalid, in Envoy too. */
function chainOf(at: Place, taken: Set<string>): RelayChain {
  at.absent('transport_socket', 'TLS is not terminated here');
  const match = at.inner('filter_chain_match');
  for (const key of ['destination_port', 'transport_protocol', 'application_protocols'])
    match.absent(key, 'only server names are matched');
  const serverNames = match.texts('server_names').map((n) => n.toLowerCase());
  for (const name of serverNames.length === 0 ? [''] : serverNames) {
    if (name.replace(/^\*\./, '').includes('*'))
      match.refuse('server_names', `${name}: only a whole first label may be *`);
    if (taken.has(name))
      match.refuse('server_names', `${name || 'the chain without a match'} is there twice`);
    taken.add(name);
  }
  const filters = at.list('filters');
  const [first] = filters;
  const bySni =
    filters.length === 2 &&
    first !== undefined &&
    isFilter(first, 'envoy.filters.network.sni_cluster', 'sni_cluster.v3.SniCluster');
  const proxy = filters.at(-1);
  if (proxy === undefined || filters.length > (bySni ? 2 : 1))
    return at.refuse('filters', 'must be tcp_proxy, or sni_cluster and tcp_proxy');
  const config = proxy.inner('typed_config');
  if (!proxy.typed('typed_config').endsWith('tcp_proxy.v3.TcpProxy'))
    proxy.refuse('typed_config', `filter ${proxy.text('name', '')} is not supported`);
  config.absent('weighted_clusters', 'name one cluster');
  config.absent('max_downstream_connection_duration', 'connections are not limited in time here');
  const cluster = config.text('cluster', '');
  if (bySni !== (cluster === ''))
    config.refuse(
      'cluster',
      bySni ? 'must be empty behind sni_cluster' : 'must be a name, or follow sni_cluster',
    );
  return {
    serverNames,
    cluster: bySni ? 'sni' : cluster,
    statPrefix: config.text('stat_prefix', ''),
    connectAttemptsMax: Math.max(1, config.number('max_connect_attempts', 1)),
    idleTimeoutMs: config.ms('idle_timeout', idleTimeoutMsDefault),
  };
}

/** A spot in a resource's canonical JSON that knows its own path, spelt as in the .proto files. */
class Place {
  readonly #resource: string;
  readonly #json: Json | undefined;
  readonly #path: string;

  constructor(resource: string, json: Json | undefined, path = '') {
    this.#resource = resource;
    this.#json = json;
    this.#path = path;
  }

  get exists(): boolean {
    return this.#json !== undefined && this.#json !== null;
  }

  inner(field: string): Place {
    return new Place(this.#resource, this.#get(field), this.#join(field));
  }

  list(field: string): readonly Place[] {
    const items = this.#get(field) ?? [];
    return (items as readonly Json[]).map(
      (json, i) => new Place(this.#resource, json, `${this.#join(field)}[${i}]`),
    );
  }

  text(field: string, fallback: string): string {
    const value = this.#get(field);
    return typeof value === 'string' ? value : fallback;
  }

  texts(field: string): readonly string[] {
    return (this.#get(field) ?? []) as readonly string[];
  }

  flag(field: string): boolean {
    return this.#get(field) === true;
  }

  number(field: string, fallback: number): number {
    const value = this.#get(field);
    return typeof value === 'number' ? value : fallback;
  }

  /** A duration in whole milliseconds. */
  ms(field: string, fallback: number): number {
    const value = this.text(field, '');
    return value === '' ? fallback : Math.round(Number(value.slice(0, -1)) * 1_000);
  }

  /** The type of an Any. */
  typed(field: string): string {
    return this.inner(field).text('@type', '');
  }

  absent(field: string, reason: string): void {
    const value = this.#get(field);
    if (value !== undefined && value !== null) this.refuse(field, reason);
  }

  refuse(field: string, reason: string): never {
    throw new RefusedError({ resource: this.#resource, field: this.#join(field), reason });
  }

  #get(field: string): Json | undefined {
    const key = field.replace(/_([a-z0-9])/g, (_, c: string) => c.toUpperCase());
    const json = this.#json;
    return typeof json === 'object' && json !== null && Object.hasOwn(json, key)
      ? (json as JsonObject)[key]
      : undefined;
  }

  #join(field: string): string {
    return this.#path === '' ? field : `${this.#path}.${field}`;
  }
}
