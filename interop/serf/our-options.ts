/**
 * our-options.ts: how our serfs are opened beside agents with the profile "lan": the same timing, loopback, any port.
 */
import { Keyring, lan, openUdpTcpTransport } from '@fed/memberlist';
import type { SerfOptions } from '@fed/serf';

export async function ourOptions(name: string, keys?: readonly string[]): Promise<SerfOptions> {
  const bytes = (keys ?? []).map((key) => Uint8Array.from(Buffer.from(key, 'base64')));
  return {
    name,
    tags: { role: 'ours', empty: '', unicode: 'grüße' },
    transport: await openUdpTcpTransport({ host: '127.0.0.1', port: 0 }),
    memberlist: lan,
    ...(bytes.length === 0 ? {} : { keyring: new Keyring(bytes, bytes[0]) }),
  };
}
