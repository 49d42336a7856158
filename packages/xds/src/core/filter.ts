/**
 * filter.ts: the expressions by which a service-resolver picks the instances of a subset, such as
 * `Service.Meta.version == v2 and not ("canary" in Service.Tags)`.
 *
 * Lives here: parser and evaluation. Must not live here: regular expressions (`matches`): a pattern someone else wrote
 * must not be able to stall the process, so a filter that uses one is refused with a reason.
 * Source: hashicorp/go-bexpr, grammar (grammar.peg) and evaluation of strings, lists and maps.
 */
import type { Instance } from './world.ts';

class FilterError extends Error {
  override readonly name = 'FilterError';
  readonly code: 'malformed' | 'unsupported' | 'unknown_selector';
  constructor(code: FilterError['code'], detail: string) {
    super(`[${code}] ${detail}`);
    this.code = code;
  }
}

type Filter = (o: Instance) => boolean;
type Leaf = string | readonly string[] | { readonly [key: string]: string } | undefined;

/** Longest expression read, in characters. Hand-written ones stay far below. */
const filterLengthMax = 4_096;
/** Deepest nesting of parentheses and `not`. */
const depthMax = 64;

/** Throws FilterError. '' matches everything. */
export function parseFilter(text: string): Filter {
  if (text.length > filterLengthMax)
    throw new FilterError('malformed', `a filter may be ${filterLengthMax} characters long`);
  const tokens = tokenize(text);
  if (tokens.length === 0) return () => true;
  const parser = new Parser(tokens);
  const filter = parser.or(0);
  parser.end();
  return filter;
}

interface Token {
  readonly text: string;
  readonly quoted: boolean;
}

