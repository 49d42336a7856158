/**
 * expression.ts: a regular expression of Go's regexp/syntax (RE2 with Perl flags), as a tree.
 *
 * Tag filters carry expressions that strangers wrote; JavaScript's own engine would let one of them stall the process
 * by backtracking, and reads some of them differently. So they are parsed here and run by automaton.ts.
 * Lives here: syntax. Must not live here: matching. Source of the grammar: pkg.go.dev/regexp/syntax.
 */
import { WireError } from '../errors.ts';
import { anyCase, type CharTest, not, perlSets, posixSets, unicodeSet } from './character-sets.ts';

export type Assertion = 'textStart' | 'textEnd' | 'lineStart' | 'lineEnd' | 'wordBoundary' | 'noWordBoundary';

export type Tree =
  | { readonly kind: 'empty' }
  | { readonly kind: 'char'; readonly test: CharTest }
  | { readonly kind: 'assert'; readonly what: Assertion }
  | { readonly kind: 'sequence' | 'choice'; readonly parts: readonly Tree[] }
  | { readonly kind: 'repeat'; readonly body: Tree; readonly min: number; readonly max: number };

/** Characters of an expression; a query of 1024 bytes holds no longer one. */
const expressionCharsMax = 16_384;
/** Groups within groups; Go stops at 1000. Guards our stack. */
const nestingMax = 250;
/** Largest count in {n,m}, as in Go. */
const repeatMax = 1_000;

interface Flags {
  ignoreCase: boolean;
  multiLine: boolean;
  dotAll: boolean;
}

/** Throws WireError 'bad_expression'. */
export function parseExpression(text: string): Tree {
  const chars = Array.from(text);
  if (chars.length > expressionCharsMax) throw bad(`it has ${chars.length} characters`);
  const parser = new Parser(chars);
  return parser.whole();
}

class Parser {
  readonly #chars: readonly string[];
  #at = 0;
  #depth = 0;
  #flags: Flags = { ignoreCase: false, multiLine: false, dotAll: false };

  constructor(chars: readonly string[]) {
    this.#chars = chars;
  }

