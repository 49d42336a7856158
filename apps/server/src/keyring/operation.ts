/**
 * operation.ts: looking at and changing the gossip keys of whole pools, and how each pool took it.
 *
 * Lives here: one operation on the pools at hand. Must not live here: other datacenters (http/keyring.ts), the ring itself.
 * Source: Consul agent/consul/internal_endpoint.go (KeyringOperation), agent/keyring.go.
 */
import type { KeyOutcome, Keys, Serf } from '@fed/serf';

export type KeyringOperation = 'list' | 'install' | 'use' | 'remove';
export const keyringOperations: readonly KeyringOperation[] = ['list', 'install', 'use', 'remove'];

export interface KeyringResponse {
  readonly WAN: boolean;
  readonly Datacenter: string;
  readonly Segment: string;
  /** What single members had to say, by name. */
  readonly Messages: Readonly<Record<string, string>>;
  /** How many members have each key. */
  readonly Keys: Readonly<Record<string, number>>;
  readonly PrimaryKeys: Readonly<Record<string, number>>;
  readonly NumNodes: number;
  /** '' when all went well. */
  readonly Error: string;
}

export interface KeyringRequest {
  readonly operation: KeyringOperation;
  /** In base64; '' for `list`. */
  readonly key: string;
  readonly relayFactor: number;
}

export async function operate(
  pool: Pick<Serf, 'keys'>,
  request: KeyringRequest,
  o: { readonly wan: boolean; readonly datacenter: string },
): Promise<KeyringResponse> {
  const about = { WAN: o.wan, Datacenter: o.datacenter, Segment: '' };
  const key = keyOf(request);
  if (typeof key === 'string')
    return { ...about, Messages: {}, Keys: {}, PrimaryKeys: {}, NumNodes: 0, Error: key };
  const outcome = await perform(pool.keys, request, key);
  return {
    ...about,
    Messages: Object.fromEntries(outcome.messages),
    Keys: Object.fromEntries(outcome.keys),
    PrimaryKeys: Object.fromEntries(outcome.primaryKeys),
    NumNodes: outcome.nodes,
    Error: outcome.failure ?? '',
  };
}

function perform(
  keys: Keys,
  { operation, relayFactor }: KeyringRequest,
  key: Uint8Array,
): Promise<KeyOutcome> {
  return operation === 'list' ? keys.list({ relayFactor }) : keys[operation](key, { relayFactor });
}

/** The key's bytes, or why it has none, in Go's words. */
function keyOf({ operation, key }: KeyringRequest): Uint8Array | string {
  if (operation === 'list') return new Uint8Array(0);
  const good = /^[A-Za-z0-9+/]*/.exec(key)?.[0].length ?? 0;
  if (!/^={0,2}$/.test(key.slice(good)) || key.length % 4 !== 0)
    return `illegal base64 data at input byte ${good}`;
  return Uint8Array.from(Buffer.from(key, 'base64'));
}

/** What went wrong anywhere, as the original lists it; undefined when nothing did. */
export function failures(responses: readonly KeyringResponse[]): string | undefined {
  const lines = responses
    .filter((response) => response.Error !== '')
    .flatMap(({ WAN, Datacenter, Error: error, Messages }) => [
      `${WAN ? 'WAN' : `${Datacenter} (LAN)`} error: ${error}`,
      ...Object.entries(Messages).map(([node, message]) => `${node}: ${message}`),
    ]);
  if (lines.length === 0) return undefined;
  const count = lines.length === 1 ? '1 error' : `${lines.length} errors`;
  return `${count} occurred:\n${lines.map((line) => `\t* ${line}\n`).join('')}\n`;
}
