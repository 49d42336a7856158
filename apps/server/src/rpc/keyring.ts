/**
 * keyring.ts: Internal.KeyringOperation: the gossip keys of this datacenter's pool, and of the WAN pool for who asks first.
 *
 * Source: Consul agent/consul/internal_endpoint.go (KeyringOperation); structs.KeyringRequest, KeyringResponses.
 */
import type { Value } from '@fed/msgpack';
import { RpcApplicationError } from '@fed/rpc';
import type { Serf } from '@fed/serf';
import { type KeyringRequest, keyringOperations, operate } from '../keyring/operation.ts';
import { type Args, flag, integer, text } from './args.ts';
import type { Endpoint } from './ask.ts';

export interface KeyringOptions {
  readonly datacenter: string;
  readonly lan: () => Pick<Serf, 'keys'>;
  readonly wan: () => Pick<Serf, 'keys'>;
}

export function keyringEndpoints(o: KeyringOptions): Readonly<Record<string, Endpoint>> {
  return {
    'Internal.KeyringOperation': {
      belongs: 'datacenter',
      answeredBy: 'any',
      answer: async (args) => {
        const request = requestIn(args);
        const { datacenter } = o;
        // Whoever sent it on has seen to the pool that all datacenters share.
        const lanOnly = flag(args, 'Forwarded') || flag(args, 'LocalOnly');
        const responses = [
          ...(lanOnly ? [] : [await operate(o.wan(), request, { wan: true, datacenter })]),
          await operate(o.lan(), request, { wan: false, datacenter }),
        ];
        return { Index: 0, KnownLeader: false, LastContact: 0, Responses: responses as unknown as Value };
      },
    },
  };
}

function requestIn(args: Args): KeyringRequest {
  const asked = text(args, 'Operation');
  const operation = keyringOperations.find((known) => known === asked);
  if (operation === undefined)
    throw new RpcApplicationError(`unknown keyring operation ${JSON.stringify(asked)}`);
  if (flag(args, 'LocalOnly') && operation !== 'list')
    throw new RpcApplicationError('argument error: LocalOnly can only be used for List operations');
  return { operation, key: text(args, 'Key'), relayFactor: integer(args, 'RelayFactor') };
}
