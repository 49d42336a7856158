/**
 * keyring.ts: /v1/operator/keyring: the gossip keys of all pools of all datacenters: shown, installed, used, removed.
 *
 * Source: Consul agent/operator_endpoint.go (OperatorKeyringEndpoint), agent/consul/internal_endpoint.go.
 */
import { decode, type Fields } from '../agent/decode.ts';
import { failures, type KeyringOperation, type KeyringResponse } from '../keyring/operation.ts';
import { asArgs } from '../rpc/args.ts';
import type { Ask } from '../rpc/ask.ts';
import { goBool, reading } from './parameters.ts';
import { HttpError, type HttpReply, type HttpRequest, type HttpRoute } from './server.ts';

export interface KeyringRoutesOptions {
  readonly datacenter: string;
  readonly ask: Ask;
  /** All there are, ours included. */
  readonly datacenters: () => readonly string[];
}

const relayFactorMax = 5;
const bodyFields = { Key: 'text' } as const satisfies Fields;
const operations = { GET: 'list', POST: 'install', PUT: 'use', DELETE: 'remove' } as const;

export function keyringRoutes(o: KeyringRoutesOptions): readonly HttpRoute[] {
  return (Object.keys(operations) as (keyof typeof operations)[]).map((method) => ({
    method,
    path: '/v1/operator/keyring',
    handle: (request) => answer(request, operations[method]),
  }));

  async function answer(request: HttpRequest, operation: KeyringOperation): Promise<HttpReply> {
    const localOnly = isLocalOnly(request);
    if (localOnly && operation !== 'list')
      throw bad('Invalid use of local-only: local-only can only be set for list requests');
    const asked = {
      Operation: operation,
      Key: operation === 'list' ? '' : await keyIn(request),
      RelayFactor: relayFactor(request),
      LocalOnly: localOnly,
      Token: request.token,
    };
    const ask = async (Datacenter: string, Forwarded: boolean): Promise<readonly KeyringResponse[]> => {
      const args = { ...asked, Datacenter, Forwarded };
      const reply = await o.ask('Internal.KeyringOperation', args, { signal: request.signal });
      return (asArgs(reply)['Responses'] ?? []) as unknown as readonly KeyringResponse[];
    };
    // Ours first: where the sender may not do this, nobody else is asked.
    const here = await ask(o.datacenter, false);
    const others = localOnly ? [] : o.datacenters().filter((name) => name !== o.datacenter);
    const abroad = await Promise.all(
      others.map((name) => ask(name, true).catch((error: Error) => [unanswered(name, error)])),
    );
    const responses = [...here, ...abroad.flat()];
    const failed = failures(responses);
    if (failed !== undefined) throw new HttpError(500, failed);
    return operation === 'list' ? { go: responses.map(responseJson) } : { text: '' };
  }
}

function unanswered(Datacenter: string, { message }: Error): KeyringResponse {
  return {
    WAN: false,
    Datacenter,
    Segment: '',
    Messages: {},
    Keys: {},
    PrimaryKeys: {},
    NumNodes: 0,
    Error: message,
  };
}

function responseJson({ WAN, Datacenter, Segment, Messages, Keys, PrimaryKeys, NumNodes }: KeyringResponse) {
  const messages = new Map(Object.entries(Messages ?? {}));
  return {
    WAN,
    Datacenter,
    Segment,
    ...(messages.size === 0 ? {} : { Messages: messages }),
    Keys: new Map(Object.entries(Keys ?? {})),
    PrimaryKeys: new Map(Object.entries(PrimaryKeys ?? {})),
    NumNodes,
  };
}

async function keyIn(request: HttpRequest): Promise<string> {
  try {
    const sent = await request.json();
    return reading(() => decode(sent, bodyFields)).Key ?? '';
  } catch (error) {
    if (error instanceof HttpError && error.status === 400) throw bad(error.message);
    throw error;
  }
}

function relayFactor({ query }: HttpRequest): number {
  const asked = query.get('relay-factor') ?? '';
  if (asked === '') return 0;
  if (!/^[+-]?\d+$/.test(asked))
    throw bad(`Error parsing relay factor: strconv.Atoi: parsing ${JSON.stringify(asked)}: invalid syntax`);
  const factor = Number(asked);
  if (factor < 0 || factor > relayFactorMax)
    throw bad(`Invalid relay-factor: Relay factor must be in range: [0, ${relayFactorMax}]`);
  return factor;
}

function isLocalOnly({ query }: HttpRequest): boolean {
  const asked = query.get('local-only') ?? '';
  if (asked === '') return false;
  const value = goBool(asked);
  if (value === undefined)
    throw bad(
      `Error parsing local-only: strconv.ParseBool: parsing ${JSON.stringify(asked)}: invalid syntax`,
    );
  return value;
}

function bad(why: string): HttpError {
  return new HttpError(400, `Bad request: ${why}`);
}
