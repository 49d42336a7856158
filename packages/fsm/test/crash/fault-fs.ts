/**
 * fault-fs.ts: a real file system that, at one chosen step, ends the process, and now and then fails.
 *
 * A step lies before or after an operation, or within a write, when half of its bytes are with the kernel. Lives here: the
 * LogFs around another. Must not live here: which step is chosen (rounds.ts).
 */
import type { LogFile, LogFs } from '../../src/log/fs.ts';
import type { Rng } from '../../src/ports.ts';

export const operations = [
  'write',
  'sync',
  'rename',
  'create',
  'open',
  'remove',
  'truncate',
  'syncDir',
] as const;
export type Operation = (typeof operations)[number];

export interface FaultPoint {
  readonly operation: Operation;
  readonly when: 'before' | 'within' | 'after';
  /** The how-manieth operation of this kind, from 1. */
  readonly nth: number;
}

export interface Faults {
  readonly kill: FaultPoint | undefined;
  /** One operation in so many fails; 0 for none. */
  readonly failsOneIn: number;
}

export function faultFs(inner: LogFs, faults: Faults, rng: Rng): LogFs {
  const done = new Map<Operation, number>();
  const around = async <T>(
    operation: Operation,
    work: (at: (when: FaultPoint['when']) => void) => Promise<T>,
  ): Promise<T> => {
    const count = (done.get(operation) ?? 0) + 1;
    done.set(operation, count);
    const at = (when: FaultPoint['when']): void => {
      const { kill } = faults;
      if (kill?.operation === operation && kill.when === when && kill.nth === count)
        process.kill(process.pid, 'SIGKILL');
    };
    at('before');
    if (faults.failsOneIn > 0 && rng.below(faults.failsOneIn) === 0) throw failure(operation, rng);
    const result = await work(at);
    at('after');
    return result;
  };
  const file = (opened: LogFile): LogFile => ({
    write: (bytes, position) =>
      around('write', async (at) => {
        const half = bytes.length >> 1;
        await opened.write(bytes.subarray(0, half), position);
        at('within');
        await opened.write(bytes.subarray(half), position + half);
      }),
    sync: () => around('sync', () => opened.sync()),
    truncate: (bytes) => around('truncate', () => opened.truncate(bytes)),
    size: () => opened.size(),
    close: () => opened.close(),
  });
  return {
    mkdir: (dir) => inner.mkdir(dir),
    list: (dir) => inner.list(dir),
    read: (path) => inner.read(path),
    create: (path) => around('create', async () => file(await inner.create(path))),
    open: (path) => around('open', async () => file(await inner.open(path))),
    rename: (from, to) => around('rename', () => inner.rename(from, to)),
    remove: (path) => around('remove', () => inner.remove(path)),
    syncDir: (dir) => around('syncDir', () => inner.syncDir(dir)),
    lock: (dir) => inner.lock(dir),
  };
}

function failure(operation: Operation, rng: Rng): Error {
  const code = ['ENOSPC', 'EIO', 'EROFS'][rng.below(3)] as string;
  return Object.assign(new Error(`${code}: ${operation}, as a test wants it`), { code, syscall: operation });
}
