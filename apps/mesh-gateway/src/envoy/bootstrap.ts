/**
 * bootstrap.ts: our flags and what the agent said, as the document Envoy starts from.
 *
 * Envoy takes IP addresses only where it is told of the xDS server, so names are looked up here, once.
 * Lives here: that translation. Must not live here: the document (@fed/xds), files.
 * Source: Consul command/connect/envoy (generateConfig).
 */
import { isIP } from 'node:net';
import type { HostPort } from '@fed/alpn-mux';
import { bootstrapOf, parseXdsAddress, type XdsAddress } from '@fed/xds';
import type { GatewayConfig } from '../config.ts';
import type { Assignment } from '../data-plane.ts';
import type { Resolve } from '../relay/ports.ts';
import { EnvoyError } from './binary.ts';

/** Pretty-printed JSON with a newline at its end. It holds the token. Throws an EnvoyError or a BootstrapError. */
export async function bootstrapText(c: GatewayConfig, a: Assignment, resolve: Resolve): Promise<string> {
  const document = bootstrapOf({
    nodeId: c.id,
    cluster: c.service,
    xds: await reachable(a, resolve),
    xdsOthers: await Promise.all((a.others ?? []).map((target) => hostPortOf(target, resolve))),
    token: c.token ?? '',
    admin: { host: await addressOf(c.adminBind.host, resolve), port: c.adminBind.port },
    ...(c.nodeName !== undefined && { nodeName: c.nodeName }),
    ...(a.datacenter !== undefined && { datacenter: a.datacenter }),
    ...(a.proxyConfig !== undefined && { config: a.proxyConfig }),
  });
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

async function reachable({ target, tls }: Assignment, resolve: Resolve): Promise<XdsAddress> {
  const { address } = parseXdsAddress(target);
  if (address.kind === 'unix') return address;
  return { ...address, host: await addressOf(address.host, resolve), ...(tls !== undefined && { tls }) };
}

async function hostPortOf(target: string, resolve: Resolve): Promise<HostPort> {
  const { address } = parseXdsAddress(target);
  if (address.kind === 'unix')
    throw new EnvoyError('xds_address_unknown', `${target} cannot stand beside other xDS servers`);
  return { host: await addressOf(address.host, resolve), port: address.port };
}

async function addressOf(host: string, resolve: Resolve): Promise<string> {
  if (isIP(host) !== 0) return host;
  try {
    const [first] = await resolve(host, 0);
    if (first !== undefined) return first;
  } catch (cause) {
    const why = (cause as Error).message;
    throw new EnvoyError('xds_address_unknown', `Envoy needs an IP address for ${host}: ${why}`, { cause });
  }
  throw new EnvoyError('xds_address_unknown', `Envoy needs an IP address for ${host}, which has none`);
}
