/**
 * convergence.ts: in the end all agree, and they are right.
 *
 * Everybody who runs knows exactly those who run as alive, with the incarnation and meta they have themselves.
 */
import type { Memberlist } from '@fed/memberlist';

/** What keeps `running` from having converged; undefined when nothing does. */
export function disagreement(running: readonly Memberlist[]): string | undefined {
  const expected = new Map(running.map((member) => [member.name, member.local()]));
  for (const observer of running) {
    const known = observer.members();
    for (const { name, state, incarnation, meta } of known) {
      const own = expected.get(name);
      if (own === undefined) return `${observer.name} still takes ${name} for ${state}`;
      if (state !== 'alive') return `${observer.name} has ${name} as ${state}`;
      if (incarnation !== own.incarnation)
        return `${observer.name} has ${name} at ${incarnation}, it is at ${own.incarnation}`;
      if (Buffer.compare(meta, own.meta) !== 0) return `${observer.name} has an old meta of ${name}`;
    }
    if (known.length !== running.length) {
      const missing = running.filter(({ name }) => !known.some((member) => member.name === name));
      return `${observer.name} does not know ${missing.map(({ name }) => name).join(', ')}`;
    }
  }
  return undefined;
}
