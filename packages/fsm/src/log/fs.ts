/**
 * fs.ts: all that the log asks of a file system, so that a test can break it at any point.
 *
 * Lives here: the port, and the real one over node:fs. Must not live here: formats, recovery, locking (lock.ts).
 */
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { lockDirectory } from './lock.ts';

export interface LogFs {
  /** Creates the directory and its parents; fine when it exists. */
  mkdir(dir: string): Promise<void>;
  /** Names of the entries. */
  list(dir: string): Promise<readonly string[]>;
  read(path: string): Promise<Uint8Array>;
  /** A new file for writing; fails when the name is taken. */
  create(path: string): Promise<LogFile>;
  /** An existing file for writing. */
  open(path: string): Promise<LogFile>;
  /** Replaces `to` in one step. Durable only after syncDir. */
  rename(from: string, to: string): Promise<void>;
  /** Fine when there is no such file. */
  remove(path: string): Promise<void>;
  /** Makes creations, renames and removals in the directory durable. */
  syncDir(dir: string): Promise<void>;
  /** Excludes every other process until disposed or dead; throws LogError `log_locked`. */
  lock(dir: string): Promise<AsyncDisposable>;
}

export interface LogFile {
  /** Writes all of it or throws; after a throw any part may have been written. */
  write(bytes: Uint8Array, position: number): Promise<void>;
  /** Makes content and size durable. */
  sync(): Promise<void>;
  truncate(bytes: number): Promise<void>;
  size(): Promise<number>;
  close(): Promise<void>;
}

export const nodeFs: LogFs = {
  async mkdir(dir) {
    const first = await mkdir(dir, { recursive: true });
    if (first === undefined) return;
    // A directory is an entry of its parent, and as easily lost as any other.
    for (let made = resolve(dir); ; made = dirname(made)) {
      await this.syncDir(dirname(made));
      if (made === resolve(first)) return;
    }
  },
  list: (dir) => readdir(dir),
  read: (path) => readFile(path),
  create: async (path) => file(await open(path, 'wx', 0o600)),
  open: async (path) => file(await open(path, 'r+')),
  rename,
  remove: (path) => rm(path, { force: true }),
  async syncDir(dir) {
    await using handle = await open(dir, 'r');
    await handle.sync();
  },
  lock: lockDirectory,
};

function file(handle: FileHandle): LogFile {
  return {
    async write(bytes, position) {
      // A disk that fills up writes a part and reports it as success; asking for the rest brings the error.
      for (let done = 0; done < bytes.length; ) {
        const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done);
        done += bytesWritten;
      }
    },
    sync: () => handle.datasync(),
    truncate: (bytes) => handle.truncate(bytes),
    size: async () => (await handle.stat()).size,
    close: () => handle.close(),
  };
}
