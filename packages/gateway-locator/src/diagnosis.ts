/**
 * diagnosis.ts: which hop is broken, told from what the dials learned and what we know.
 *
 * On the way to another datacenter stand: our own gateway, the route it has, the other side's gateway, the
 * server behind it, TLS with that server, its certificate, its protocol. The attempt that came furthest tells
 * most.
 * Lives here: from codes to a hop and a sentence. Must not live here: dialing, lists.
 */
import { renderHostPort } from './address.ts';
import type { HostPort } from './ports.ts';

export type Hop =
  | 'no_gateway_known'
  | 'local_gateway' // does not answer
  | 'local_gateway_route' // answers, but knows no way to that datacenter
  | 'remote_gateway' // the other side's gateway
  | 'remote_server' // the gateway answers, the server behind it does not
  | 'tls' // the handshake broke
  | 'certificate'
  | 'alpn'
  | 'unknown'; // codes we do not know

export interface Attempt {
  readonly gateway: HostPort;
  readonly code: string;
}

export interface Diagnosis {
  readonly hop: Hop;
  /** For people: the datacenter, the hop, the addresses, the remedy. */
  readonly text: string;
}

export interface Circumstances {
  readonly datacenter: string;
  /** Whether this is a gateway of our own datacenter. */
  readonly isLocal: (gateway: HostPort) => boolean;
  /** Healthy gateways the destination has published. */
  readonly remoteGateways: readonly HostPort[];
  /** How many it has published whose own health check fails. */
  readonly remoteCritical: number;
  /** Whether this gateway led to some datacenter lately. */
  readonly leadsElsewhere: (gateway: HostPort) => boolean;
  /** Why no gateway is known, if none is. */
  readonly whyNone: string;
}

/** How far a dial came before it ended with this code; 0: an unknown code. */
function depth(code: string): number {
  switch (code) {
    case 'connect_refused':
    case 'connect_timeout':
    case 'connect_failed':
      return 1;
    case 'closed_before_tls':
    case 'tls_timeout':
    case 'silent': // a connection that had stood before
    case 'lost':
      return 2;
    case 'tls_failed':
      return 3;
    case 'certificate_untrusted':
    case 'certificate_name':
      return 4;
    case 'alpn_refused':
      return 5;
    default:
      return 0;
  }
}

export function diagnose(attempts: readonly Attempt[], c: Circumstances): Diagnosis {
  const [furthest] = [...attempts].sort((a, b) => depth(b.code) - depth(a.code)); // stable: the earlier one of equals
  if (!furthest)
    return { hop: 'no_gateway_known', text: `${c.datacenter}: no gateway is known: ${c.whyNone}` };
  const { hop, sentence } = judge(furthest, c);
  const tried = attempts.map(({ gateway, code }) => `${renderHostPort(gateway)} ${code}`).join(', ');
  return { hop, text: `${c.datacenter}: ${sentence} (tried: ${tried})` };
}

function judge(
  { gateway, code }: Attempt,
  c: Circumstances,
): { readonly hop: Hop; readonly sentence: string } {
  const via = renderHostPort(gateway);
  const local = c.isLocal(gateway);
  const theirs = c.remoteGateways.map(renderHostPort).join(', ');
  switch (code) {
    case 'connect_refused':
    case 'connect_timeout':
    case 'connect_failed': {
      const what = code === 'connect_refused' ? 'refuses connections' : 'cannot be connected to';
      return local
        ? { hop: 'local_gateway', sentence: `our own gateway ${via} ${what}; is it running?` }
        : {
            hop: 'remote_gateway',
            sentence: `gateway ${via} of the primary ${what}; is it running and reachable?`,
          };
    }
    case 'tls_timeout':
      if (!local)
        return {
          hop: 'remote_gateway',
          sentence: `gateway ${via} of the primary takes connections and stays silent`,
        };
      if (!c.leadsElsewhere(gateway))
        return {
          hop: 'local_gateway',
          sentence: `our own gateway ${via} takes connections and stays silent`,
        };
      return beyond(`leads elsewhere, but stays silent towards ${c.datacenter}`);
    case 'silent':
    case 'lost': {
      const how = code === 'silent' ? 'went silent' : 'was lost';
      const before = `a connection to ${c.datacenter} stood, probably through ${local ? 'our own ' : ''}gateway ${via}, and ${how}`;
      if (local && !c.leadsElsewhere(gateway)) return { hop: 'local_gateway', sentence: before };
      return {
        hop: 'remote_gateway',
        sentence: `${before}; its ${theirs === '' ? 'gateways' : `gateways ${theirs}`} or the server behind them do not answer`,
      };
    }
    case 'closed_before_tls':
      if (!local)
        return {
          hop: 'remote_server',
          sentence: `gateway ${via} of the primary answers, but reaches no server of that name behind it`,
        };
      return beyond('answers, but closes connections for it');
    case 'tls_failed':
      return {
        hop: 'tls',
        sentence: `a server was reached through ${via}, but TLS with it broke; do both sides trust the same CA?`,
      };
    case 'certificate_untrusted':
      return {
        hop: 'certificate',
        sentence: `the server reached through ${via} shows a certificate our CA did not sign, or out of its time`,
      };
    case 'certificate_name':
      return {
        hop: 'certificate',
        sentence: `the server reached through ${via} shows a certificate for another name; it needs server.${c.datacenter} and its own`,
      };
    case 'alpn_refused':
      return {
        hop: 'alpn',
        sentence: `the server reached through ${via} does not speak our protocol; is federation enabled there?`,
      };
    default:
      return { hop: 'unknown', sentence: `the attempt through ${via} ended with ${code}` };
  }

  function beyond(what: string): { readonly hop: Hop; readonly sentence: string } {
    const ours = `our own gateway ${via} ${what}`;
    if (theirs !== '')
      return {
        hop: 'remote_gateway',
        sentence: `${ours}; its gateways ${theirs} or the server behind them do not answer`,
      };
    if (c.remoteCritical > 0)
      return {
        hop: 'remote_gateway',
        sentence: `${ours}; that datacenter has ${c.remoteCritical} gateway(s), all critical: are they running?`,
      };
    return { hop: 'local_gateway_route', sentence: `${ours}, and that datacenter has published no gateway` };
  }
}
