/**
 * verbs.ts: our half of the dialogue in which main.go is the other: a stream's first byte says what its acceptor does.
 *
 * E echoes, S sums up, W sums up after a release, Q quits early; main.go has the words. Lives here: accepting and
 * opening such streams, and bytes to send on them. Must not live here: sessions, expectations.
 */
import { createHash, type Hash } from 'node:crypto';
import { once } from 'node:events';
import { pipeline } from 'node:stream/promises';
import type { YamuxStream } from '@fed/rpc';

/** What an accepted stream brought: its verb and, for S and W, the SHA-256 of the rest. */
export interface Served {
  readonly verb: string;
  readonly sha256?: string;
}

/** Does what the stream's first byte asks for. Rejects when the stream breaks. */
export async function serve(stream: YamuxStream, released: Promise<void>): Promise<Served> {
  const verb = Buffer.from(await take(stream, 1)).toString();
  if (verb === 'E')
    await pipeline(
      stream,
      async function* (parts: AsyncIterable<Uint8Array>) {
        yield* parts;
      },
      stream,
      { end: true },
    );
  else if (verb === 'S' || verb === 'W') {
    if (verb === 'W') await released;
    const sum = createHash('sha256');
    for await (const part of stream) sum.update(part as Uint8Array);
    const sha256 = sum.digest();
    stream.end(sha256);
    return { verb, sha256: sha256.toString('hex') };
  } else if (verb === 'Q') {
    await take(stream, Buffer.from(await take(stream, 4)).readUInt32BE());
    stream.end('bye', () => stream.destroy());
  } else throw new Error(`a stream asks for '${verb}'`);
  return { verb };
}

/** Exactly `bytes` bytes of the stream. */
export async function take(stream: YamuxStream, bytes: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let missing = bytes;
  while (missing > 0) {
    const part = stream.read() as Buffer | null;
    if (part === null) {
      if (stream.readableEnded) throw new Error(`the stream ended ${missing} bytes early`);
      await stirring(stream);
      if (stream.destroyed) throw stream.errored ?? new Error(`the stream closed ${missing} bytes early`);
      continue;
    }
    parts.push(part.subarray(0, missing));
    if (part.length > missing) stream.unshift(part.subarray(missing));
    missing -= part.length;
  }
  return Buffer.concat(parts);
}

/** Resolves when there may be something to read, or never will be again. */
function stirring(stream: YamuxStream): Promise<void> {
  return new Promise((resolve) => {
    const events = ['readable', 'end', 'close'] as const;
    const stirred = (): void => {
      for (const event of events) stream.off(event, stirred);
      resolve();
    };
    for (const event of events) stream.on(event, stirred);
  });
}

/** Writes `bytes` bytes that never repeat a block, feeding them to `sum` on the way. */
export async function pour(stream: YamuxStream, bytes: number, sum: Hash): Promise<void> {
  const seed = Buffer.alloc(65_536);
  for (let at = 0; at < seed.length; at += 4) seed.writeUInt32LE(Math.imul(at + 1, 2_654_435_761) >>> 0, at);
  for (let block = 0, left = bytes; left > 0; block += 1) {
    const part = Buffer.from(seed.subarray(0, Math.min(left, seed.length)));
    if (part.length >= 4) part.writeUInt32LE(block);
    sum.update(part);
    left -= part.length;
    if (!stream.write(part)) await once(stream, 'drain');
  }
}
