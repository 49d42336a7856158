import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compileExpression } from './automaton.ts';

const matches = (source: string, text: string): boolean => compileExpression(source).test(text);

describe('expressions that Go accepts', () => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ['', 'anything', true],
    ['web', 'my web server', true],
    ['^web.*', 'web-1', true],
    ['^web.*', 'aweb-1', false],
    ['^$', '', true],
    ['^$', 'x', false],
    ['a|b|', 'x', true],
    ['^(a|b)+$', 'abba', true],
    ['^(a|b)+$', 'abca', false],
    ['^a{2,3}$', 'aa', true],
    ['^a{2,3}$', 'aaaa', false],
    ['^a{2,}?$', 'aaaa', true],
    ['^a{0}b$', 'b', true],
    ['a{,2}', 'a{,2}', true],
    ['a{x', 'a{x', true],
    ['^[a-c-]+$', 'a-c', true],
    ['^[]x]+$', ']x', true],
    ['^[^a-c]$', 'd', true],
    ['^[^a-c]$', '\n', true],
    ['^.$', '\n', false],
    ['(?s)^.$', '\n', true],
    ['(?i)^WEB$', 'wEb', true],
    ['(?i:W)eb', 'wEb', false],
    ['(?i)^[a-c]+$', 'aBC', true],
    ['(?i-s)^a.', 'Ab', true],
    ['(?m)^b$', 'a\nb\nc', true],
    ['^b$', 'a\nb\nc', false],
    ['\\bcat\\b', 'a cat sat', true],
    ['\\bcat\\b', 'concat', false],
    ['\\Bcat', 'concat', true],
    ['^\\d+\\.\\d+$', '1.20', true],
    ['^\\w\\W\\s\\S\\D$', 'a- xy', true],
    ['^[\\d.]+$', '10.0.0.1', true],
    ['^[[:alpha:][:^upper:]]+$', 'ab', true],
    ['^\\pL\\p{Greek}\\P{Lu}$', 'zαb', true],
    ['^\\p{^Lu}$', 'A', false],
    ['\\x41\\x{1F600}', 'A\u{1f600}', true],
    ['^.$', '\u{1f600}', true],
    ['\\101', 'A', true],
    ['\\Qa.b*\\E', 'a.b*', true],
    ['^\\Qab\\E+$', 'abbb', true],
    ['(?P<name>x)(?<other>y)', 'xy', true],
    ['\\A\\.\\-\\z', '.-', true],
    ['x*', '', true],
    ['(x*)*y', 'xxxy', true],
    ['(|a)+$', 'aaa', true],
  ];
  for (const [source, text, expected] of cases)
    test(`/${source}/ ${expected ? 'matches' : 'does not match'} ${JSON.stringify(text)}`, () =>
      expect(matches(source, text)).toBe(expected));
});

describe('expressions that Go refuses', () => {
  for (const source of [
    '(',
    ')',
    '[',
    '[b-a]',
    '*a',
    'a**',
    '(|*)',
    'a{1001}',
    'a{3,2}',
    '\\1',
    '(?=a)',
    '(?!a)',
    '(?<!a)',
    '\\',
    '\\y',
    '\\p{Nonsense}',
    '[[:nonsense:]]',
    '[[:constructor:]]',
    '\\x{110000}',
    '(?z)a',
    '\\8',
    '\\xg1',
    'a{2}{3}',
  ])
    test(`/${source}/ is refused`, () =>
      expect(() => compileExpression(source)).toThrowError(
        expect.objectContaining({ code: 'bad_expression' }),
      ));

  test('a program that counts would make huge is refused', () =>
    expect(() => compileExpression('((a{100}){100}){100}')).toThrowError(
      expect.objectContaining({ code: 'bad_expression' }),
    ));

  test('groups nested too deep are refused, not run into the stack', () =>
    expect(() => compileExpression('('.repeat(10_000))).toThrowError(
      expect.objectContaining({ code: 'bad_expression' }),
    ));
});

test('an expression on which a backtracking engine never ends is answered at once', () =>
  expect(matches('^(a|a|aa)*(a+)+$', `${'a'.repeat(400)}!`)).toBe(false));

test('repetitions of nothing cost nothing, however deep', () => {
  expect(matches(`^${'('.repeat(200)}x{0}${'){1000}'.repeat(200)}$`, '')).toBe(true);
  expect(matches(`^${'('.repeat(200)}()()${'){1000}'.repeat(200)}$`, '')).toBe(true);
});

test('any expression either compiles or is refused with a code, and agrees with JavaScript where both speak', () => {
  const piece = fc.constantFrom(
    'a',
    'b',
    '.',
    '*',
    '+',
    '?',
    '(',
    ')',
    '|',
    '[ab]',
    '[^a]',
    '^',
    '$',
    '\\d',
    '{2}',
    '1',
  );
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 8 }),
      fc.array(fc.constantFrom('a', 'b', '1'), { maxLength: 6 }),
      (pieces, letters) => {
        const source = pieces.join('');
        const text = letters.join('');
        let ours: boolean;
        try {
          ours = matches(source, text);
        } catch (cause) {
          expect(cause).toMatchObject({ code: 'bad_expression' });
          return;
        }
        let theirs: boolean;
        try {
          theirs = new RegExp(source, 'u').test(text);
        } catch {
          return; // JavaScript refuses what Go takes, such as ^*
        }
        expect({ source, text, matches: ours }).toEqual({ source, text, matches: theirs });
      },
    ),
    { numRuns: 2_000 },
  );
});
