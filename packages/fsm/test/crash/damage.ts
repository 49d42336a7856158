/**
 * damage.ts: what a power cut and a bad disk do to the files of a log whose process is dead.
 *
 * `tearTail` adds what an unfinished write leaves behind; opening cuts it. `flipBit` changes one bit of what once was durable;
 * opening must say so, or not have needed it.
 */
import { appendFile, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeFrame } from '../../src/log/segment.ts';
import type { Rng } from '../../src/ports.ts';

const segment = /^segment-/;
const durable = /^(?:segment|snapshot)-/;

/** Returns what was done, for the story; undefined when there is no segment yet. */
export async function tearTail(dir: string, nextIndex: number, rng: Rng): Promise<string | undefined> {
  const last = (await readdir(dir))
    .filter((name) => segment.test(name))
    .sort()
    .at(-1);
  if (last === undefined) return undefined;
  const commands = Array.from({ length: 1 + rng.below(4) }, () => Buffer.alloc(1 + rng.below(2000), 0x79));
  const frame = Buffer.from(encodeFrame(nextIndex, commands));
  const kept = 1 + rng.below(frame.length - 1);
  await appendFile(join(dir, last), frame.subarray(0, kept));
  return `${kept} of ${frame.length} bytes of a frame at the end of ${last}`;
}

export async function flipBit(dir: string, rng: Rng): Promise<string | undefined> {
  const names = (await readdir(dir)).filter((name) => durable.test(name)).sort();
  const name = names[rng.below(Math.max(1, names.length))];
  if (name === undefined) return undefined;
  const bytes = await readFile(join(dir, name));
  if (bytes.length === 0) return undefined;
  const at = rng.below(bytes.length);
  const bit = rng.below(8);
  bytes[at] = (bytes[at] as number) ^ (1 << bit);
  await writeFile(join(dir, name), bytes);
  return `bit ${bit} of byte ${at} of ${name}`;
}
