/**
 * our-options.ts: how our serfs are opened beside agents with the profile "lan": the same timing, loopback, any port.
 */
import { Keyring, lan, openUdpTcpTransport } from '@fed/memberlist';
import type { SerfOptions } from '@fed/serf';
import { Gate } from '../lib/gate.ts';

/**
 * Of ours. A message is told four times by each of six members, and one in sixty misses somebody, or one in ten where some
 * are dead and told all the same; then it is for a push/pull to bring it, and every 30 s is too seldom to wait for.
 */
const pushPullIntervalMs = 1_000;
/** Of both kinds: how often somebody tries to reach a member that has failed. 30 s is too long to wait for. */
export const reconnectIntervalMs = 2_000;

export async function ourOptions(
  name: string,
  keys?: readonly string[],
): Promise<SerfOptions & { readonly transport: Gate }> {
  const bytes = (keys ?? []).map((key) => Uint8Array.from(Buffer.from(key, 'base64')));
  return {
    name,
    tags: { role: 'ours', empty: '', unicode: 'grüße' },
    transport: new Gate(await openUdpTcpTransport({ host: '127.0.0.1', port: 0 })),
    memberlist: { ...lan, pushPullIntervalMs },
    config: { reconnectIntervalMs },
    ...(bytes.length === 0 ? {} : { keyring: new Keyring(bytes, bytes[0]) }),
  };
}
