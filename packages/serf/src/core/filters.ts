/**
 * filters.ts: whether a query means us. Every filter must let us pass; one we cannot read lets nobody pass (I6).
 *
 * serf query.go: encodeFilters, shouldProcessQuery.
 * Lives here: that decision. Must not live here: the bytes (wire/), the engine (automaton.ts).
 */
import { WireError } from '../errors.ts';
import { decodeFilter } from '../wire/decode.ts';
import type { Tags } from '../wire/tags.ts';
import { compileExpression } from './automaton.ts';

/** Steps of all expressions of one query (automaton.ts); what exceeds them is one we cannot read. Guards our time. */
const stepsMax = 16_384;

export function passesFilters(filters: readonly Uint8Array[] | null, name: string, tags: Tags): boolean {
  let stepsLeft = stepsMax;
  return (filters ?? []).every((encoded) => {
    try {
      const filter = decodeFilter(encoded);
      if (filter.kind === 'nodes') return filter.names.includes(name);
      const expression = compileExpression(filter.expression);
      stepsLeft -= expression.steps;
      return stepsLeft >= 0 && expression.test(tags[filter.tag] ?? '');
    } catch (cause) {
      if (cause instanceof WireError) return false;
      throw cause;
    }
  });
}
