/**
 * automaton.ts: runs an expression over a text in time proportional to both, whatever the two are.
 *
 * All ways the expression could go are followed at once, one character at a time; no way is followed twice, so nothing
 * is ever tried again. Thompson, "Regular Expression Search Algorithm" (1968); Cox, "Regular Expression Matching: the
 * Virtual Machine Approach".
 * Lives here: tree to program, program over text. Must not live here: syntax (expression.ts).
 */
import { WireError } from '../errors.ts';
import { type CharTest, isWord } from './character-sets.ts';
import { type Assertion, parseExpression, type Tree } from './expression.ts';

/** Steps of a program; counted repetitions multiply. With text of 512 bytes this bounds a match to milliseconds. */
const programStepsMax = 8_192;

type Step =
  | { readonly kind: 'char'; readonly test: CharTest }
  | { readonly kind: 'assert'; readonly what: Assertion }
  | { readonly kind: 'fork'; readonly one: number; other: number }
  | { readonly kind: 'jump'; to: number }
  | { readonly kind: 'match' };

export interface Expression {
  /** Of its program: what a match costs at most, per character. */
  readonly steps: number;
  /** Whether it matches anywhere in `text`. */
  test(text: string): boolean;
}

/** Throws WireError 'bad_expression'. */
export function compileExpression(source: string): Expression {
  const program: Step[] = [];
  emit(program, parseExpression(source));
  push(program, { kind: 'match' });
  return { steps: program.length, test: (text) => run(program, text) };
}

function push(program: Step[], step: Step): number {
  if (program.length >= programStepsMax)
    throw new WireError('bad_expression', `a regular expression of more than ${programStepsMax} steps`);
  return program.push(step) - 1;
}

function emit(program: Step[], tree: Tree): void {
  switch (tree.kind) {
    case 'empty':
      return;
    case 'char':
      push(program, { kind: 'char', test: tree.test });
      return;
    case 'assert':
      push(program, { kind: 'assert', what: tree.what });
      return;
    case 'sequence':
      for (const part of tree.parts) emit(program, part);
      return;
    case 'choice':
      emitChoice(program, tree.parts);
      return;
    case 'repeat':
      emitRepeat(program, tree);
      return;
  }
}

function emitChoice(program: Step[], parts: readonly Tree[]): void {
  const ends: { to: number }[] = [];
  for (const [i, part] of parts.entries()) {
    if (i === parts.length - 1) {
      emit(program, part);
      break;
    }
    const fork = { kind: 'fork' as const, one: program.length + 1, other: 0 };
    push(program, fork);
    emit(program, part);
    const end = { kind: 'jump' as const, to: 0 };
    push(program, end);
    ends.push(end);
    fork.other = program.length;
  }
  for (const end of ends) end.to = program.length;
}

function emitRepeat(program: Step[], { body, min, max }: Extract<Tree, { kind: 'repeat' }>): void {
  for (let i = 0; i < min; i++) emit(program, body);
  if (max === Number.POSITIVE_INFINITY) {
    const fork = { kind: 'fork' as const, one: program.length + 1, other: 0 };
    const start = push(program, fork);
    emit(program, body);
    push(program, { kind: 'jump', to: start });
    fork.other = program.length;
    return;
  }
  const forks: { other: number }[] = [];
  for (let i = min; i < max; i++) {
    const fork = { kind: 'fork' as const, one: program.length + 1, other: 0 };
    push(program, fork);
    forks.push(fork);
    emit(program, body);
  }
  for (const fork of forks) fork.other = program.length;
}

function run(program: readonly Step[], text: string): boolean {
  const points = Array.from(text, (c) => c.codePointAt(0) ?? 0);
  let threads: number[] = [];
  const seen = new Int32Array(program.length).fill(-1);
  for (let at = 0; at <= points.length; at++) {
    // Unanchored: a match may also begin here. Threads still running were followed to this place already.
    if (follow(program, 0, at, points, seen, threads)) return true;
    const point = points[at];
    if (point === undefined) return false;
    const next: number[] = [];
    for (const pc of threads) {
      const step = program[pc];
      if (step?.kind === 'char' && step.test(point))
        if (follow(program, pc + 1, at + 1, points, seen, next)) return true;
    }
    threads = next;
  }
  return false;
}

/** Adds every character step reachable from `pc` without reading; true when the end is reachable. */
function follow(
  program: readonly Step[],
  pc: number,
  at: number,
  points: readonly number[],
  seen: Int32Array,
  threads: number[],
): boolean {
  const open = [pc];
  for (let here = open.pop(); here !== undefined; here = open.pop()) {
    if (seen[here] === at) continue;
    seen[here] = at;
    const step = program[here] as Step;
    switch (step.kind) {
      case 'match':
        return true;
      case 'char':
        threads.push(here);
        break;
      case 'jump':
        open.push(step.to);
        break;
      case 'fork':
        open.push(step.other, step.one);
        break;
      case 'assert':
        if (holds(step.what, points, at)) open.push(here + 1);
        break;
    }
  }
  return false;
}

function holds(what: Assertion, points: readonly number[], at: number): boolean {
  switch (what) {
    case 'textStart':
      return at === 0;
    case 'textEnd':
      return at === points.length;
    case 'lineStart':
      return at === 0 || points[at - 1] === 0x0a;
    case 'lineEnd':
      return at === points.length || points[at] === 0x0a;
    case 'wordBoundary':
      return word(points[at - 1]) !== word(points[at]);
    case 'noWordBoundary':
      return word(points[at - 1]) === word(points[at]);
  }
}

function word(point: number | undefined): boolean {
  return point !== undefined && isWord(point);
}
