/**
 * hcl-scanner.ts: the letters of HCL: blanks and comments, names, numbers, quoted texts, heredocs; and where each stands.
 *
 * Lives here: what one word is. Must not live here: how words make attributes and blocks (hcl.ts).
 * Source: HCL native syntax specification, "Lexical Elements" and "Template Expressions"; hashicorp/hcl v1 README for
 * what configuration files of the original may hold.
 */

/** What is wrong with a file, and on which line (from 1). */
export class HclError extends Error {
  override readonly name = 'HclError';
  readonly code = 'bad_hcl';
  readonly line: number;

  constructor(line: number, problem: string) {
    super(problem);
    this.line = line;
  }
}

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', '"': '"', '\\': '\\' };

export class Scanner {
  readonly #text: string;
  #at = 0;
  #counted = { at: 0, line: 1 };

  constructor(text: string) {
    this.#text = text.replace(/^\uFEFF/, '');
  }

  /** The line of the next character. */
  get line(): number {
    // Asked for in ascending order: each character is looked at once.
    for (let i = this.#counted.at; i < this.#at; i++) if (this.#text[i] === '\n') this.#counted.line++;
    this.#counted.at = this.#at;
    return this.#counted.line;
  }

  get atEnd(): boolean {
    return this.#at >= this.#text.length;
  }

  /** Passes over blanks, line ends and comments. */
  skip(): void {
    this.#match(/(?:[ \t\r\n]|#[^\n]*|\/\/[^\n]*|\/\*[\s\S]*?\*\/)*/y);
    if (this.#text.startsWith('/*', this.#at)) throw this.error('a comment begins with /* and does not end');
  }

  /** Takes `sign` if it is next. */
  sign(sign: string): boolean {
    if (!this.#text.startsWith(sign, this.#at)) return false;
    this.#at += sign.length;
    return true;
  }

  peek(): string {
    return this.#text[this.#at] ?? '';
  }

  /** A name, which begins with a letter or underscore. */
  identifier(): string | undefined {
    return this.#match(/[\p{ID_Start}_][\p{ID_Continue}-]*/uy);
  }

  number(): number | undefined {
    const found = this.#match(/-?\d[\w.]*(?:(?<=[eE])[+-]\w+)?/y);
    if (found === undefined) return undefined;
    if (!/^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/.test(found))
      throw this.error(`${found} is not a number: write it in decimal, without leading zeros`);
    return Number(found) + 0; // no negative zero
  }

  /** A text in double quotes, on one line. */
  quoted(): string | undefined {
    if (!this.sign('"')) return undefined;
    let out = '';
    for (;;) {
      out += this.#match(/[^"\\\n$]*/y);
      const next = this.peek();
      if (next === '' || next === '\n') throw this.error('a text begins with " and does not end on its line');
      this.#at++;
      if (next === '"') return out;
      if (next === '\\') out += this.#escaped();
      else out += this.#dollar();
    }
  }

  /** `<<END` or `<<-END`, the lines up to one with END alone. */
  heredoc(): string | undefined {
    const line = this.line;
    const flush = this.sign('<<-');
    if (!flush && !this.sign('<<')) return undefined;
    const end = this.identifier();
    if (end === undefined || this.#match(/\r?\n/y) === undefined)
      throw new HclError(line, '<< must be followed by a name and the end of the line');
    const lines: string[] = [];
    for (;;) {
      if (this.atEnd) throw new HclError(line, `the text that begins with <<${end} does not end`);
      const next = this.#match(/[^\n]*/y) as string;
      if (next.trim() === end) break;
      if (/(?<!\$)\$\{/.test(next)) throw this.error(noInterpolation);
      lines.push(next);
      this.sign('\n');
    }
    return (flush ? flushed(lines) : lines).map((next) => `${next}\n`).join('');
  }

  error(problem: string): HclError {
    return new HclError(this.line, problem);
  }

  #escaped(): string {
    const code = this.#match(/u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}/y);
    if (code !== undefined) {
      const point = Number.parseInt(code.slice(1), 16);
      if (point > 0x10ffff) throw this.error(`\\${code} is beyond what Unicode has`);
      return String.fromCodePoint(point);
    }
    const letter = this.peek();
    const meant = escapes[letter];
    if (meant === undefined) throw this.error(`\\${letter} has no meaning; a backslash is written \\\\`);
    this.#at++;
    return meant;
  }

  #dollar(): string {
    if (this.peek() === '{') throw this.error(noInterpolation);
    return this.sign('${') ? '${' : '$';
  }

  #match(sticky: RegExp): string | undefined {
    sticky.lastIndex = this.#at;
    const found = sticky.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }
}

const noInterpolation =
  'configuration has no variables: to have the characters themselves, write $ twice before the brace';

/** Without the indentation that all lines which say something have in common; the others stay as they are. */
function flushed(lines: readonly string[]): readonly string[] {
  const indentOf = (line: string): number => line.length - line.trimStart().length;
  const least = Math.min(...lines.filter((line) => line.trim() !== '').map(indentOf));
  return lines.map((line) => (line.trim() === '' ? line : line.slice(least)));
}
