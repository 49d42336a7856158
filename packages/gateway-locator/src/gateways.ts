/**
 * gateways.ts: of all mesh gateways in the catalog, those that are healthy and willing, and where to dial
 * them.
 *
 * Willing: service meta `consul-wan-federation` is exactly "1". Healthy: no check, of the node or the
 * service, is critical; a warning is not in the way.
 * Lives here: that filter, the two kinds of address, and why the others were left out. Must not live here:
 * choosing.
 * Source: Consul agent/consul/gateway_locator.go (retainGateways), agent/structs/structs.go (BestAddress).
 */
import { isHost, sortedUnique } from './address.ts';
import type { CheckServiceNode, HostPort } from './ports.ts';

export const wanFederationMeta = 'consul-wan-federation';

export interface GatewayList {
  /** Sorted, each once. */
  readonly addresses: readonly HostPort[];
  /** How many rows there were, and why some gave no address. */
  readonly rows: number;
  readonly unwilling: number;
  readonly critical: number;
  readonly unaddressed: number;
}

export const noGateways: GatewayList = { addresses: [], rows: 0, unwilling: 0, critical: 0, unaddressed: 0 };

/** Rows of a list beyond this are not looked at: records come from other datacenters. */
const rowsMax = 1024;

export function gatewayList(
  rows: readonly CheckServiceNode[] | null,
  addressOf: (row: CheckServiceNode) => HostPort | undefined,
): GatewayList {
  const tally = { rows: 0, unwilling: 0, critical: 0, unaddressed: 0 };
  const found: HostPort[] = [];
  for (const row of (rows ?? []).slice(0, rowsMax)) {
    tally.rows++;
    if (row.Service?.Meta?.[wanFederationMeta] !== '1') tally.unwilling++;
    else if (row.Checks?.some((check) => check.Status === 'critical')) tally.critical++;
    else {
      const address = addressOf(row);
      if (address) found.push(address);
      else tally.unaddressed++;
    }
  }
  return { addresses: sortedUnique(found), ...tally };
}

/** Where servers of its own datacenter dial a gateway: service address, else node address. */
export function lanAddress({ Node, Service }: CheckServiceNode): HostPort | undefined {
  return usable(Service.Address || Node?.Address, Service.Port);
}

/**
 * Where everybody else does: service tagged `wan` (its port if it has one), service, node tagged `wan`, node.
 */
export function wanAddress({ Node, Service }: CheckServiceNode): HostPort | undefined {
  const tagged = Service.TaggedAddresses?.['wan'];
  const host = tagged?.Address || Service.Address || Node?.TaggedAddresses?.['wan'] || Node?.Address;
  return usable(host, tagged?.Port || Service.Port);
}

function usable(host: string | undefined, port: number): HostPort | undefined {
  if (!host || !isHost(host) || !Number.isInteger(port) || port < 1 || port > 65_535) return undefined;
  return { host, port };
}
