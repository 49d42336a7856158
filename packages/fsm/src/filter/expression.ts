/**
 * expression.ts: a `filter=` expression, read into a tree.
 *
 * The grammar is that of go-bexpr: matches of a selector against a value, joined by `and`, `or`, `not` and parentheses. It
 * is particular about blanks (`not (a == b)`, never `not(a == b)`), and so are we: an expression that one server takes and
 * another refuses is worse than one that both refuse.
 * Lives here: syntax. Must not live here: which selectors exist (fields.ts), what a match means (compile.ts).
 * Source: hashicorp/go-bexpr grammar/grammar.peg; the error texts are those of its parser generator, pigeon.
 */

export type Operator =
  | '=='
  | '!='
  | 'in'
  | 'not in'
  | 'is empty'
  | 'is not empty'
  | 'matches'
  | 'not matches';

export type Expression =
  | { readonly kind: 'and' | 'or'; readonly left: Expression; readonly right: Expression }
  | { readonly kind: 'not'; readonly operand: Expression }
  | {
      readonly kind: 'match';
      readonly path: readonly string[];
      readonly operator: Operator;
      /** Undefined for the two operators that take none. */
      readonly value: string | undefined;
    };

/** Why an expression was refused. Its text is the original's, without the words before it. */
export class FilterError extends Error {
  override readonly name = 'FilterError';
  readonly code = 'bad_filter';
}

/** Characters of an expression: a URL that carries more is cut by proxies anyway. */
const charsMax = 8192;
/** Parentheses and negations within one another. Guards our stack. */
const nestingMax = 200;

/** Throws FilterError. */
export function parseFilter(text: string): Expression {
  if (text.length > charsMax)
    throw new FilterError(`the expression has ${text.length} characters, and ${charsMax} is the limit`);
  return new Parser(text).whole();
}

const blank = '[ \\t\\r\\n]';
const ending = '[a-zA-Z0-9_]';

class Parser {
  readonly #text: string;
  #at = 0;
  #depth = 0;
  /** Where the reader got furthest, and what would have taken him on from there. */
  #furthest = 0;
  #expected = new Set<string>();

  constructor(text: string) {
    this.#text = text;
  }

  whole(): Expression {
    this.#blanks(0);
    const found = this.#or();
    if (found === undefined) throw this.#refused();
    this.#blanks(0);
    if (this.#at < this.#text.length) {
      this.#missed('EOF');
      throw this.#refused();
    }
    return found;
  }

