/**
 * status.ts: Status.*: is this server there, and who leads. Answered at once, leader or not: peers take a
 * datacenter off their lists when Status.Ping stays silent.
 */
import type { Endpoint } from './ask.ts';

export function statusEndpoints(o: { readonly address: string }): Readonly<Record<string, Endpoint>> {
  return {
    'Status.Ping': { belongs: 'here', answer: () => ({}) },
    'Status.Leader': { belongs: 'datacenter', answer: () => o.address },
    'Status.Peers': { belongs: 'datacenter', answer: () => [o.address] },
  };
}
