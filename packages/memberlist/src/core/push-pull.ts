/**
 * push-pull.ts: may these two tables be merged at all?
 *
 * Everybody must understand what everybody else speaks, or a cluster would fall apart slowly and without a word: so a
 * push/pull with versions that do not overlap is refused as a whole, before anything changes. memberlist memberlist.go
 * (verifyProtocol), state.go (mergeRemoteState).
 * Lives here: the version check. Must not live here: merging (members.ts), streams (the shell).
 */
import type { NodeState } from '../wire/message.ts';
import { type Row, toNodeState } from './row.ts';

/** Our half of an exchange. */
export function localNodes(rows: readonly Row[]): NodeState[] {
  return rows.map(toNodeState);
}

/** Why the versions do not go together, naming the first member that does not fit; undefined when they do. */
export function incompatibility(remote: readonly NodeState[], own: readonly Row[]): string | undefined {
  // The bounds come from those who are alive, ...
  let pMin = 0;
  let pMax = 255;
  let dMin = 0;
  let dMax = 255;
  const narrow = (vsn: Uint8Array): void => {
    pMin = Math.max(pMin, vsn[0]!);
    pMax = Math.min(pMax, vsn[1]!);
    dMin = Math.max(dMin, vsn[3]!);
    dMax = Math.min(dMax, vsn[4]!);
  };
  for (const node of remote) if (node.state === 0 && node.vsn.length >= 5) narrow(node.vsn);
  for (const row of own) if (row.state === 'alive') narrow(row.vsn);

  // ... but everybody must be within them; a member without its six bytes speaks 0.
  const check = (name: string, vsn: Uint8Array): string | undefined => {
    const pCur = vsn.length >= 6 ? vsn[2]! : 0;
    const dCur = vsn.length >= 6 ? vsn[5]! : 0;
    if (pCur < pMin || pCur > pMax)
      return `Node '${name}' protocol version (${pCur}) is incompatible: [${pMin}, ${pMax}]`;
    if (dCur < dMin || dCur > dMax)
      return `Node '${name}' delegate protocol version (${dCur}) is incompatible: [${dMin}, ${dMax}]`;
    return undefined;
  };
  for (const node of remote) {
    const reason = check(node.name, node.vsn);
    if (reason !== undefined) return reason;
  }
  for (const row of own) {
    const reason = check(row.name, row.vsn);
    if (reason !== undefined) return reason;
  }
  return undefined;
}
