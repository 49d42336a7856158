/**
 * failure-kind.ts: why a call to the primary failed, as far as it matters to those who will try again.
 */
import type { FailureKind } from '@fed/replication';
import { RpcError } from '@fed/rpc';

/**
 * `transport`: the way there is broken, which counts against gateways. `authorisation` and `gate`: it was never tried,
 * or the primary answered and said no, which does not.
 */
export function classifyFailure(error: unknown): FailureKind {
  for (let at = error; at instanceof Error; at = at.cause) {
    if (!(at instanceof RpcError)) continue;
    if (at.code !== 'remote') return 'transport';
    // The peer's own words are all that Consul sends; these substrings are its protocol for them.
    const said = at.remoteText ?? '';
    return said.includes('Permission denied') || said.includes('ACL not found') ? 'authorisation' : 'gate';
  }
  return 'gate';
}
