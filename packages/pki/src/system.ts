/**
 * system.ts: the machine's own files, clock and chance.
 *
 * Lives here: the one use of node:fs and Date in this package. Must not live here: any decision.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import type { Maker, TlsFiles } from './ports.ts';

export const systemFiles: TlsFiles = {
  exists: (path) => existsSync(path),
  read: (path) => readFileSync(path, 'utf8'),
  write: (path, text, mode) => writeFileSync(path, text, { mode, flag: 'wx' }),
};

export const systemMaker: Maker = { randomBytes: (size) => randomBytes(size), now: () => Date.now() };
