/**
 * intention.ts: Intention.List: which services may talk; a secondary asks whether it still has to copy the old kind.
 *
 * There are no intentions of the old kind here, so its migration is over at once. Its index is that of the config entries
 * and never above it: a secondary waits until its copy of those has caught up with it.
 * Source: Consul agent/consul/intention_endpoint.go, leader_intentions.go (v1.9.8).
 */
import { RpcApplicationError } from '@fed/rpc';
import { flag } from './args.ts';
import type { Endpoint } from './ask.ts';
import { type BlockingOptions, blocking } from './blocking.ts';

export function intentionEndpoints(o: BlockingOptions): Readonly<Record<string, Endpoint>> {
  return {
    'Intention.List': {
      belongs: 'datacenter',
      answer: (args, context) =>
        blocking(o, args, context, (store) => {
          const { index, rows } = store.configEntries();
          const legacy = flag(args, 'Legacy');
          if (!legacy && rows.some((entry) => entry.kind === 'service-intentions'))
            throw new RpcApplicationError(
              'intentions are kept as service-intentions config entries here: list those with ConfigEntry.ListAll',
            );
          return { index, reply: { DataOrigin: legacy ? 'legacy' : 'config', Intentions: [] } };
        }),
    },
  };
}
