/**
 * catalog-writes.ts: PUT /v1/catalog/register and /deregister: bodies in, one RPC each.
 *
 * Source: Consul agent/catalog_endpoint.go; structs.RegisterRequest, NodeService and HealthCheck for the fields.
 */
import type { Value } from '@fed/msgpack';
import { decode, type Fields } from '../agent/decode.ts';
import {
  addressFields,
  connectFields,
  proxy,
  proxyFields,
  weights,
  weightsFields,
} from '../agent/registration.ts';
import type { Ask } from '../rpc/ask.ts';
import { put, reading } from './parameters.ts';
import type { HttpRoute } from './server.ts';

const index = { CreateIndex: 'int', ModifyIndex: 'int', Namespace: 'text', Partition: 'text' } as const;

const serviceFields = {
  ...index,
  Kind: 'text',
  ID: 'text',
  Service: 'text',
  Tags: { list: 'text' },
  Address: 'text',
  TaggedAddresses: { map: { struct: addressFields } },
  Meta: { map: 'text' },
  Port: 'int',
  Weights: { struct: weightsFields },
  EnableTagOverride: 'bool',
  Proxy: { struct: proxyFields },
  Connect: { struct: connectFields },
} as const satisfies Fields;

const checkFields = {
  ...index,
  Node: 'text',
  CheckID: 'text',
  Name: 'text',
  Status: 'text',
  Notes: 'text',
  Output: 'text',
  ServiceID: 'text',
  ServiceName: 'text',
  ServiceTags: { list: 'text' },
  Type: 'text',
  Definition: {
    struct: {
      HTTP: 'text',
      TLSSkipVerify: 'bool',
      Header: { map: { list: 'text' } },
      Method: 'text',
      Body: 'text',
      TCP: 'text',
      Interval: 'duration',
      Timeout: 'duration',
      TTL: 'duration',
      DeregisterCriticalServiceAfter: 'duration',
    },
  },
} as const satisfies Fields;

const registerFields = {
  ...index,
  Datacenter: 'text',
  ID: 'text',
  Node: 'text',
  Address: 'text',
  TaggedAddresses: { map: 'text' },
  NodeMeta: { map: 'text' },
  Service: { struct: serviceFields },
  Check: { struct: checkFields },
  Checks: { list: { struct: checkFields } },
  SkipNodeUpdate: 'bool',
} as const satisfies Fields;

const deregisterFields = {
  Datacenter: 'text',
  Node: 'text',
  ServiceID: 'text',
  CheckID: 'text',
  Namespace: 'text',
  Partition: 'text',
} as const satisfies Fields;

export function catalogWriteRoutes(o: {
  readonly datacenter: string;
  readonly ask: Ask;
}): readonly HttpRoute[] {
  return [
    put('/v1/catalog/register', async (request) => {
      const sent = await request.json();
      const body = reading(() => {
        const {
          CreateIndex: _c,
          ModifyIndex: _m,
          Namespace: _n,
          Partition: _p,
          ...known
        } = decode(sent, registerFields);
        return { ...known, ...(known.Service === undefined ? {} : { Service: completed(known.Service) }) };
      });
      const Datacenter = body.Datacenter || request.query.get('dc') || o.datacenter;
      await o.ask(
        'Catalog.Register',
        { ...(body as { readonly [key: string]: Value }), Datacenter, Token: request.token },
        { signal: request.signal },
      );
      return { json: true };
    }),
    put('/v1/catalog/deregister', async (request) => {
      const sent = await request.json();
      const {
        Node = '',
        ServiceID = '',
        CheckID = '',
        Datacenter,
      } = reading(() => decode(sent, deregisterFields));
      await o.ask(
        'Catalog.Deregister',
        {
          Datacenter: Datacenter || request.query.get('dc') || o.datacenter,
          Node,
          ServiceID,
          CheckID,
          Token: request.token,
        },
        { signal: request.signal },
      );
      return { json: true };
    }),
  ];
}

function completed(service: NonNullable<ReturnType<typeof decode<typeof registerFields>>['Service']>) {
  return {
    ...service,
    Weights: reading(() => weights(service.Weights)),
    ...(service.Proxy === undefined ? {} : { Proxy: proxy(service.Proxy) }),
  };
}
