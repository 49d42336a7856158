/**
 * ports-settled.ts: every port 0 becomes a real one before it is registered.
 *
 * The listener is opened later, by the configuration that comes back over xDS; between the two the port is nobody's.
 * Lives here: the replacement. Must not live here: finding a free port (world.ts).
 */
import type { HostPort } from '@fed/alpn-mux';
import { type GatewayConfig, UsageError } from './config.ts';

/** Throws a UsageError for an address this machine does not have. */
export async function settlePorts(
  config: GatewayConfig,
  freePort: (host: string) => Promise<number>,
): Promise<GatewayConfig> {
  const settle = async <A extends HostPort>(flag: string, a: A): Promise<A> => {
    if (a.port !== 0) return a;
    try {
      return { ...a, port: await freePort(a.host) };
    } catch (cause) {
      const why = `no free port to be had on ${a.host} (${(cause as Error).message}): name a port`;
      throw new UsageError('address_not_bindable', flag, why);
    }
  };
  const { address, wanAddress, bindAddresses, adminBind, dataPlane } = config;
  return {
    ...config,
    ...(address && { address: await settle('address', address) }),
    ...(wanAddress && { wanAddress: await settle('wan-address', wanAddress) }),
    // Our own admin port takes any free one by itself and says which; Envoy's must be known to be asked.
    adminBind: dataPlane === 'envoy' ? await settle('admin-bind', adminBind) : adminBind,
    bindAddresses: await Promise.all(bindAddresses.map((a) => settle('bind-address', a))),
  };
}
