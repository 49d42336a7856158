/**
 * command-line.ts: the flags of programs that developers run. `--help` and mistakes are answered with the usage, not a stack.
 *
 * Must not live here: what a flag means; the flags of `fed` and `fed-mesh-gateway`, which have tables of their own.
 */
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';

type Values<O extends ParseArgsOptionsConfig> = ReturnType<typeof parseArgs<{ options: O }>>['values'];

export interface CommandLine<O extends ParseArgsOptionsConfig> {
  readonly values: Values<O>;
  /** Says what is wrong with the command line, and ends the program with 2. */
  readonly refuse: (why: string) => never;
  /** A flag that must be an integer from `min` on; refused if it is not. */
  readonly integer: (flag: keyof O & string, text: string, min?: number) => number;
}

/** Ends the program with 0 after `--help`, and with 2 after a flag that is none of these. */
export function commandLine<const O extends ParseArgsOptionsConfig>(
  usage: string,
  options: O,
): CommandLine<O> {
  const refuse = (why: string): never => {
    console.error(`${why}\n\n${usage}`);
    process.exit(2);
  };
  if (process.argv.slice(2).some((word) => word === '--help' || word === '-h')) {
    console.log(usage);
    process.exit(0);
  }
  const integer = (flag: string, text: string, min = 1): number => {
    const n = Number(text);
    return Number.isInteger(n) && n >= min ? n : refuse(`--${flag} ${text}: give an integer, ${min} or more`);
  };
  try {
    const args = process.argv.slice(2).filter((word) => word !== '--');
    return { values: parseArgs({ args, options }).values as Values<O>, refuse, integer };
  } catch (error) {
    return refuse((error as Error).message);
  }
}