  whole(): Tree {
    const tree = this.#choice();
    if (this.#at < this.#chars.length) throw bad('a ) without its (');
    return tree;
  }

  #choice(): Tree {
    const parts = [this.#sequence()];
    while (this.#eat('|')) parts.push(this.#sequence());
    return parts.length === 1 ? (parts[0] as Tree) : { kind: 'choice', parts };
  }

  #sequence(): Tree {
    const parts: Tree[] = [];
    while (this.#at < this.#chars.length && this.#peek() !== '|' && this.#peek() !== ')') {
      const atom = this.#atom();
      if (atom === undefined) continue;
      // Only trees that read or assert something are kept, so that every repetition costs program steps.
      const tree = this.#repeated(atom);
      if (tree.kind !== 'empty') parts.push(tree);
    }
    if (parts.length === 0) return { kind: 'empty' };
    return parts.length === 1 ? (parts[0] as Tree) : { kind: 'sequence', parts };
  }

  /** undefined for what only sets flags. */
  #atom(): Tree | undefined {
    const c = this.#next();
    switch (c) {
      case '(':
        return this.#group();
      case '[':
        return this.#char(this.#class());
      case '.': {
        const { dotAll } = this.#flags;
        return { kind: 'char', test: (p) => dotAll || p !== 0x0a };
      }
      case '^':
        return { kind: 'assert', what: this.#flags.multiLine ? 'lineStart' : 'textStart' };
      case '$':
        return { kind: 'assert', what: this.#flags.multiLine ? 'lineEnd' : 'textEnd' };
      case '*':
      case '+':
      case '?':
        throw bad(`nothing to repeat before ${c}`);
      case '\\':
        return this.#escape();
    }
    return this.#literal(codePoint(c));
  }

  #repeated(atom: Tree): Tree {
    const counts = this.#counts();
    if (counts === undefined) return atom;
    this.#eat('?'); // lazy or not, the answer to "does it match" is the same
    if (this.#counts() !== undefined) throw bad('a repetition of a repetition');
    if (atom.kind === 'empty' || counts.max === 0) return { kind: 'empty' };
    return { kind: 'repeat', body: atom, ...counts };
  }

  #counts(): { min: number; max: number } | undefined {
    if (this.#eat('*')) return { min: 0, max: Number.POSITIVE_INFINITY };
    if (this.#eat('+')) return { min: 1, max: Number.POSITIVE_INFINITY };
    if (this.#eat('?')) return { min: 0, max: 1 };
    if (this.#peek() !== '{') return undefined;
    const close = this.#chars.indexOf('}', this.#at);
    const inside = close < 0 ? '' : this.#chars.slice(this.#at + 1, close).join('');
    const found = /^(\d+)(?:(,)(\d*))?$/.exec(inside);
    if (found === null) return undefined; // Go takes it for text
    this.#at = close + 1;
    const min = Number(found[1]);
    const open = found[2] !== undefined && found[3] === '';
    const max = found[2] === undefined ? min : open ? Number.POSITIVE_INFINITY : Number(found[3]);
    if (min > repeatMax || (!open && max > repeatMax) || max < min) throw bad(`a count of {${inside}}`);
    return { min, max };
  }

  #group(): Tree | undefined {
    if (++this.#depth > nestingMax) throw bad('groups nest too deep');
    const outer = { ...this.#flags };
    if (this.#eat('?')) {
      const name = /^(?:P?<(\w+)>)/.exec(this.#chars.slice(this.#at, this.#at + 256).join(''));
      if (name !== null) this.#at += Array.from(name[0]).length;
      else if (this.#setFlags() === ')') {
        this.#depth--;
        return undefined; // these flags hold until the group around them ends
      }
    }
    const tree = this.#choice();
    if (!this.#eat(')')) throw bad('a ( without its )');
    this.#flags = outer;
    this.#depth--;
    return tree;
  }

  #setFlags(): ':' | ')' {
    let on = true;
    let any = false;
    for (;;) {
      const c = this.#next();
      if (c === 'i') this.#flags.ignoreCase = on;
      else if (c === 'm') this.#flags.multiLine = on;
      else if (c === 's') this.#flags.dotAll = on;
      else if (c === '-' && on) {
        on = false;
        any = false;
        continue;
      } else if ((c === ':' || c === ')') && (on || any)) return c;
      else if (c !== 'U') throw bad(`the group (?${c ?? ''}`);
      any = true;
    }
  }

  #escape(): Tree {
    const c = this.#peek();
    const word = wordAssertions[c ?? ''];
    if (word !== undefined) {
      this.#at++;
      return { kind: 'assert', what: word };
    }
    if (c === 'Q') {
      this.#at++;
      return this.#quoted();
    }
    const set = this.#setEscape();
    if (set !== undefined) return this.#char(set);
    return this.#literal(this.#charEscape());
  }

  /** Text up to \E or the end, meaning itself. Go repeats only its last character; so do we, by stepping back. */
  #quoted(): Tree {
    const parts: Tree[] = [];
    while (this.#at < this.#chars.length) {
      if (this.#peek() === '\\' && this.#chars[this.#at + 1] === 'E') {
        this.#at += 2;
        break;
      }
      parts.push(this.#literal(codePoint(this.#next())));
    }
    const last = parts.pop();
    if (last === undefined) return { kind: 'empty' };
    const tail = this.#repeated(last);
    return { kind: 'sequence', parts: [...parts, tail] };
  }

  /** \d \w \s, their opposites, \p{...}; undefined when it is none of them. Positioned behind the backslash. */
  #setEscape(): CharTest | undefined {
    const c = this.#peek() ?? '';
    const perl = perlSets[c.toLowerCase()];
    if (perl !== undefined) {
      this.#at++;
      return c === c.toLowerCase() ? perl : not(perl);
    }
    if (c !== 'p' && c !== 'P') return undefined;
    this.#at++;
    let name = this.#next() ?? '';
    if (name === '{') {
      const close = this.#chars.indexOf('}', this.#at);
      if (close < 0) throw bad('a \\p{ without its }');
      name = this.#chars.slice(this.#at, close).join('');
      this.#at = close + 1;
    }
    const opposite = name.startsWith('^');
    const test = unicodeSet(opposite ? name.slice(1) : name);
    if (test === undefined) throw bad(`the class \\p{${name}}`);
    return opposite !== (c === 'P') ? not(test) : test;
  }

  #charEscape(): number {
    const c = this.#next();
    if (c === undefined) throw bad('a backslash at the end');
    const control = controls[c];
    if (control !== undefined) return control;
    if (c === 'x') return this.#hex();
    const octalNext = /^[0-7]$/.test(this.#peek() ?? '');
    if (c === '0' || (/^[1-7]$/.test(c) && octalNext)) {
      let digits = c;
      while (digits.length < 3 && /^[0-7]$/.test(this.#peek() ?? '')) digits += this.#next();
      return Number.parseInt(digits, 8);
    }
    if (codePoint(c) < 0x80 && !/^[0-9A-Za-z]$/.test(c)) return codePoint(c);
    throw bad(`the escape \\${c}`);
  }

  #hex(): number {
    let digits: string;
    if (this.#eat('{')) {
      const close = this.#chars.indexOf('}', this.#at);
      digits = close < 0 ? '' : this.#chars.slice(this.#at, close).join('');
      this.#at = close + 1;
    } else {
      digits = this.#chars.slice(this.#at, this.#at + 2).join('');
      this.#at += 2;
      if (digits.length < 2) throw bad('the escape \\x');
    }
    const value = /^[0-9A-Fa-f]{1,8}$/.test(digits) ? Number.parseInt(digits, 16) : Number.NaN;
    if (!(value <= 0x10ffff)) throw bad(`the escape \\x${digits}`);
    return value;
  }

  #class(): CharTest {
    const opposite = this.#eat('^');
    const tests: CharTest[] = [];
    const ranges: (readonly [number, number])[] = [];
    for (let first = true; ; first = false) {
      const c = this.#peek();
      if (c === undefined) throw bad('a [ without its ]');
      if (c === ']' && !first) break;
      const posix = /^\[:(\^?)(\w+):\]/.exec(this.#chars.slice(this.#at, this.#at + 16).join(''));
      if (posix !== null) {
        const test = posixSets.get(posix[2] ?? '');
        if (test === undefined) throw bad(`the class ${posix[0]}`);
        this.#at += posix[0].length;
        tests.push(posix[1] === '^' ? not(test) : test);
        continue;
      }
      if (c === '\\') {
        this.#at++;
        const set = this.#setEscape();
        if (set !== undefined) {
          tests.push(set);
          continue;
        }
        this.#at--;
      }
      const low = this.#classChar();
      let high = low;
      if (
        this.#peek() === '-' &&
        this.#chars[this.#at + 1] !== ']' &&
        this.#chars[this.#at + 1] !== undefined
      ) {
        this.#at++;
        high = this.#classChar();
        if (high < low) throw bad('a range that runs backwards');
      }
      ranges.push([low, high]);
    }
    this.#at++;
    tests.push((p) => ranges.some(([low, high]) => p >= low && p <= high));
    const inside: CharTest = (p) => tests.some((test) => test(p));
    const folded = this.#flags.ignoreCase ? anyCase(inside) : inside;
    return opposite ? not(folded) : folded;
  }

  #classChar(): number {
    if (!this.#eat('\\')) return codePoint(this.#next());
    return this.#charEscape();
  }

  #literal(point: number): Tree {
    return this.#char((p) => p === point);
  }

  #char(test: CharTest): Tree {
    return { kind: 'char', test: this.#flags.ignoreCase ? anyCase(test) : test };
  }

  #peek(): string | undefined {
    return this.#chars[this.#at];
  }

  #next(): string | undefined {
    return this.#chars[this.#at++];
  }

  #eat(c: string): boolean {
    if (this.#chars[this.#at] !== c) return false;
    this.#at++;
    return true;
  }
}

const wordAssertions: Readonly<Record<string, Assertion>> = {
  A: 'textStart',
  z: 'textEnd',
  b: 'wordBoundary',
  B: 'noWordBoundary',
};

const controls: Readonly<Record<string, number>> = { a: 7, t: 9, n: 10, v: 11, f: 12, r: 13 };

function codePoint(c: string | undefined): number {
  if (c === undefined) throw bad('it ends too early');
  return c.codePointAt(0) ?? 0;
}

function bad(what: string): WireError {
  return new WireError('bad_expression', `a regular expression RE2 refuses: ${what}`);
}
