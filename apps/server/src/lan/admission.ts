/**
 * admission.ts: who may be a member of the datacenter's gossip pool, and what is said about a server that may not.
 *
 * Members are of one datacenter, and no two of them are the same machine. A server is let in only if it shares the log of
 * this datacenter: two servers with a log each would be two datacenters under one name, and every reader would find now
 * the one, now the other.
 * Source of the first two rules and their texts: Consul agent/consul/merge.go. The third is ours: there the servers of a
 * pool agree on a log by themselves.
 */
import type { Candidate, SerfEvent, SerfMember } from '@fed/serf';
import type { Config } from '../config/config.ts';
import { readServer, sharedLogTag } from '../tags.ts';

export interface AdmissionOptions {
  readonly config: Pick<Config, 'datacenter' | 'nodeName' | 'engine'>;
  readonly nodeId: string;
  readonly members: () => readonly SerfMember[];
  /** A server that has no place here; told once per server. */
  readonly foundAlone: (name: string, why: string) => void;
}

/** A reason keeps the member out. */
export function lanAdmission(o: AdmissionOptions): (candidate: Candidate) => string | undefined {
  const told = new Set<string>();
  return (candidate) => {
    const { name, tags, status } = candidate;
    if (tags['dc'] !== o.config.datacenter)
      return `Member '${name}' part of wrong datacenter '${tags['dc'] ?? ''}'`;
    if (name === o.config.nodeName || status === 'left') return undefined;
    const conflict = sameMachine(candidate, o);
    if (conflict !== undefined) return conflict;
    const stranger = sharesNoLog(candidate, o);
    if (stranger !== undefined && !told.has(name)) {
      if (told.size < toldMax) told.add(name);
      o.foundAlone(name, stranger);
    }
    return stranger;
  };
}

/** Names remembered as told. A name comes from a member, so somebody else chooses how many there are. */
const toldMax = 64;

function sameMachine({ name, tags }: Candidate, o: AdmissionOptions): string | undefined {
  const id = tags['id'] ?? '';
  if (id === '') return undefined;
  if (id === o.nodeId) return `Member '${name}' has conflicting node ID '${id}' with this agent's ID`;
  const other = o
    .members()
    .find((member) => member.name !== name && member.status === 'alive' && member.tags['id'] === id);
  return other && `Member '${name}' has conflicting node ID '${id}' with member '${other.name}'`;
}

function sharesNoLog({ name, tags }: Candidate, o: AdmissionOptions): string | undefined {
  if (tags['role'] !== 'consul') return undefined;
  const { datacenter, engine } = o.config;
  if (engine.type === 'embedded')
    return `Member '${name}' is a second server of ${datacenter}, and this one keeps the log for itself: several servers need one etcd cluster; set engine = { type = "etcd", ... } on all of them, or stop one`;
  if (tags[sharedLogTag] !== undefined) return undefined;
  return `Member '${name}' is a server of ${datacenter} that does not share its log: set the same engine = { type = "etcd", ... } there, or stop it`;
}

/**
 * Servers of one datacenter that do not meet in its LAN pool still meet in the WAN pool. Two of them with a log each is a
 * mistake that no server can mend, and each should name; told once per datacenter.
 */
export function watchForTwins(
  members: () => readonly SerfMember[],
  found: (datacenter: string, names: readonly string[]) => void,
): (event: SerfEvent) => void {
  const told = new Set<string>();
  return (event) => {
    if (event.kind !== 'member-join' && event.kind !== 'member-update') return;
    const all = members();
    for (const joined of event.members) {
      const datacenter = joined.tags['dc'] ?? '';
      if (told.has(datacenter)) continue;
      const alone = all.flatMap((member) => {
        // Asked first, because it costs least: most are of other datacenters.
        if ((member.tags['dc'] ?? '') !== datacenter || member.status !== 'alive') return [];
        const server = readServer(member);
        return typeof server !== 'string' && server.alone ? [member.name] : [];
      });
      if (alone.length < 2) continue;
      if (told.size < toldMax) told.add(datacenter);
      found(datacenter, alone.sort());
    }
  };
}
