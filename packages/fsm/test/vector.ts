/** Reads a recorded vector; see vectors/README.md. */
import { readFileSync } from 'node:fs';

export interface Recorded {
  readonly hex: string;
  readonly decoded: unknown;
  readonly raftLog: readonly {
    readonly name: string;
    readonly hex: string;
    readonly decoded: { readonly Op: string; readonly Datacenter: string; readonly State: unknown };
  }[];
  readonly snapshotHex: string;
  readonly snapshotRecords: readonly { readonly record: string; readonly hex: string }[];
}

export function vector(name: string): Recorded {
  return JSON.parse(readFileSync(new URL(`./vectors/${name}`, import.meta.url), 'utf8'));
}
