/**
 * open.ts: from a directory to a running engine: lock, recover, replay, be ready.
 *
 * Lives here: the order of opening, and undoing it when a step fails. Must not live here: the steps.
 */
import type { EngineHooks, LogEngine, OpenEngine } from '../engine.ts';
import { EmbeddedLog } from './embedded-log.ts';
import { diskError } from './errors.ts';
import { nodeFs } from './fs.ts';
import type { EmbeddedLogOptions } from './options.ts';
import { recover } from './recover.ts';
import { SegmentWriter } from './segment-writer.ts';

/** The engine for `openFsm`: `openFsm({ engine: embeddedLog({ dir }) })`. */
export function embeddedLog(o: Omit<EmbeddedLogOptions, keyof EngineHooks>): OpenEngine {
  return (hooks) => openEmbeddedLog({ ...o, ...hooks });
}

/** Locks the directory, recovers what it holds into the state machine, and is ready to append. Throws LogError. */
export async function openEmbeddedLog(o: EmbeddedLogOptions): Promise<LogEngine> {
  const fs = o.fs ?? nodeFs;
  const { dir } = o;
  let lock: AsyncDisposable | undefined;
  try {
    await fs.mkdir(dir);
    lock = await fs.lock(dir);
    let replayed = 0;
    const recovered = await recover(fs, dir, {
      snapshot: ({ records, index }) => o.restore(records, index),
      entry: ({ index, command }) => {
        o.apply(index, command);
        replayed++;
      },
      torn: (tail) => o.log?.({ kind: 'torn_tail_cut', ...tail }),
    });
    const { lastIndex, snapshotIndex, snapshotBytes } = recovered;
    o.log?.({ kind: 'opened', lastIndex, snapshotIndex, replayed });
    const writer = new SegmentWriter(fs, dir, {
      segments: recovered.segments,
      segmentBytesMax: o.segmentBytesMax ?? 16 * 1024 * 1024,
    });
    if (recovered.rollFirst) writer.rollBeforeNext();
    return new EmbeddedLog(o, fs, lock, writer, { lastIndex, snapshotIndex, snapshotBytes });
  } catch (error) {
    await lock?.[Symbol.asyncDispose]();
    // Errors of the state machine (a snapshot it refuses) keep their own class; what has an errno came from the disk.
    throw (error as NodeJS.ErrnoException).syscall === undefined
      ? error
      : diskError(dir, 'cannot open the log', error);
  }
}
