/**
 * bootstrap.ts: the file Envoy starts from: who it is, where its configuration comes from, how its numbers are labelled.
 *
 * Everything else arrives over ADS. Zero fetch timeouts for clusters and listeners mean: rather no gateway yet than
 * half of one. The token is in this document; treat it as a secret.
 * Lives here: the document. Must not live here: files, processes, the resolving of addresses.
 * Sources: Consul command/connect/envoy/bootstrap_tpl.go, bootstrap_config.go; envoy/config/bootstrap/v3.
 */
import type { XdsAddress, XdsAddressTls } from './bootstrap-address.ts';
import type { HostPort } from './ports.ts';
import { type StatsLabels, statsTags } from './stats-tags.ts';
import type { Json, JsonObject } from './wire/json.ts';

export { parseXdsAddress, type XdsAddress, XdsAddressError } from './bootstrap-address.ts';

export interface BootstrapOptions {
  /** Service id and service name of the gateway. */
  readonly nodeId: string;
  readonly cluster: string;
  /** The catalog node it is registered on. Absent: the xDS server's own. */
  readonly nodeName?: string;
  readonly datacenter?: string;
  readonly xds: XdsAddress;
  /** Further servers that know this gateway, at IP addresses, spoken to like the first; Envoy takes the next when one is gone. */
  readonly xdsOthers?: readonly HostPort[];
  readonly token: string;
  /** Where Envoy's admin port listens: an IP address. Default 127.0.0.1:19000. */
  readonly admin?: HostPort;
  /** Default: the null device. */
  readonly adminAccessLogPath?: string;
  /** The gateway's proxy configuration: `envoy_stats_tags`, `envoy_extra_static_clusters_json` and so on. */
  readonly config?: { readonly [key: string]: unknown } | null;
}

export class BootstrapError extends Error {
  override readonly name = 'BootstrapError';
  readonly code = 'bad_config';
}

/** Where Debian, Ubuntu and Alpine keep the authorities they trust. */
const systemAuthorities = '/etc/ssl/certs/ca-certificates.crt';
const localAgent = 'local_agent';
const adsSource = { ads: {}, initial_fetch_timeout: '0s', resource_api_version: 'V3' };
/** Regular expressions of statistics are longer than Envoy's default program size allows. */
const regexProgramSizeMax = 1_048_576;

/** Snake-case JSON as Envoy reads it. Throws BootstrapError naming the key it cannot use. */
export function bootstrapOf(o: BootstrapOptions): JsonObject {
  const labels: StatsLabels = {
    cluster: o.cluster,
    ...(o.datacenter !== undefined ? { datacenter: o.datacenter } : {}),
  };
  const extraClusters = fragments(o, 'envoy_extra_static_clusters_json');
  const extraListeners = fragments(o, 'envoy_extra_static_listeners_json');
  const sinks = fragments(o, 'envoy_extra_stats_sinks_json');
  const flush = o.config?.['envoy_stats_flush_interval'];
  return {
    admin: {
      access_log: [accessLog(o.adminAccessLogPath ?? '/dev/null')],
      address: socket(o.admin ?? { host: '127.0.0.1', port: 19_000 }),
    },
    node: {
      cluster: o.cluster,
      id: o.nodeId,
      metadata: {
        ...(o.nodeName !== undefined ? { node_name: o.nodeName } : {}),
        namespace: 'default',
        partition: 'default',
      },
    },
    layered_runtime: {
      layers: [{ name: 'base', static_layer: { 're2.max_program_size.error_level': regexProgramSizeMax } }],
    },
    static_resources: {
      clusters: [agentCluster(o.xds, o.xdsOthers ?? []), ...extraClusters],
      ...(extraListeners.length > 0 ? { listeners: extraListeners } : {}),
    },
    ...(sinks.length > 0 ? { stats_sinks: sinks } : {}),
    ...(typeof flush === 'string' && flush !== '' ? { stats_flush_interval: flush } : {}),
    stats_config: { stats_tags: statsTags(labels, ownTags(o)), use_all_default_tags: true },
    dynamic_resources: {
      lds_config: adsSource,
      cds_config: adsSource,
      ads_config: {
        api_type: 'DELTA_GRPC',
        transport_api_version: 'V3',
        grpc_services: [
          {
            initial_metadata: [{ key: 'x-consul-token', value: o.token }],
            envoy_grpc: { cluster_name: localAgent },
          },
        ],
      },
    },
  };
}

function agentCluster(xds: XdsAddress, others: readonly HostPort[]): JsonObject {
  const http2 = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
  const address = xds.kind === 'unix' ? { pipe: { path: xds.path } } : socket(xds);
  const secure = xds.kind === 'tcp' ? xds.tls : undefined;
  return {
    name: localAgent,
    ignore_health_on_host_removal: false,
    connect_timeout: '1s',
    type: 'STATIC',
    typed_extension_protocol_options: {
      [http2]: {
        explicit_http_config: { http2_protocol_options: {} },
        '@type': `type.googleapis.com/${http2}`,
      },
    },
    load_assignment: {
      cluster_name: localAgent,
      endpoints: [
        {
          lb_endpoints: [address, ...others.map(socket)].map((one) => ({ endpoint: { address: one } })),
        },
      ],
    },
    ...(secure !== undefined ? { transport_socket: tls(secure) } : {}),
  };
}

function tls({ ca, serverName }: XdsAddressTls): JsonObject {
  const exact = serverName === undefined ? undefined : { exact: serverName };
  const trusted_ca = ca === undefined ? { filename: systemAuthorities } : { inline_string: ca };
  return {
    name: 'tls',
    typed_config: {
      ...(serverName === undefined ? {} : { sni: serverName }),
      common_tls_context: {
        validation_context: {
          trusted_ca,
          ...(exact === undefined
            ? {}
            : { match_typed_subject_alt_names: [{ san_type: 'DNS', matcher: exact }] }),
        },
      },
      '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
    },
  };
}

function accessLog(path: string): JsonObject {
  return {
    name: 'envoy.access_loggers.file',
    typed_config: {
      path,
      '@type': 'type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog',
    },
  };
}

function socket({ host, port }: HostPort): JsonObject {
  return { socket_address: { address: host, port_value: port } };
}

/** A list of JSON objects written without brackets, as operators paste them, or with. */
function fragments(o: BootstrapOptions, key: string): readonly Json[] {
  const text = o.config?.[key];
  if (typeof text !== 'string' || text.trim() === '') return [];
  try {
    const parsed = JSON.parse(text.trim().startsWith('[') ? text : `[${text}]`) as Json;
    if (Array.isArray(parsed)) return parsed as readonly Json[];
  } catch (cause) {
    throw new BootstrapError(`proxy config key ${key} is no JSON: ${(cause as Error).message}`, { cause });
  }
  throw new BootstrapError(`proxy config key ${key} must hold JSON objects, separated by commas`);
}

/** `envoy_stats_tags`: "name=value", or "name" for 1. */
function ownTags(o: BootstrapOptions): readonly (readonly [string, string])[] {
  const tags = o.config?.['envoy_stats_tags'];
  if (!Array.isArray(tags)) return [];
  return tags
    .filter((t) => typeof t === 'string')
    .map((tag: string): readonly [string, string] => {
      const at = tag.indexOf('=');
      return at < 0 ? [tag, '1'] : [tag.slice(0, at), tag.slice(at + 1)];
    });
}
