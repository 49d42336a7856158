/**
 * timing.ts: how long the answers about federation states take, under the original's names; time spent waiting for a change
 * included, as there.
 */
import type { Endpoint } from '../rpc/ask.ts';
import type { Metrics } from './metrics.ts';

const names: Readonly<Record<string, string>> = {
  'FederationState.Apply': 'federation_state.apply',
  'FederationState.Get': 'federation_state.get',
  'FederationState.List': 'federation_state.list',
  'FederationState.ListMeshGateways': 'federation_state.list_mesh_gateways',
};

export function timing(
  endpoints: Readonly<Record<string, Endpoint>>,
  o: { readonly metrics: Pick<Metrics, 'sample'>; readonly now: () => number },
): Readonly<Record<string, Endpoint>> {
  return Object.fromEntries(
    Object.entries(endpoints).map(([method, endpoint]) => {
      const name = names[method];
      if (name === undefined) return [method, endpoint];
      const answer: Endpoint['answer'] = async (args, context) => {
        const began = o.now();
        try {
          return await endpoint.answer(args, context);
        } finally {
          o.metrics.sample(name, o.now() - began);
        }
      };
      return [method, { ...endpoint, answer }];
    }),
  );
}
