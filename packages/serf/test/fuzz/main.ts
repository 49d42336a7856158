/**
 * main.ts: `npm run fuzz`: a million strange inputs for every parser of gossip.
 *
 * Half are recorded bytes, spoiled (mutate.ts); the other half is fast-check's own idea of bytes, spoiled ones among
 * them, and when one of those fails it is shrunk. An input fails the run when it causes anything but a value or the
 * parser's own refusal, when the result is out of its bounds, when it takes longer than `inputMsMax`, or when the
 * process has grown by more than `growthBytesMax` meanwhile. Lives here: the loop and its bounds.
 */
import { commandLine } from '@fed/tooling/command-line';
import fc from 'fast-check';
import { Dice, mutate } from './mutate.ts';
import { type Parser, parsers } from './parsers.ts';

/** Of resident memory, over the whole run: garbage of a million inputs included, a parser that hoards excluded. */
const growthBytesMax = 256 * 1024 * 1024;
/** For one input of at most 8 KiB. An expression that backtracks or a count that is believed takes longer. */
const inputMsMax = 2_000;
const inputsBetweenLooks = 2_000;

const names = parsers.map(({ name }) => `'${name}'`).join(', ');
const { values, refuse, integer } = commandLine(
  `npm run fuzz -- [--inputs 1000000] [--seed S] [--only PARSER]      strange inputs, so many for every parser\n\nparsers: ${names}`,
  {
    inputs: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    only: { type: 'string' },
  },
);
const inputs = integer('inputs', values.inputs);
const seed = integer('seed', values.seed, 0);
const asked = parsers.filter(({ name }) => values.only === undefined || name === values.only);
if (asked.length === 0) refuse(`--only ${values.only}: no such parser`);

/** What one parser was given, and how it took it. */
class Tally {
  inputs = 0;
  refused = 0;
  slowestMs = 0;
  readonly #parser: Parser;

  constructor(parser: Parser) {
    this.#parser = parser;
  }

  give(input: Uint8Array): void {
    this.inputs++;
    const began = performance.now();
    try {
      this.#parser.read(input);
    } catch (cause) {
      if (!this.#parser.refusals.some((refusal) => cause instanceof refusal)) throw cause;
      this.refused++;
    }
    const tookMs = performance.now() - began;
    this.slowestMs = Math.max(this.slowestMs, tookMs);
    if (tookMs > inputMsMax) throw new Error(`took ${Math.round(tookMs)} ms`);
    if (this.inputs % inputsBetweenLooks === 0) lookAtMemory();
  }
}

let rssBefore = 0;
let rssMax = 0;

function lookAtMemory(): void {
  rssMax = Math.max(rssMax, process.memoryUsage.rss());
  if (rssMax - rssBefore > growthBytesMax)
    throw new Error(`the process grew by ${mib(rssMax - rssBefore)}, ${mib(growthBytesMax)} are allowed`);
}

function mib(bytes: number): string {
  return `${Math.round(bytes / 1024 / 1024)} MiB`;
}

console.log(`fuzz: ${inputs} inputs, ${asked.length} parsers, seed ${seed}`);
const began = performance.now();
let given = 0;
// Compiled and warm before memory counts, so that what grows afterwards is what inputs leave behind.
for (const parser of asked) for (const input of parser.corpus) warm(parser, input);
rssBefore = process.memoryUsage.rss();

for (const [index, parser] of asked.entries()) {
  const share = Math.floor(inputs / asked.length) + (index < inputs % asked.length ? 1 : 0);
  const tally = new Tally(parser);
  spoil(parser, tally, Math.ceil(share / 2), seed + index);
  invent(parser, tally, share - Math.ceil(share / 2), seed + index);
  given += tally.inputs;
  const { refused, slowestMs } = tally;
  console.log(
    `  ${parser.name.padEnd(28)} ${tally.inputs} inputs from ${parser.corpus.length} recorded, ${refused} refused, slowest ${slowestMs.toFixed(1)} ms`,
  );
}
lookAtMemory();
const tookS = ((performance.now() - began) / 1000).toFixed(1);
console.log(
  `fuzz: ${given} inputs in ${tookS} s, none got through; memory grew by ${mib(rssMax - rssBefore)} of the ${mib(growthBytesMax)} allowed; again: --seed ${seed}`,
);

function spoil(parser: Parser, tally: Tally, count: number, seedOfParser: number): void {
  const dice = new Dice(seedOfParser);
  for (let i = 0; i < count; i++) {
    const input = mutate(parser.corpus, dice);
    try {
      tally.give(input);
    } catch (cause) {
      console.error(`${parser.name}: input ${i} of seed ${seed}: ${Buffer.from(input).toString('hex')}`);
      throw cause;
    }
  }
}

function invent(parser: Parser, tally: Tally, count: number, seedOfParser: number): void {
  if (count === 0) return;
  const spoiled = fc.integer().map((n) => mutate(parser.corpus, new Dice(n)));
  const invented = fc.uint8Array({ maxLength: 200 });
  const begun = fc
    .tuple(fc.constantFrom(...parser.corpus), fc.nat({ max: 64 }), invented)
    .map(([start, keep, rest]) => Buffer.concat([start.subarray(0, keep), rest]));
  fc.assert(
    fc.property(fc.oneof(spoiled, invented, begun), (input) => tally.give(input)),
    { seed: seedOfParser, numRuns: count },
  );
}

function warm(parser: Parser, input: Uint8Array): void {
  try {
    parser.read(input);
  } catch (cause) {
    if (!parser.refusals.some((refusal) => cause instanceof refusal)) throw cause;
  }
}
