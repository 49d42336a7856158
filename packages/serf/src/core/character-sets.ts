/**
 * character-sets.ts: the named sets of characters of RE2: \d, [:alpha:], \p{Greek}, and case folding.
 *
 * Lives here: sets by name. Must not live here: the syntax around them (expression.ts).
 */

/** Whether one code point is meant. */
export type CharTest = (codePoint: number) => boolean;

/** Letters, digits and underscore of ASCII: what \w and \b mean in RE2. */
export const isWord: CharTest = (p) =>
  (p >= 0x30 && p <= 0x39) || (p >= 0x41 && p <= 0x5a) || p === 0x5f || (p >= 0x61 && p <= 0x7a);

/** \d, \s, \w. */
export const perlSets: Readonly<Record<string, CharTest>> = {
  d: (p) => p >= 0x30 && p <= 0x39,
  s: (p) => p === 9 || p === 10 || p === 12 || p === 13 || p === 0x20,
  w: isWord,
};

/** By the name inside [: :]. A map, because the names are the peers' choice. */
export const posixSets: ReadonlyMap<string, CharTest> = new Map<string, CharTest>([
  ['alnum', ascii(/[0-9A-Za-z]/)],
  ['alpha', ascii(/[A-Za-z]/)],
  ['ascii', (p) => p < 0x80],
  ['blank', ascii(/[\t ]/)],
  ['cntrl', (p) => p < 0x20 || p === 0x7f],
  ['digit', ascii(/[0-9]/)],
  ['graph', (p) => p > 0x20 && p < 0x7f],
  ['lower', ascii(/[a-z]/)],
  ['print', (p) => p >= 0x20 && p < 0x7f],
  ['punct', ascii(/[!-/:-@[-`{-~]/)],
  ['space', (p) => (p >= 9 && p <= 13) || p === 0x20],
  ['upper', ascii(/[A-Z]/)],
  ['word', isWord],
  ['xdigit', ascii(/[0-9A-Fa-f]/)],
]);

function ascii(set: RegExp): CharTest {
  return (p) => p < 0x80 && set.test(String.fromCharCode(p));
}

export function not(test: CharTest): CharTest {
  return (p) => !test(p);
}

/** True when any case form of a code point passes. */
export function anyCase(test: CharTest): CharTest {
  return (p) => {
    const c = String.fromCodePoint(p);
    const upper = c.toUpperCase();
    return [c, c.toLowerCase(), upper, upper.toLowerCase()].some(
      (form) => Array.from(form).length === 1 && test(form.codePointAt(0) ?? 0),
    );
  };
}

/** A general category (Lu, N) or a script (Greek), by the names Unicode gives them; undefined for any other. */
export function unicodeSet(name: string): CharTest | undefined {
  if (name === 'Any') return () => true;
  if (!/^[A-Za-z_]{1,40}$/.test(name)) return undefined;
  try {
    // One code point against one class: nothing to backtrack over.
    const set = new RegExp(
      name.length <= 2 ? `^\\p{General_Category=${name}}$` : `^\\p{Script=${name}}$`,
      'u',
    );
    return (p) => set.test(String.fromCodePoint(p));
  } catch {
    return undefined;
  }
}
