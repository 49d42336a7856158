/**
 * listeners.ts: binds and routes as Envoy listeners.
 *
 * TLS is never terminated: the inspector reads the name asked for, a filter chain is chosen by it, and bytes are
 * passed on. Chains of a datacenter or server that did not change must stay byte for byte the same, because Envoy
 * keeps the connections of equal chains and cuts the others; so nothing volatile may ever enter this file (I6).
 * Lives here: Listener. Must not live here: the choice of names and their order (ir.ts).
 * Source: Consul agent/xds/listeners.go (makeMeshGatewayListener, makeSNIFilterChain); envoy/config/listener/v3.
 */
import type { JsonObject } from '../wire/json.ts';
import { typeUrlPrefix } from '../wire/json.ts';
import type { Bind } from './binds.ts';
import { order } from './instances.ts';
import type { GatewayIr, Route } from './ir.ts';
import { type Resource, resourceOf } from './resource.ts';
import type { MakeResource } from './shelf.ts';

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

/** Sorted by name. */
export function listenersOf(ir: GatewayIr, make: MakeResource = resourceOf): readonly Resource[] {
  return ir.binds
    .map((bind) => ({ bind, name: `${bind.name}:${bind.host}:${bind.port}` })) // a changed address is a new listener
    .toSorted((a, b) => order(a.name, b.name))
    .map(({ bind, name }) => make('Listener', name, listener(ir, bind, name)));
}

function listener(ir: GatewayIr, bind: Bind, name: string): JsonObject {
  return {
    name,
    address: { socketAddress: { address: bind.host, portValue: bind.port } },
    listenerFilters: ir.options.proxyProtocol ? [proxyProtocol, tlsInspector] : [tlsInspector],
    filterChains: ir.routes.map((route) => filterChain(ir, bind, route)),
    ...(ir.profile.namedChains ? { listenerFiltersTimeout: helloTimeout } : {}),
  };
}

function filterChain(ir: GatewayIr, bind: Bind, route: Route): JsonObject {
  const [first] = route.names;
  const tcpProxy = {
    name: 'envoy.filters.network.tcp_proxy',
    typedConfig: {
      '@type': tcpProxyType,
      statPrefix: statPrefix(bind, route),
      cluster: route.to.kind === 'destination' ? route.to.name : '', // '' too must be on the wire
      ...(ir.profile.connectRetry ? { maxConnectAttempts: connectAttemptsMax } : {}),
    },
  };
  return {
    ...(first !== undefined ? { filterChainMatch: { serverNames: route.names } } : {}),
    filters: route.to.kind === 'destination' ? [tcpProxy] : [sniCluster, tcpProxy],
    ...(ir.profile.namedChains && first !== undefined ? { name: first } : {}),
  };
}

function statPrefix(bind: Bind, route: Route): string {
  const name = bind.name.replaceAll(':', '_');
  switch (route.counts.as) {
    case 'remote':
      return `mesh_gateway_remote.${name}.${route.counts.datacenter}`;
    case 'localServer':
      return `mesh_gateway_local_server.${name}.${route.counts.datacenter}`;
    case 'local':
      return `mesh_gateway_local.${name}`;
  }
}
