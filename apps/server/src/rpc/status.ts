/**
 * status.ts: Status.*: is this server there, who leads, and how far its log has come. Answered at once, leader or not: peers take a
 * datacenter off their lists when Status.Ping stays silent.
 */
import type { Fsm } from '@fed/fsm';
import type { Endpoint } from './ask.ts';

export function statusEndpoints(o: {
  readonly address: string;
  readonly fsm: Pick<Fsm, 'engine'>;
}): Readonly<Record<string, Endpoint>> {
  return {
    'Status.Ping': { belongs: 'here', answer: () => ({}) },
    'Status.Leader': { belongs: 'datacenter', answer: () => leaderAddress(o) },
    'Status.Peers': { belongs: 'datacenter', answer: () => [o.address] },
    'Status.RaftStats': {
      belongs: 'here',
      answer: () => ({
        // Of this leader with itself, in the original's words.
        LastContact: '0',
        LastIndex: o.fsm.engine.stats().lastIndex,
        LastTerm: o.fsm.engine.leadership().term,
      }),
    },
  };
}

/** Empty while nobody leads. */
function leaderAddress(o: { readonly address: string; readonly fsm: Pick<Fsm, 'engine'> }): string {
  const now = o.fsm.engine.leadership();
  return now.leader ? o.address : (now.leaderAddress ?? '');
}
