/**
 * registration.ts: what the gateway tells the agent about itself.
 *
 * The addresses advertised may not be addresses of this machine (NAT, a load balancer). Where the gateway listens is
 * then said apart, in the proxy's configuration, and comes back as listeners over xDS.
 * Lives here: the body, pure. Must not live here: sending it (agent.ts), reading interfaces (world.ts).
 * Source: Consul command/connect/envoy/envoy.go (proxyRegistration), api/agent.go.
 */
import type { HostPort } from '@fed/alpn-mux';
import { renderHostPort } from '@fed/alpn-mux';
import type { Instance } from './agent.ts';
import { defaultPort, type GatewayConfig, UsageError } from './config.ts';

interface Address {
  readonly Address: string;
  readonly Port: number;
}

/** JSON of PUT /v1/agent/service/register. */
export interface RegistrationBody {
  readonly Kind: 'mesh-gateway';
  readonly ID: string;
  readonly Name: string;
  readonly Address?: string;
  readonly Port: number;
  readonly TaggedAddresses: Readonly<Record<string, Address>>;
  readonly Meta?: Readonly<Record<string, string>>;
  readonly Check: {
    readonly Name: string;
    readonly TCP: string;
    readonly Interval: string;
    readonly DeregisterCriticalServiceAfter: string;
  };
  readonly Proxy?: { readonly Config: Readonly<Record<string, unknown>> };
}

type Described = Pick<
  GatewayConfig,
  | 'id'
  | 'service'
  | 'exposeServers'
  | 'address'
  | 'wanAddress'
  | 'bindAddresses'
  | 'proxyProtocol'
  | 'deregisterAfterCritical'
>;

/** `hostAddresses`: the interface addresses of this machine. Throws a UsageError if the gateway could listen nowhere. */
export function registrationBody(c: Described, hostAddresses: ReadonlySet<string>): RegistrationBody {
  const { address: lan, wanAddress: wan } = c;
  const port = lan?.port ?? defaultPort;
  // The binding is the original's, the other key ours.
  const binding = bindingConfig(c, hostAddresses);
  const proxy = c.proxyProtocol ? { ...binding, envoy_gateway_proxy_protocol: true } : binding;
  const tagged = (a: HostPort): Address => ({ Address: a.host, Port: a.port });
  return {
    Kind: 'mesh-gateway',
    ID: c.id,
    Name: c.service,
    ...(lan && { Address: lan.host }),
    Port: port,
    TaggedAddresses: { ...(lan && { lan: tagged(lan) }), ...(wan && { wan: tagged(wan) }) },
    // The mark by which servers, here and in other datacenters, know a gateway that carries their traffic.
    ...(c.exposeServers && { Meta: { 'consul-wan-federation': '1' } }),
    Check: {
      Name: 'mesh-gateway listening',
      TCP: renderHostPort({ host: lan?.host ?? '127.0.0.1', port }),
      Interval: '10s',
      DeregisterCriticalServiceAfter: c.deregisterAfterCritical,
    },
    ...(proxy && { Proxy: { Config: proxy } }),
  };
}

/**
 * Whether what the agent has under our id is somebody else's: another address or port. It may be what we were before we
 * were moved; it may be a gateway that runs, and whose routes ours would take over.
 */
export function namesake(body: RegistrationBody, known: Instance | undefined): string | undefined {
  // An agent that does not say where it is says nothing of whose it is.
  if (known === undefined || known.port === 0) return undefined;
  const { address, port } = known;
  if (port === body.Port && address === (body.Address ?? '')) return undefined;
  return renderHostPort({ host: address || '(the node)', port });
}

function bindingConfig(
  c: Described,
  hostAddresses: ReadonlySet<string>,
): Readonly<Record<string, unknown>> | undefined {
  const { address: lan, wanAddress: wan, bindAddresses } = c;
  if (bindAddresses.length > 0) {
    return {
      envoy_gateway_no_default_bind: true,
      envoy_gateway_bind_addresses: Object.fromEntries(
        bindAddresses.map(({ name, host, port }) => [name, { Address: host, Port: port }]),
      ),
    };
  }
  if (lan && wan && isBindable(lan.host, hostAddresses) && isBindable(wan.host, hostAddresses)) {
    return { envoy_gateway_no_default_bind: true, envoy_gateway_bind_tagged_addresses: true };
  }
  if (lan && !isBindable(lan.host, hostAddresses)) {
    throw new UsageError(
      'address_not_bindable',
      'address',
      `${lan.host} is no address of this machine: say where to listen with --bind-address name=ip:port`,
    );
  }
  return undefined;
}

/** Loopback owns all of 127.0.0.0/8, though its interface shows one address of it. */
function isBindable(host: string, hostAddresses: ReadonlySet<string>): boolean {
  return hostAddresses.has(host) || (host.startsWith('127.') && hostAddresses.has('127.0.0.1'));
}