function tokenize(text: string): readonly Token[] {
  const tokens: Token[] = [];
  const lexeme = /\s*(?:"((?:[^"\\]|\\.)*)"|`([^`]*)`|(==|!=|[()[\]])|([^\s()[\]"`=!]+))/y;
  while (lexeme.lastIndex < text.length && text.slice(lexeme.lastIndex).trim() !== '') {
    const at = lexeme.lastIndex;
    const match = lexeme.exec(text);
    if (match === null) throw new FilterError('malformed', `cannot read the filter from "${text.slice(at)}"`);
    const [, double, back, sign, word] = match;
    if (double !== undefined) tokens.push({ text: double.replace(/\\(.)/g, '$1'), quoted: true });
    else if (back !== undefined) tokens.push({ text: back, quoted: true });
    else tokens.push({ text: sign ?? word ?? '', quoted: false });
  }
  return tokens;
}

class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;
  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  or(depth: number): Filter {
    const left = this.#and(depth);
    if (!this.#take('or')) return left;
    const right = this.or(depth + 1);
    return (o) => left(o) || right(o);
  }

  end(): void {
    const rest = this.#tokens[this.#at];
    if (rest !== undefined) throw new FilterError('malformed', `unexpected "${rest.text}"`);
  }

  #and(depth: number): Filter {
    const left = this.#not(depth);
    if (!this.#take('and')) return left;
    const right = this.#and(depth + 1);
    return (o) => left(o) && right(o);
  }

  #not(depth: number): Filter {
    if (depth > depthMax) throw new FilterError('malformed', `nested deeper than ${depthMax}`);
    if (this.#take('not')) {
      const inner = this.#not(depth + 1);
      return (o) => !inner(o);
    }
    if (this.#take('(')) {
      const inner = this.or(depth + 1);
      if (!this.#take(')')) throw new FilterError('malformed', 'a parenthesis is not closed');
      return inner;
    }
    return this.#match();
  }

  /** `selector op value`, `value in selector`, or `selector is empty`; `not` may stand before in, contains and empty. */
  #match(): Filter {
    const first = this.#next('a selector or a value');
    const quotedKey = this.#brackets();
    if (this.#take('==')) return this.#equals(first, quotedKey);
    if (this.#take('!=')) return negate(this.#equals(first, quotedKey));
    if (this.#take('is')) {
      const no = this.#take('not');
      if (!this.#take('empty')) throw new FilterError('malformed', 'expected "empty" after "is"');
      const read = selector(first, quotedKey);
      return no ? (o) => !isEmpty(read(o)) : (o) => isEmpty(read(o));
    }
    const no = this.#take('not');
    const hit = this.#membership(first, quotedKey);
    return no ? negate(hit) : hit;
  }

  #membership(first: Token, quotedKey: string | undefined): Filter {
    if (this.#take('in')) {
      const read = selector(this.#next('a selector'), this.#brackets());
      return (o) => contains(read(o), first.text);
    }
    if (this.#take('contains')) {
      const read = selector(first, quotedKey);
      const value = this.#next('a value').text;
      return (o) => contains(read(o), value);
    }
    if (this.#take('matches'))
      throw new FilterError('unsupported', '"matches" is not supported; use == or in');
    throw new FilterError('malformed', `expected an operator after "${first.text}"`);
  }

  #equals(first: Token, quotedKey: string | undefined): Filter {
    const read = selector(first, quotedKey);
    const value = this.#next('a value').text;
    return (o) => read(o) === value;
  }

  /** `["some-key"]` behind a selector. */
  #brackets(): string | undefined {
    if (!this.#take('[')) return undefined;
    const key = this.#next('a quoted key').text;
    if (!this.#take(']')) throw new FilterError('malformed', 'a bracket is not closed');
    return key;
  }

  #next(expected: string): Token {
    const token = this.#tokens[this.#at++];
    if (token === undefined)
      throw new FilterError('malformed', `the filter ends where ${expected} should stand`);
    return token;
  }

  #take(word: string): boolean {
    const token = this.#tokens[this.#at];
    if (token === undefined || token.quoted || token.text !== word) return false;
    this.#at++;
    return true;
  }
}

function negate(filter: Filter): Filter {
  return (o) => !filter(o);
}

function selector(token: Token, quotedKey: string | undefined): (o: Instance) => Leaf {
  const path = token.text.split('.');
  if (quotedKey !== undefined) path.push(quotedKey);
  const [table, field, ...rest] = path;
  const key = rest.length > 0 ? rest.join('.') : undefined;
  const pick = (map: { readonly [key: string]: string } | null | undefined): Leaf =>
    key === undefined ? (map ?? {}) : map && Object.hasOwn(map, key) ? map[key] : undefined;
  switch (`${table}.${field}`) {
    case 'Service.Meta':
      return (o) => pick(o.Service.Meta);
    case 'Node.Meta':
      return (o) => pick(o.Node.Meta);
    case 'Service.Tags':
      return (o) => o.Service.Tags ?? [];
    case 'Service.ID':
      return (o) => o.Service.ID;
    case 'Service.Service':
      return (o) => o.Service.Service;
    case 'Service.Address':
      return (o) => o.Service.Address;
    case 'Service.Port':
      return (o) => String(o.Service.Port);
    case 'Node.Node':
      return (o) => o.Node.Node;
    case 'Node.Address':
      return (o) => o.Node.Address;
    case 'Node.Datacenter':
      return (o) => o.Node.Datacenter;
    default:
      throw new FilterError('unknown_selector', `"${path.join('.')}" names nothing that can be filtered by`);
  }
}

function contains(value: Leaf, wanted: string): boolean {
  if (typeof value === 'string' || isList(value)) return value.includes(wanted);
  return value !== undefined && Object.hasOwn(value, wanted);
}

function isEmpty(value: Leaf): boolean {
  if (value === undefined) return true;
  return (typeof value === 'string' || isList(value) ? value : Object.keys(value)).length === 0;
}

function isList(value: Leaf): value is readonly string[] {
  return Array.isArray(value);
}
