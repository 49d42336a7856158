/**
 * pattern.ts: `matches`: a stranger's regular expression, with Go's meaning and a bound on what it may cost.
 *
 * The engine is re2js, a port of RE2: what it takes and what its errors say is what Go's regexp takes and says, and matching
 * is linear in the text. Linear is not yet cheap: a program of a thousand steps over ten thousand long outputs would keep
 * everybody else waiting. So all matching for one question together has a budget, counted in steps, not in time: the
 * same question over the same rows is always answered alike.
 * Lives here: compiling and counting. Must not live here: which fields there are (fields.ts).
 */
import { RE2JS, RE2JSSyntaxException } from 're2js';
import { FilterError } from './expression.ts';

/** Steps (instructions of the program times characters) that one question may take: about a second at the very worst. */
const stepsMax = 100_000_000;

/** Whether a text contains a match of `expression`. Throws FilterError for what Go would not compile. */
export function pattern(expression: string): (text: string) => boolean {
  const program = compiled(expression);
  const size = program.programSize();
  let left = stepsMax;
  return (text) => {
    left -= size * (text.length + 1);
    if (left < 0)
      throw new FilterError(
        `the regular expression ${JSON.stringify(expression)} needs more than ${stepsMax} steps over these rows: use a simpler one, or select fewer rows with other matches before it`,
      );
    return program.test(text);
  };
}

function compiled(expression: string): RE2JS {
  try {
    return RE2JS.compile(expression);
  } catch (error) {
    if (!(error instanceof RE2JSSyntaxException)) throw error;
    throw new FilterError(
      `Failed to compile regular expression ${JSON.stringify(expression)}: ${error.message}`,
    );
  }
}
