/**
 * around-endpoints.ts: what every question passes on its way to an endpoint, and every answer on its way back.
 *
 * Rows that may not be seen are taken out first, then those a filter does not want, and what is left is ordered: each layer
 * knows nothing of the others, and no endpoint knows of any of them.
 */
import type { Fsm } from '@fed/fsm';
import type { Access } from './acl/access.ts';
import { guarding } from './acl/guard.ts';
import { filtering } from './filter/filtering.ts';
import { nearestFirst } from './filter/nearest.ts';
import type { Endpoint } from './rpc/ask.ts';

export function aroundEndpoints(
  endpoints: Readonly<Record<string, Endpoint>>,
  o: { readonly access: Access; readonly datacenter: string; readonly fsm: Pick<Fsm, 'store'> },
): Readonly<Record<string, Endpoint>> {
  const { access, datacenter, fsm } = o;
  const ordered = nearestFirst(endpoints, { datacenter, store: () => fsm.store });
  return filtering(guarding(ordered, access), () => fsm.store);
}