  #or(): Expression | undefined {
    return this.#joined('or', () => this.#joined('and', () => this.#not()));
  }

  /** `a and b and c`, grouped from the right. */
  #joined(kind: 'and' | 'or', part: () => Expression | undefined): Expression | undefined {
    const left = part();
    if (left === undefined) return undefined;
    const start = this.#at;
    if (this.#blanks(1) && this.#word(kind) && this.#blanks(1)) {
      const right = this.#joined(kind, part);
      if (right !== undefined) return { kind, left, right };
    }
    this.#at = start;
    return left;
  }

  #not(): Expression | undefined {
    return this.#nested(() => {
      const start = this.#at;
      if (this.#word('not') && this.#blanks(1)) {
        const operand = this.#not();
        // Two negations are none, as in the original.
        if (operand !== undefined) return operand.kind === 'not' ? operand.operand : { kind: 'not', operand };
      }
      this.#at = start;
      return this.#grouped() ?? this.#match();
    });
  }

  #grouped(): Expression | undefined {
    const start = this.#at;
    if (this.#word('(')) {
      this.#blanks(0);
      const inner = this.#or();
      if (inner !== undefined) {
        this.#blanks(0);
        if (this.#word(')')) return inner;
      }
    }
    this.#at = start;
    return undefined;
  }

  #match(): Expression | undefined {
    const start = this.#at;
    const path = this.#selector();
    if (path !== undefined) {
      const match = this.#selectorFirst(path);
      if (match !== undefined) return match;
    }
    this.#at = start;
    const value = this.#value();
    if (value !== undefined && this.#blanks(1)) {
      const operator = this.#negated('in') ? 'not in' : this.#wordThenBlank('in') ? 'in' : undefined;
      if (operator !== undefined) {
        const selector = this.#selector();
        if (selector !== undefined) return { kind: 'match', path: selector, operator, value };
      }
    }
    this.#at = start;
    return undefined;
  }

  #selectorFirst(path: readonly string[]): Expression | undefined {
    const start = this.#at;
    const match = (operator: Operator): Expression | undefined => {
      const value = this.#value();
      return value === undefined ? undefined : { kind: 'match', path, operator, value };
    };
    this.#blanks(0);
    for (const sign of ['==', '!='] as const)
      if (this.#word(sign)) {
        this.#blanks(0);
        return match(sign);
      }
    this.#at = start;
    if (!this.#blanks(1)) return undefined;
    if (this.#wordThenBlank('contains')) return match('in');
    if (this.#wordThenBlank('matches')) return match('matches');
    if (this.#negated('contains')) return match('not in');
    if (this.#negated('matches')) return match('not matches');
    if (this.#wordThenBlank('is')) {
      if (this.#negated('empty', 0))
        return { kind: 'match', path, operator: 'is not empty', value: undefined };
      if (this.#word('empty')) return { kind: 'match', path, operator: 'is empty', value: undefined };
    }
    return undefined;
  }

  /** Identifiers joined by dots; what is no identifier in brackets and quotes. */
  #selector(): readonly string[] | undefined {
    const first = this.#identifier();
    if (first === undefined) return undefined;
    const path = [first];
    for (;;) {
      const start = this.#at;
      if (this.#word('.')) {
        const next = this.#identifier();
        if (next !== undefined) {
          path.push(next);
          continue;
        }
      } else if (this.#word('[')) {
        this.#blanks(0);
        const next = this.#quoted();
        this.#blanks(0);
        if (next !== undefined && this.#word(']')) {
          path.push(next);
          continue;
        }
      }
      this.#at = start;
      return path;
    }
  }

  /** A bare word, a number, or a text in quotes or backquotes. */
  #value(): string | undefined {
    const start = this.#at;
    const path = this.#selector();
    if (path !== undefined) return path.join('.');
    this.#at = start;
    return this.#number() ?? this.#quoted();
  }

  #number(): string | undefined {
    const found = this.#pattern(/-?[0-9]+(?:\.[0-9]+)?/y, ['"-"', '"0"', '[1-9]']);
    if (found === undefined) return undefined;
    const next = this.#text[this.#at];
    if (/^-?0[0-9]/.test(found) || (next !== undefined && !/[ \t\r\n)]/.test(next)))
      throw new FilterError(`${this.#place(this.#at)}: rule "number": Invalid number literal`);
    return found;
  }

  #quoted(): string | undefined {
    const start = this.#at;
    const raw = this.#pattern(/`[^`]*`/y, ['"`"']);
    if (raw !== undefined) return raw.slice(1, -1);
    const found = this.#pattern(/"[^"]*"/y, ['"\\""']);
    if (found === undefined) {
      if (this.#text[start] === '"' || this.#text[start] === '`')
        throw new FilterError(`${this.#place(start)}: rule "string": Unterminated string literal`);
      return undefined;
    }
    // A backslash is the beginning of something that cannot end: the closing quote is always the next one.
    try {
      return JSON.parse(found) as string;
    } catch {
      throw new FilterError(`${this.#place(start)}: rule "string": invalid syntax`);
    }
  }

  #identifier(): string | undefined {
    const found = this.#pattern(/[a-zA-Z][a-zA-Z0-9_]*/y, ['[a-zA-Z]']);
    if (found !== undefined) this.#missed(ending);
    return found;
  }

  /** `not WORD`, and a blank behind it unless there need not be one; nothing is taken otherwise. */
  #negated(word: string, blanksBehind: 0 | 1 = 1): boolean {
    const start = this.#at;
    if (this.#word('not') && this.#blanks(1) && this.#word(word) && this.#blanks(blanksBehind)) return true;
    this.#at = start;
    return false;
  }

  #wordThenBlank(word: string): boolean {
    const start = this.#at;
    if (this.#word(word) && this.#blanks(1)) return true;
    this.#at = start;
    return false;
  }

  #word(word: string): boolean {
    if (this.#text.startsWith(word, this.#at)) {
      this.#at += word.length;
      return true;
    }
    this.#missed(JSON.stringify(word));
    return false;
  }

  #blanks(least: 0 | 1): boolean {
    const start = this.#at;
    while (/[ \t\r\n]/.test(this.#text[this.#at] ?? '')) this.#at++;
    this.#missed(blank);
    return this.#at - start >= least;
  }

  #pattern(sticky: RegExp, begins: readonly string[]): string | undefined {
    sticky.lastIndex = this.#at;
    const found = sticky.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    else for (const what of begins) this.#missed(what);
    return found;
  }

  #nested<T>(read: () => T): T {
    if (++this.#depth > nestingMax)
      throw new FilterError(`${this.#place(this.#at)}: more than ${nestingMax} levels of nesting`);
    const found = read();
    this.#depth--;
    return found;
  }

  #missed(what: string): void {
    if (this.#at < this.#furthest) return;
    if (this.#at > this.#furthest) this.#expected = new Set();
    this.#furthest = this.#at;
    this.#expected.add(what);
  }

  #refused(): FilterError {
    const all = [...this.#expected].filter((what) => what !== 'EOF').sort();
    if (this.#expected.has('EOF')) all.push('EOF');
    const last = all.pop() as string;
    const list = all.length === 0 ? last : `${all.join(', ')} or ${last}`;
    return new FilterError(`${this.#place(this.#furthest)}: no match found, expected: ${list}`);
  }

  /** Line, column and offset, counted as the original's parser does. */
  #place(offset: number): string {
    const before = this.#text.slice(0, offset);
    const line = before.split('\n').length;
    const column = offset - (before.lastIndexOf('\n') + 1) + 1;
    return `${line}:${column} (${offset})`;
  }
}
