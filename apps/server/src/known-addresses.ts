/**
 * known-addresses.ts: addresses that no stranger's failures may shut out: those of our gateways, through which everybody comes
 * who is not of this datacenter, and those of its servers.
 */
import type { CheckServiceNode, Fsm } from '@fed/fsm';
import type { LanServers } from './lan/servers.ts';

export interface KnownAddresses extends Disposable {
  has(host: string): boolean;
}

export function openKnownAddresses(o: {
  readonly fsm: Pick<Fsm, 'watch'>;
  readonly servers: Pick<LanServers, 'all'>;
}): KnownAddresses {
  let gateways: ReadonlySet<string> = new Set();
  const watch = o.fsm.watch(
    (store) => store.serviceKind('mesh-gateway').rows,
    (rows) => {
      gateways = new Set(rows.flatMap(addressesOf));
    },
  );
  return {
    has: (host) => gateways.has(host) || o.servers.all().some((server) => server.host === host),
    [Symbol.dispose]: () => watch[Symbol.dispose](),
  };
}

/** Those it registered, whichever of them it comes from. */
function addressesOf({ Node, Service }: CheckServiceNode): readonly string[] {
  const tagged = Object.values(Service.TaggedAddresses ?? {}).map(({ Address }) => Address);
  return [Node.Address, Service.Address, ...tagged].filter((address) => address !== '');
}
