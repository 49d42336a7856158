/**
 * status.ts: Status.*: is this server there, who leads, and how far its log has come. Answered at once, leader or not: peers take a
 * datacenter off their lists when Status.Ping stays silent.
 */
import { type Fsm, goDuration } from '@fed/fsm';
import type { Endpoint } from './ask.ts';

export function statusEndpoints(o: {
  readonly address: string;
  readonly fsm: Pick<Fsm, 'engine'>;
  /** Addresses of all servers of this datacenter. */
  readonly peers: () => readonly string[];
}): Readonly<Record<string, Endpoint>> {
  return {
    'Status.Ping': { belongs: 'here', answer: () => ({}) },
    'Status.Leader': { belongs: 'datacenter', answeredBy: 'any', answer: () => leaderAddress(o) },
    'Status.Peers': { belongs: 'datacenter', answeredBy: 'any', answer: () => o.peers() },
    'Status.RaftStats': {
      belongs: 'here',
      answer: () => ({
        LastContact: lastContact(o.fsm.engine.lastContactMs()),
        LastIndex: o.fsm.engine.stats().lastIndex,
        LastTerm: o.fsm.engine.leadership().term,
      }),
    },
  };
}

/** In the original's words; `never` where no leader was heard of. */
export function lastContact(ms: number | undefined): string {
  if (ms === undefined) return 'never';
  return ms === 0 ? '0' : goDuration(Math.round(ms * 1e6));
}

/** Empty while nobody leads. */
export function leaderAddress(o: { readonly address: string; readonly fsm: Pick<Fsm, 'engine'> }): string {
  const now = o.fsm.engine.leadership();
  return now.leader ? o.address : (now.leaderAddress ?? '');
}
