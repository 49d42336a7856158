/**
 * lock.ts: one process per directory (I9), without trusting process numbers.
 *
 * Each opener first announces itself (a listening Unix socket in the directory), then knocks on every other socket it
 * finds there. Whoever answers is alive; the newcomer leaves. Whoever refuses is dead, and its socket is removed. Two who
 * start at once may both leave, but never both stay: for that, each would have had to knock before the other listened,
 * while each listens before it knocks. The kernel ends the announcement with the process, so kill -9, reused process
 * numbers and containers with numbers of their own need no guessing.
 * Lives here: taking and releasing. Must not live here: the log.
 */
import { randomBytes } from 'node:crypto';
import { open, readdir, rm } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { LogError } from './errors.ts';

const lockName = /^lock-(\d+)-[0-9a-f]{16}\.sock$/;

/** Longest path a Unix socket address takes everywhere, in bytes, with its final NUL (macOS 104, Linux 108). */
const socketPathBytesMax = 103;

export async function lockDirectory(dir: string): Promise<AsyncDisposable> {
  const name = `lock-${process.pid}-${randomBytes(8).toString('hex')}.sock`;
  await using address = await socketAddress(dir);
  const server = await announce(address.of(name), dir);
  try {
    for (;;) {
      const names = await readdir(dir);
      if (!names.includes(name)) throw heldBy(dir, 'of unknown number');
      const others = names.filter((other) => other !== name && lockName.test(other));
      for (const other of others) {
        if (await answers(address.of(other)))
          throw heldBy(dir, lockName.exec(other)?.[1] ?? 'of unknown number');
        await rm(join(dir, other), { force: true });
      }
      // Someone may have announced himself after our listing; only a listing without strangers ends it.
      if (others.length === 0) break;
    }
  } catch (error) {
    await closed(server);
    throw error;
  }
  // A forgotten log must not keep a finished program running; the lock goes with the process.
  server.unref();
  return { [Symbol.asyncDispose]: () => closed(server) };
}

function heldBy(dir: string, pid: string): LogError {
  return new LogError(
    'log_locked',
    dir,
    `${dir} is in use by process ${pid}; stop it, or use another directory`,
  );
}

function announce(path: string, dir: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((knock) => knock.on('error', () => {}).destroy());
    // Stays on: running out of descriptors while somebody knocks must not end the process.
    server.on('error', (cause: NodeJS.ErrnoException) => {
      const code =
        cause.code === 'ENOSPC'
          ? 'log_disk_full'
          : cause.code === 'EROFS' || cause.code === 'EACCES'
            ? 'log_read_only'
            : 'log_io';
      reject(new LogError(code, dir, `cannot lock ${dir}: ${cause.message}`, { cause }));
    });
    server.listen(path, () => resolve(server));
  });
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const knock = connect(path);
    knock.once('connect', () => {
      knock.destroy();
      resolve(true);
    });
    // Only a refusal, or nothing there, proves that nobody listens. Anything else, such as a full queue, is taken for life.
    knock.on('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT');
    });
  });
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}

/** Sockets of a directory with a long name are reached through a descriptor of the directory, where the system has that. */
async function socketAddress(dir: string): Promise<AsyncDisposable & { of(name: string): string }> {
  const longest = join(dir, `lock-${'9'.repeat(10)}-${'f'.repeat(16)}.sock`);
  if (Buffer.byteLength(longest) <= socketPathBytesMax)
    return { of: (name) => join(dir, name), async [Symbol.asyncDispose]() {} };
  if (process.platform !== 'linux')
    throw new LogError(
      'log_io',
      dir,
      `the path ${dir} is too long for a Unix socket; use a shorter directory`,
    );
  const handle = await open(dir, 'r');
  return {
    of: (name) => `/proc/self/fd/${handle.fd}/${name}`,
    [Symbol.asyncDispose]: () => handle.close(),
  };
}
