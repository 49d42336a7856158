/**
 * memory-fs.ts: a file system in memory that can fail and lose power.
 *
 * It keeps what a program wrote apart from what would be found after a power cut: content is durable after `sync`, names
 * after `syncDir`, everything else may or may not be there, in part, as chance decides.
 * Lives here: the memory twin of the LogFs port, for tests and simulation. Must not live here: the log.
 */
import { dirname } from 'node:path';
import type { Rng } from '../ports.ts';
import { LogError } from './errors.ts';
import type { LogFile, LogFs } from './fs.ts';

/** What a disk writes or does not write as a whole, in bytes. */
const sectorBytes = 512;

/** `current` begins where `room` does, and so may `durable`: a log that grows is copied neither by a write nor by a sync. */
type Inode = { room: Buffer; current: Buffer; durable: Buffer };
type Operation =
  | 'create'
  | 'open'
  | 'write'
  | 'sync'
  | 'truncate'
  | 'rename'
  | 'remove'
  | 'syncDir'
  | 'read'
  | 'list'
  | 'lock'
  | 'size';

export interface MemoryFs extends LogFs {
  /** Asked before each operation: an errno such as 'EIO' makes it fail. A failing `write` has written a part. */
  fault: (operation: Operation, path: string) => string | undefined;
  /** Bytes all files together may hold before ENOSPC. */
  capacityBytes: number;
  /** The power goes: locks end, open files are dead, unsynced names and bytes survive as chance decides. */
  crash(rng: Rng): void;
  /** A process is killed: locks end and open files are dead, but all that was written is there. */
  kill(): void;
  /** The content of a file, to look at or to damage. */
  bytesOf(path: string): Buffer;
  paths(): readonly string[];
}

export function createMemoryFs(): MemoryFs {
  let names = new Map<string, Inode>();
  let durableNames = new Map<string, Inode>();
  const locks = new Set<string>();
  let life = 0;
  /** Between its end and the next lock nobody is there: what an engine of before still tries must not happen. */
  let down = false;

  const check = (operation: Operation, path: string): void => {
    if (down) throw failure('EIO', operation, path);
    const errno = fs.fault(operation, path);
    if (errno !== undefined) throw failure(errno, operation, path);
  };
  const inode = (operation: Operation, path: string): Inode => {
    const found = names.get(path);
    if (found === undefined) throw failure('ENOENT', operation, path);
    return found;
  };
  const usedBytes = (): number => {
    let sum = 0;
    for (const { current } of names.values()) sum += current.length;
    return sum;
  };

  const openFile = (path: string, node: Inode): LogFile => {
    const born = life;
    const alive = (operation: Operation): void => {
      if (life !== born) throw failure('EBADF', operation, path);
      check(operation, path);
    };
    return {
      async write(bytes, position) {
        try {
          alive('write');
        } catch (error) {
          if (life === born && (error as NodeJS.ErrnoException).code !== 'EROFS')
            put(node, bytes.subarray(0, bytes.length >>> 1), position);
          throw error;
        }
        const room = fs.capacityBytes - usedBytes() - Math.max(0, position - node.current.length);
        const fits = Math.max(0, Math.min(bytes.length, room + Math.max(0, node.current.length - position)));
        put(node, bytes.subarray(0, fits), position);
        if (fits < bytes.length) throw failure('ENOSPC', 'write', path);
      },
      async sync() {
        alive('sync');
        node.durable = node.current;
      },
      async truncate(bytes) {
        alive('truncate');
        const { length } = node.current;
        if (bytes > length) put(node, new Uint8Array(bytes - length), length);
        else node.current = node.room.subarray(0, bytes);
      },
      async size() {
        alive('size');
        return node.current.length;
      },
      async close() {},
    };
  };

  const end = (): void => {
    life++;
    down = true;
    locks.clear();
  };

  const fs: MemoryFs = {
    fault: () => undefined,
    capacityBytes: Number.POSITIVE_INFINITY,
    async mkdir() {},
    async list(dir) {
      check('list', dir);
      return [...names.keys()]
        .filter((path) => dirname(path) === dir)
        .map((path) => path.slice(dir.length + 1));
    },
    async read(path) {
      check('read', path);
      return Buffer.from(inode('read', path).current);
    },
    async create(path) {
      check('create', path);
      if (names.has(path)) throw failure('EEXIST', 'create', path);
      const none = Buffer.alloc(0);
      const node: Inode = { room: none, current: none, durable: none };
      names.set(path, node);
      return openFile(path, node);
    },
    async open(path) {
      check('open', path);
      return openFile(path, inode('open', path));
    },
    async rename(from, to) {
      check('rename', from);
      names.set(to, inode('rename', from));
      names.delete(from);
    },
    async remove(path) {
      check('remove', path);
      names.delete(path);
    },
    async syncDir(dir) {
      check('syncDir', dir);
      for (const path of durableNames.keys())
        if (dirname(path) === dir && !names.has(path)) durableNames.delete(path);
      for (const [path, node] of names) if (dirname(path) === dir) durableNames.set(path, node);
    },
    async lock(dir) {
      down = false;
      check('lock', dir);
      if (locks.has(dir)) throw new LogError('log_locked', dir, `${dir} is in use`);
      locks.add(dir);
      const born = life;
      return {
        async [Symbol.asyncDispose]() {
          if (life === born) locks.delete(dir);
        },
      };
    },
    crash(rng) {
      end();
      for (const path of new Set([...names.keys(), ...durableNames.keys()])) {
        const survivor =
          names.get(path) !== durableNames.get(path) && rng.below(2) === 0 ? names : durableNames;
        const node = survivor.get(path);
        if (node === undefined) durableNames.delete(path);
        else durableNames.set(path, node);
      }
      for (const node of new Set(durableNames.values())) node.room = node.current = afterPowerCut(node, rng);
      names = new Map(durableNames);
      for (const node of names.values()) node.durable = Buffer.from(node.current);
      durableNames = new Map(names);
    },
    kill: end,
    bytesOf(path) {
      const node = inode('read', path);
      node.durable = Buffer.from(node.durable); // what is damaged now was not damaged when it was synced
      return node.current;
    },
    paths: () => [...names.keys()].sort(),
  };
  return fs;
}

function put(node: Inode, bytes: Uint8Array, position: number): void {
  const { length } = node.current;
  const end = Math.max(length, position + bytes.length);
  const isDurable =
    node.durable.buffer === node.room.buffer && Math.min(position, length) < node.durable.length;
  if (isDurable || end > node.room.length) {
    node.room = Buffer.alloc(end > node.room.length ? Math.max(end, 2 * node.room.length) : end);
    node.current.copy(node.room);
  } else if (position > length) node.room.fill(0, length, position);
  node.room.set(bytes, position);
  node.current = node.room.subarray(0, end);
}

/** Of the bytes that were not synced, any number of the first are there, and any sector of those may be zeros. */
function afterPowerCut(node: Inode, rng: Rng): Buffer {
  const { current, durable } = node;
  if (current.length <= durable.length) return Buffer.from(rng.below(2) === 0 ? current : durable);
  const kept = durable.length + rng.below(current.length - durable.length + 1);
  const found = Buffer.from(current.subarray(0, kept));
  durable.copy(found);
  for (let at = durable.length; at < kept; ) {
    const sectorEnd = Math.min(kept, (Math.floor(at / sectorBytes) + 1) * sectorBytes);
    if (rng.below(4) === 0) found.fill(0, at, sectorEnd);
    at = sectorEnd;
  }
  return found;
}

function failure(errno: string, syscall: string, path: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${errno}: ${syscall} ${path}`), { code: errno, syscall, path });
}
