/**
 * ports.ts: what this package asks of the world.
 *
 * Lives here: shapes. Must not live here: anything that implements them.
 */

/** Chance for keys and serial numbers: unguessable bytes. */
export type RandomBytes = (size: number) => Uint8Array;

/** Time and chance of whoever creates certificates. */
export interface Maker {
  readonly randomBytes: RandomBytes;
  /** Unix time in ms. */
  readonly now: () => number;
}

/** Files by path. `read` and `write` throw as node:fs does, with a `code` such as ENOENT. */
export interface TlsFiles {
  exists(path: string): boolean;
  read(path: string): string;
  /** `mode` as for open(2), before the umask. Must not overwrite. */
  write(path: string, text: string, mode: number): void;
}
