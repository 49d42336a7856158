/**
 * ports.ts: what the relay asks of the world, and what it is told to do.
 *
 * Time, chance and names are asked for. The configuration is a value: listeners, the chains that choose a cluster by
 * SNI, the endpoints of each cluster; its types are those of the xDS client, which is all the relay knows of xDS.
 * Lives here: shapes. Must not live here: implementations.
 */
export type { RelayChain, RelayCluster, RelayConfig, RelayEndpoint, RelayListener } from '@fed/xds';

export interface Clock {
  /** Milliseconds that never go back. */
  now(): number;
  at(when: number, wake: () => void): Disposable;
}

export interface Rng {
  /** An integer from 0 to n - 1. */
  below(n: number): number;
}

/** Addresses of a host name, best first; family 0: either. Rejects if there is none or nobody to ask. */
export type Resolve = (host: string, family: 0 | 4 | 6) => Promise<readonly string[]>;

/** The configuration contradicts itself. Nothing of it was applied. */
export class RelayConfigError extends Error {
  override readonly name = 'RelayConfigError';
  readonly code: 'server_name_invalid' | 'server_name_twice' | 'listener_twice';
  constructor(code: RelayConfigError['code'], detail: string) {
    super(`[${code}] ${detail}`);
    this.code = code;
  }
}
