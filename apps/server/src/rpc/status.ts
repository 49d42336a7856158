/**
 * status.ts: Status.*: is this server there, who leads, and how far its log has come. Answered at once, leader or not: peers take a
 * datacenter off their lists when Status.Ping stays silent.
 */
import { type Fsm, goDuration, type LogEngine } from '@fed/fsm';
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

/** A leader not heard of for so long is none any more, as far as this server can tell. */
const silenceMsMax = 10_000;

/** Whether somebody leads, as far as this server can tell: a log that is not heard any more does not tell of changes. */
export function knowsLeader(engine: Pick<LogEngine, 'leadership' | 'lastContactMs'>): boolean {
  const { leader, leaderAddress } = engine.leadership();
  return leader || (leaderAddress !== undefined && (engine.lastContactMs() ?? Infinity) <= silenceMsMax);
}

/** Empty while nobody leads. */
export function leaderAddress(o: { readonly address: string; readonly fsm: Pick<Fsm, 'engine'> }): string {
  if (!knowsLeader(o.fsm.engine)) return '';
  const now = o.fsm.engine.leadership();
  return now.leader ? o.address : (now.leaderAddress ?? '');
}
