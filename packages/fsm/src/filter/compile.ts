/**
 * compile.ts: from an expression and the fields of a row to a question one can ask of every such row.
 *
 * All that can be wrong is found before the first row is looked at: unknown selectors, operators a field does not have,
 * values that are none of its type.
 * Lives here: what a match means. Must not live here: syntax (expression.ts), which rows (filtering.ts).
 * Source: hashicorp/go-bexpr validate.go, evaluate.go, coerce.go.
 */
import { type Expression, FilterError, type Operator, parseFilter } from './expression.ts';
import type { Field, Fields } from './fields.ts';
import { pattern } from './pattern.ts';

export type Predicate = (row: unknown) => boolean;

type Match = Extract<Expression, { kind: 'match' }>;

/** Throws FilterError. */
export function compileFilter(text: string, fields: Fields): Predicate {
  return compile(parseFilter(text), fields);
}

function compile(expression: Expression, fields: Fields): Predicate {
  switch (expression.kind) {
    case 'and': {
      const [left, right] = [compile(expression.left, fields), compile(expression.right, fields)];
      return (row) => left(row) && right(row);
    }
    case 'or': {
      const [left, right] = [compile(expression.left, fields), compile(expression.right, fields)];
      return (row) => left(row) || right(row);
    }
    case 'not': {
      const operand = compile(expression.operand, fields);
      return (row) => !operand(row);
    }
    case 'match':
      return descend({ struct: fields }, expression, 0);
  }
}

/** The question about what lies below `path[0..depth)`, whose type is `field`. */
function descend(field: Field, match: Match, depth: number): Predicate {
  if (typeof field === 'object' && 'list' in field && depth < match.path.length) {
    // Of a list of rows, one is enough.
    const each = descend(field.list, match, depth);
    return (value) => ((value ?? []) as readonly unknown[]).some(each);
  }
  if (depth === match.path.length) return leaf(field, match);
  const key = match.path[depth] as string;
  if (typeof field === 'object' && 'struct' in field) {
    const next = Object.hasOwn(field.struct, key) ? field.struct[key] : undefined;
    if (next === undefined) throw unknownSelector(match, depth + 1);
    const inner = descend(next, match, depth + 1);
    return (row) => inner((row as { readonly [key: string]: unknown } | null | undefined)?.[key]);
  }
  if (typeof field === 'object' && 'map' in field) {
    const inner = descend(field.map, match, depth + 1);
    // As in the original, what is not there also matches every pattern.
    const absent = !['==', 'is not empty', 'in'].includes(match.operator);
    return (map) => {
      const entries = (map ?? {}) as { readonly [key: string]: unknown };
      return Object.hasOwn(entries, key) ? inner(entries[key]) : absent;
    };
  }
  throw unknownSelector(match, match.path.length);
}

function leaf(field: Field, match: Match): Predicate {
  const { operator } = match;
  switch (operator) {
    case '==':
    case '!=': {
      const wanted = coerced(scalar(field, match), match);
      return operator === '==' ? (value) => plain(value) === wanted : (value) => plain(value) !== wanted;
    }
    case 'in':
    case 'not in': {
      const holds = containment(field, match);
      return operator === 'in' ? holds : (value) => !holds(value);
    }
    case 'is empty':
    case 'is not empty': {
      if (typeof field === 'string' || 'struct' in field) throw wrongOperator(match);
      const empty: Predicate = (value) => Object.keys((value ?? {}) as object).length === 0;
      return operator === 'is empty' ? empty : (value) => !empty(value);
    }
    case 'matches':
    case 'not matches': {
      if (field !== 'text') throw wrongOperator(match);
      const found = pattern(match.value as string);
      const matches: Predicate = (value) => found(String(plain(value)));
      return operator === 'matches' ? matches : (value) => !matches(value);
    }
  }
}

/** A part of a text, an element of a list, a key of a map. */
function containment(field: Field, match: Match): Predicate {
  if (field === 'text') return (value) => String(plain(value)).includes(match.value as string);
  if (typeof field === 'object' && 'map' in field)
    return (map) => Object.hasOwn((map ?? {}) as object, match.value as string);
  if (typeof field === 'object' && 'list' in field && typeof field.list === 'string') {
    const wanted = coerced(field.list, match);
    return (list) => ((list ?? []) as readonly unknown[]).some((item) => plain(item) === wanted);
  }
  throw wrongOperator(match);
}

function scalar(field: Field, match: Match): 'text' | 'int' | 'bool' {
  if (typeof field === 'string') return field;
  throw wrongOperator(match);
}

function coerced(type: 'text' | 'int' | 'bool', match: Match): string | number | boolean {
  const value = match.value as string;
  const refuse = (go: string): never => {
    throw new FilterError(
      `Failed to coerce value ${JSON.stringify(value)} for selector "${name(match)}": strconv.${go}: parsing ${JSON.stringify(value)}: invalid syntax`,
    );
  };
  switch (type) {
    case 'text':
      return value;
    case 'int':
      return /^[+-]?\d+$/.test(value) && Number.isSafeInteger(Number(value))
        ? Number(value)
        : refuse('ParseInt');
    case 'bool':
      if (['1', 't', 'T', 'true', 'TRUE', 'True'].includes(value)) return true;
      if (['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(value)) return false;
      return refuse('ParseBool');
  }
}

/** What a row holds, as it compares: a text that is no UTF-8 as its bytes read leniently, an absent one as empty. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('utf8');
  return value ?? '';
}

const operatorNames: Readonly<Record<Operator, string>> = {
  '==': 'Equal',
  '!=': 'NotEqual',
  in: 'In',
  'not in': 'NotIn',
  'is empty': 'IsEmpty',
  'is not empty': 'IsNotEmpty',
  matches: 'Matches',
  'not matches': 'NotMatches',
};

function name(match: Match, length: number = match.path.length): string {
  return match.path.slice(0, length).join('.');
}

function unknownSelector(match: Match, length: number): FilterError {
  return new FilterError(`Selector "${name(match, length)}" is not valid`);
}

function wrongOperator(match: Match): FilterError {
  return new FilterError(
    `Invalid match operator "${operatorNames[match.operator]}" for selector "${name(match)}"`,
  );
}
