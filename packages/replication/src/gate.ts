/**
 * gate.ts: whether every server understands federation states, so that none is sent what it would stumble
 * over.
 *
 * Servers say so in their gossip tag `ft_fs=1`. A secondary also needs the primary's servers to say so, since
 * that is where its record goes. Once open the gate stays open: the records exist, and tags of servers that
 * come and go cannot undo that; for the same reason records in our store prove support at once, even while
 * the primary is dark.
 * Lives here: the predicate. Must not live here: where servers are known from, remembering that it was open.
 * Source: Consul agent/consul/util.go (ServersInDCMeetRequirements), server_serf.go (ft_fs),
 * leader_federation_state_ae.go.
 */
import { keyOf } from './content.ts';

export interface GateServer {
  readonly datacenter: string;
  readonly status: 'alive' | 'leaving' | 'left' | 'failed';
  readonly tags: Readonly<Record<string, string>>;
}

/** The tag, and the value that means yes. */
export const federationStatesTag = 'ft_fs';
export const federationStatesTagValue = '1';

export function datacenterSupports(o: {
  readonly datacenter: string;
  readonly primary: string;
  /** All servers known, of any datacenter; those that left or are leaving do not count. */
  readonly servers: readonly GateServer[];
  /** It was open before, in this process. */
  readonly sticky: boolean;
  /** Our store holds a federation state. */
  readonly hasRecords: boolean;
}): boolean {
  if (o.sticky || o.hasRecords) return true;
  const primary = serversOf(o.primary, o.servers);
  if (primary.length === 0 || !primary.every(understands)) return false;
  return serversOf(o.datacenter, o.servers).every(understands);
}

function serversOf(datacenter: string, servers: readonly GateServer[]): readonly GateServer[] {
  return servers.filter(
    (server) =>
      keyOf(server.datacenter) === keyOf(datacenter) &&
      (server.status === 'alive' || server.status === 'failed'),
  );
}

function understands({ tags }: GateServer): boolean {
  return tags[federationStatesTag] === federationStatesTagValue;
}
