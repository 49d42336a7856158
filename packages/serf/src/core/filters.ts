/**
 * filters.ts: whether a query means us. Every filter must let us pass; one we cannot read lets nobody pass (I6).
 *
 * serf query.go: encodeFilters, shouldProcessQuery.
 * Lives here: that decision. Must not live here: the bytes (wire/), the engine (automaton.ts).
 */
import { WireError } from '../errors.ts';
import { decodeFilter } from '../wire/decode.ts';
import type { Filter } from '../wire/message.ts';
import type { Tags } from '../wire/tags.ts';
import { compileExpression } from './automaton.ts';

export function passesFilters(filters: readonly Uint8Array[] | null, name: string, tags: Tags): boolean {
  return (filters ?? []).every((encoded) => {
    try {
      return passes(decodeFilter(encoded), name, tags);
    } catch (cause) {
      if (cause instanceof WireError) return false;
      throw cause;
    }
  });
}

function passes(filter: Filter, name: string, tags: Tags): boolean {
  switch (filter.kind) {
    case 'nodes':
      return filter.names.includes(name);
    case 'tag':
      return compileExpression(filter.expression).test(tags[filter.tag] ?? '');
  }
}
