/**
 * listeners.ts: binds and routes as Envoy listeners.
 *
 * TLS is never terminated: the inspector reads the name asked for, a filter chain is chosen by it, and bytes are
 * passed on. Chains of a datacenter or server that did not change must stay byte for byte the same, because Envoy
 * keeps the connections of equal chains and cuts the others; so nothing volatile may ever enter this file (I6).
 * Lives here: Listener. Must not live here: the choice of names and their order (ir.ts).
 * Source: Consul agent/xds/listeners.go (makeMeshGatewayListener, makeSNIFilterChain); envoy/config/listener/v3.
 */
import { createHash } from 'node:crypto';
import protobuf from 'protobufjs/light.js';
import { encode } from '../wire/codec.ts';
import { fromJson, type JsonObject, typeUrlPrefix } from '../wire/json.ts';
import type { Bind } from './binds.ts';
import { order } from './instances.ts';
import type { GatewayIr, Route } from './ir.ts';
import type { Profile } from './profile.ts';
import { Resource } from './resource.ts';

const tlsInspector = {
  name: 'envoy.filters.listener.tls_inspector',
  typedConfig: { '@type': `${typeUrlPrefix}envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector` },
};
/** In front of the inspector. The agent's check, and servers that come without a balancer, have no such header. */
const proxyProtocol = {
  name: 'envoy.filters.listener.proxy_protocol',
  typedConfig: {
    '@type': `${typeUrlPrefix}envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol`,
    allowRequestsWithoutProxyProtocol: true,
  },
};
const sniCluster = {
  name: 'envoy.filters.network.sni_cluster',
  typedConfig: { '@type': `${typeUrlPrefix}envoy.extensions.filters.network.sni_cluster.v3.SniCluster` },
};
const tcpProxyType = `${typeUrlPrefix}envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy`;
/** How long a client may take for its TLS hello. A real one comes at once; a port scan holds a socket. */
const helloTimeout = '10s';
const connectAttemptsMax = 3;

const listenerType = 'envoy.config.listener.v3.Listener';
const chainType = 'envoy.config.listener.v3.FilterChain';
/** The key of Listener.filter_chains, the field between what `head` and what `tail` write. */
const chainTag = (3 << 3) | 2;

/** The filter chains of a listener, encoded. Gateways with the same routes share them. */
export interface Chains {
  readonly bytes: Uint8Array;
  /** SHA-256 of `bytes`, hex. */
  readonly hash: string;
}

/** What was made under this key before, or else is made now. */
type Kept<T> = (key: string, make: () => T) => T;

/** For the bind of this name: statistics count by it. */
export function chainsOf(
  { routes, profile }: Pick<GatewayIr, 'routes' | 'profile'>,
  bindName: string,
  kept: Kept<Uint8Array> = (_key, make) => make(),
): Chains {
  const writer = protobuf.Writer.create();
  for (const route of routes) {
    const json = filterChain(profile, bindName, route);
    const chain = kept(JSON.stringify(json), () => encode(chainType, fromJson(chainType, json)));
    writer.uint32(chainTag).bytes(chain);
  }
  const bytes = writer.finish();
  return { bytes, hash: createHash('sha256').update(bytes).digest('hex') };
}

/** Sorted by name. */
export function listenersOf(
  ir: GatewayIr,
  chains: (bindName: string) => Chains = (bindName) => chainsOf(ir, bindName),
  kept: Kept<Resource> = (_key, make) => make(),
): readonly Resource[] {
  return ir.binds
    .map((bind) => ({ bind, name: `${bind.name}:${bind.host}:${bind.port}` })) // a changed address is a new listener
    .toSorted((a, b) => order(a.name, b.name))
    .map(({ bind, name }) => {
      const { bytes, hash } = chains(bind.name);
      const [before, after] = [head(bind, name), tail(ir)];
      return kept(`Listener ${JSON.stringify([before, after])} ${hash}`, () => {
        const parts = [encoded(before), bytes, encoded(after)];
        return new Resource('Listener', name, Buffer.concat(parts));
      });
    });
}

/** Fields before the chains, by number. */
function head(bind: Bind, name: string): JsonObject {
  return { name, address: { socketAddress: { address: bind.host, portValue: bind.port } } };
}

/** Fields behind them. */
function tail(ir: GatewayIr): JsonObject {
  return {
    listenerFilters: ir.options.proxyProtocol ? [proxyProtocol, tlsInspector] : [tlsInspector],
    ...(ir.profile.namedChains ? { listenerFiltersTimeout: helloTimeout } : {}),
  };
}

function encoded(json: JsonObject): Uint8Array {
  return encode(listenerType, fromJson(listenerType, json));
}

function filterChain(profile: Profile, bindName: string, route: Route): JsonObject {
  const [first] = route.names;
  const tcpProxy = {
    name: 'envoy.filters.network.tcp_proxy',
    typedConfig: {
      '@type': tcpProxyType,
      statPrefix: statPrefix(bindName, route),
      cluster: route.to.kind === 'destination' ? route.to.name : '', // '' too must be on the wire
      ...(profile.connectRetry ? { maxConnectAttempts: connectAttemptsMax } : {}),
    },
  };
  return {
    ...(first !== undefined ? { filterChainMatch: { serverNames: route.names } } : {}),
    filters: route.to.kind === 'destination' ? [tcpProxy] : [sniCluster, tcpProxy],
    ...(profile.namedChains && first !== undefined ? { name: first } : {}),
  };
}

function statPrefix(bindName: string, route: Route): string {
  const name = bindName.replaceAll(':', '_');
  switch (route.counts.as) {
    case 'remote':
      return `mesh_gateway_remote.${name}.${route.counts.datacenter}`;
    case 'localServer':
      return `mesh_gateway_local_server.${name}.${route.counts.datacenter}`;
    case 'local':
      return `mesh_gateway_local.${name}`;
  }
}
