/**
 * config-entries.ts: /v1/config: config entries written, read, listed and deleted.
 *
 * Writing is the primary's, whatever `?dc=` says; reading is answered by the datacenter asked, which may be a moment behind.
 * Source: Consul agent/config_endpoint.go (v1.10.1); `?cas=` of a deletion from later versions. Listing without a kind is ours.
 */
import { configEntryJson, configEntryKinds, configEntryNamed, entryWithIndexes } from '@fed/fsm';
import type { Value } from '@fed/msgpack';
import { decodeConfigEntry } from '../config-entries/decode.ts';
import { ConfigEntryError } from '../config-entries/errors.ts';
import { checkedConfigEntry } from '../config-entries/rules.ts';
import { entryArgs, entryOf } from '../config-entries/wire.ts';
import { asArgs } from '../rpc/args.ts';
import { type AskingOptions, asking } from './asking.ts';
import { get, put } from './parameters.ts';
import { HttpError, type HttpReply, type HttpRequest, type HttpRoute } from './server.ts';

export interface ConfigEntryRoutesOptions extends AskingOptions {
  readonly primary: string;
}

export function configEntryRoutes(o: ConfigEntryRoutesOptions): readonly HttpRoute[] {
  const reads = asking(o);
  const ask = (request: HttpRequest, method: string, args: { readonly [key: string]: Value }) =>
    o.ask(method, { ...args, Datacenter: o.primary, Token: request.token }, { signal: request.signal });
  const listed = async (request: HttpRequest, kind?: string): Promise<HttpReply> => {
    const { value, meta } =
      kind === undefined
        ? await reads.read(request, 'ConfigEntry.ListAll', { Kinds: configEntryKinds })
        : await reads.read(request, 'ConfigEntry.List', { Kind: kind });
    const entries = (value['Entries'] ?? []) as readonly Value[];
    return { go: entries.map((item) => configEntryJson(entryOf(asArgs(item)))), meta };
  };
  return [
    put('/v1/config', async (request) => {
      const sent = await request.json();
      const entry = judging(() => checkedConfigEntry(decodeConfigEntry(sent)));
      const cas = casOf(request);
      const write = cas === undefined ? entry : entryWithIndexes(entry, 0, cas);
      const Op = cas === undefined ? 'upsert' : 'upsert-cas';
      return { json: await ask(request, 'ConfigEntry.Apply', { ...entryArgs(write), Op }) };
    }),
    get('/v1/config', (request) => listed(request)),
    get('/v1/config/:kind', (request) => listed(request, kindOf(request))),
    get('/v1/config/:kind/*', async (request) => {
      const { kind, name } = named(request);
      const { value, meta } = await reads.read(request, 'ConfigEntry.Get', { Kind: kind, Name: name });
      if ((value['Entry'] ?? null) === null)
        throw new HttpError(
          404,
          `Config entry not found for ${JSON.stringify(kind)} / ${JSON.stringify(name)}`,
        );
      return { go: configEntryJson(entryOf(value)), meta };
    }),
    {
      method: 'DELETE',
      path: '/v1/config/:kind/*',
      handle: async (request) => {
        const { kind, name } = named(request);
        const cas = casOf(request);
        const entry = configEntryNamed(kind, name);
        if (cas === undefined) {
          await ask(request, 'ConfigEntry.Delete', { ...entryArgs(entry), Op: 'delete' });
          return { json: {} };
        }
        // An older primary knows no condition here, and would delete.
        if (o.primary !== o.datacenter)
          throw new HttpError(
            400,
            `?cas= of a deletion is understood by the servers of ${o.primary} alone: ask one of them, or leave it out`,
          );
        const reply = await ask(request, 'ConfigEntry.Delete', {
          ...entryArgs(entryWithIndexes(entry, 0, cas)),
          Op: 'delete-cas',
        });
        return { json: asArgs(reply)['Deleted'] === true };
      },
    },
    {
      method: 'DELETE',
      path: '/v1/config/:kind',
      handle: () => ({ status: 404, text: 'Must provide both a kind and name to delete' }),
    },
  ];
}

/** Any kind that ever was can be read and deleted: it may have been copied from a primary that knows more. */
function kindOf(request: HttpRequest): string {
  const kind = request.params['kind'] ?? '';
  if (!configEntryKinds.includes(kind))
    throw new HttpError(400, `invalid config entry kind: ${kind} (there are ${configEntryKinds.join(', ')})`);
  return kind;
}

function named(request: HttpRequest): { readonly kind: string; readonly name: string } {
  const kind = kindOf(request);
  return configEntryNamed(kind, request.params['*'] ?? '');
}

/** `?cas=N`: only if nobody wrote since index N; 0: only if there is none yet. */
function casOf(request: HttpRequest): number | undefined {
  const text = request.query.get('cas') ?? '';
  if (text === '') return undefined;
  const index = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(index))
    throw new HttpError(
      400,
      `Invalid value for cas: ${JSON.stringify(text)}; it is the ModifyIndex that was read`,
    );
  return index;
}

function judging<T>(judge: () => T): T {
  try {
    return judge();
  } catch (error) {
    if (error instanceof ConfigEntryError) throw new HttpError(400, error.message);
    throw error;
  }
}
