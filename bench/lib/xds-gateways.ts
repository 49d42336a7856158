/**
 * xds-gateways.ts: gateways as a server sees them: as many xDS streams as asked for, in a process of their own.
 *
 * Run with an IPC channel as `node xds-gateways.ts TARGET ID…`. The parent says what to look for; each gateway tells once it
 * has been configured so, in the turn after its ACK was written. Nothing is relayed.
 */
import { openXdsClient, type RelayConfig } from '@fed/xds';

/**
 * `endpointPort`: some endpoint of the cluster has it. `chains`: so many are in the listener. `acknowledged`: the type of
 * the last response that brings it, for gateways that do not look inside.
 */
export type Wanted = { readonly acknowledged: 'ClusterLoadAssignment' | 'Listener' } & (
  | { readonly cluster: string; readonly endpointPort: number }
  | { readonly chains: number }
);

const [target = '', ...ids] = process.argv.slice(2);
let wanted: Wanted | undefined;
const configs = new Map<string, RelayConfig>();
const told = new Set<string>();

for (const id of ids)
  openXdsClient({
    target,
    nodeId: id,
    cluster: 'mesh-gateway',
    nodeName: id,
    onConfig: (config) => {
      configs.set(id, config);
      look(id);
      return undefined;
    },
  });

process.on('message', (message: Wanted) => {
  wanted = message;
  told.clear();
  for (const id of configs.keys()) look(id);
});
process.on('disconnect', () => process.exit());

function look(id: string): void {
  const config = configs.get(id);
  if (config === undefined || wanted === undefined || told.has(id) || !isThere(config, wanted)) return;
  told.add(id);
  setImmediate(() => process.send?.(id));
}

function isThere(config: RelayConfig, w: Wanted): boolean {
  if ('chains' in w) return config.listeners[0]?.chains.length === w.chains;
  const { endpoints = [] } = config.clusters.get(w.cluster) ?? {};
  return endpoints.some(({ port }) => port === w.endpointPort);
}
