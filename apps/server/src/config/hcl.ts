/**
 * hcl.ts: the part of HCL that configuration is written in: attributes, blocks, lists and maps of plain values.
 *
 *   datacenter = "dc1"
 *   ports { http = 8500 }
 *   node_prefix "web-" { policy = "read" }
 *
 * Variables, functions and arithmetic are none of it. It takes what both versions of the language take, and from the first,
 * in which the original reads its files, also quoted names and several attributes on one line.
 * A block becomes a list with one map, because only the schema knows whether it may stand there twice (`unwrapBlocks`).
 * Lives here: grammar, and which line a key stood on. Must not live here: words (hcl-scanner.ts), which keys exist.
 */
import { HclError, Scanner } from './hcl-scanner.ts';

export { HclError } from './hcl-scanner.ts';

export type HclValue = string | number | boolean | null | readonly HclValue[] | HclMap;
export interface HclMap {
  [key: string]: HclValue;
}

/** The lines on which the keys of a map stand. */
type Lines = WeakMap<object, Map<string, number>>;

export interface HclDocument {
  readonly root: HclMap;
  /** The line of the deepest key on this path that stands in the file. */
  lineOf(path: readonly PropertyKey[]): number | undefined;
}

/** Values within one another. Guards our stack. */
const depthMax = 32;

/** Throws HclError. */
export function parseHcl(text: string): HclDocument {
  const parser = new Parser(text);
  const root = parser.body();
  return {
    root,
    lineOf: (path) => {
      let line: number | undefined;
      let at: unknown = root;
      for (const step of path) {
        if (typeof at !== 'object' || at === null) break;
        line = parser.lines.get(at)?.get(String(step)) ?? line;
        at = (at as { readonly [key: PropertyKey]: unknown })[step];
      }
      return line;
    },
  };
}

class Parser {
  readonly #scan: Scanner;
  readonly lines: Lines = new WeakMap();

  constructor(text: string) {
    this.#scan = new Scanner(text);
  }

  /** Attributes and blocks up to the end of the file. */
  body(): HclMap {
    return this.#entries('', 0);
  }

  /** Attributes and blocks up to `end`, a closing brace or the end of the file. */
  #entries(end: '}' | '', depth: number): HclMap {
    const out = this.#map();
    for (;;) {
      this.#scan.skip();
      if (end === '' ? this.#scan.atEnd : this.#scan.sign(end)) return out;
      if (this.#scan.atEnd) throw this.#scan.error('what begins with { does not end');
      this.#entry(out, depth);
      this.#scan.skip();
      this.#scan.sign(',');
    }
  }

  #entry(into: HclMap, depth: number): void {
    const { line } = this.#scan;
    const key = this.#name();
    if (key === undefined)
      throw this.#scan.error(`${shown(this.#scan.peek())} where the name of a key should stand`);
    this.#scan.skip();
    if (this.#scan.sign('=') || this.#scan.sign(':')) {
      this.#put(into, key, this.#value(key, depth), line);
      return;
    }
    const labels: string[] = [];
    while (!this.#scan.sign('{')) {
      const label = this.#name();
      if (label === undefined)
        throw this.#scan.error(`'${key}' is followed by ${shown(this.#scan.peek())}, not by = or {`);
      labels.push(label);
      this.#scan.skip();
    }
    this.#block(into, [key, ...labels], line, depth);
  }

  #block(into: HclMap, path: readonly string[], line: number, depth: number): void {
    if (depth + path.length > depthMax) throw new HclError(line, `more than ${depthMax} levels of blocks`);
    let at = into;
    for (const key of path.slice(0, -1)) {
      const below = Object.hasOwn(at, key) ? at[key] : this.#map();
      if (typeof below !== 'object' || below === null || Array.isArray(below))
        throw twice(at, key, line, this.lines);
      if (!Object.hasOwn(at, key)) this.#put(at, key, below as HclMap, line);
      at = below as HclMap;
    }
    const key = path.at(-1) as string;
    const body = this.#entries('}', depth + path.length);
    const others = Object.hasOwn(at, key) ? at[key] : undefined;
    if (others === undefined) this.#put(at, key, [body], line);
    else if (Array.isArray(others) && this.#blocks.has(others)) (others as HclValue[]).push(body);
    else throw twice(at, key, line, this.lines);
    this.#blocks.add(at[key] as HclValue[]);
  }

  /** Lists that came of blocks, which may grow; those an attribute gave do not. */
  readonly #blocks = new WeakSet<readonly HclValue[]>();

  #value(key: string, depth: number): HclValue {
    if (depth > depthMax) throw this.#scan.error(`more than ${depthMax} levels of values`);
    this.#scan.skip();
    const scan = this.#scan;
    if (scan.sign('[')) return this.#list(key, depth + 1);
    if (scan.sign('{')) return this.#entries('}', depth + 1);
    const plain = scan.quoted() ?? scan.number() ?? scan.heredoc();
    if (plain !== undefined) return plain;
    const word = scan.identifier();
    if (word === 'true' || word === 'false') return word === 'true';
    if (word === 'null') return null;
    throw scan.error(
      word === undefined
        ? `${shown(scan.peek())} where the value of '${key}' should stand`
        : `'${key}' = ${word}: a text stands in quotes`,
    );
  }

  #list(key: string, depth: number): readonly HclValue[] {
    const out: HclValue[] = [];
    for (;;) {
      this.#scan.skip();
      if (this.#scan.sign(']')) return out;
      out.push(this.#value(key, depth));
      this.#scan.skip();
      if (this.#scan.sign(',')) continue;
      if (!this.#scan.sign(']')) throw this.#scan.error(`the list '${key}' goes on without a comma or ]`);
      return out;
    }
  }

  #name(): string | undefined {
    return this.#scan.identifier() ?? this.#scan.quoted();
  }

  /** Inherits nothing: `constructor` is only a key. */
  #map(): HclMap {
    const out = Object.create(null) as HclMap;
    this.lines.set(out, new Map());
    return out;
  }

  #put(into: HclMap, key: string, value: HclValue, line: number): void {
    if (Object.hasOwn(into, key)) throw twice(into, key, line, this.lines);
    into[key] = value;
    this.lines.get(into)?.set(key, line);
  }
}

function twice(map: HclMap, key: string, line: number, lines: Lines): HclError {
  return new HclError(line, `'${key}' stands here and on line ${lines.get(map)?.get(key)} already`);
}

function shown(character: string): string {
  if (character === '') return 'the end of the file';
  return character === '\n' ? 'the end of the line' : `'${character}'`;
}
