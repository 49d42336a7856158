/**
 * fields.ts: what a filter may look at, per kind of row.
 *
 * A selector that no row can answer is refused, so that a misspelt one does not quietly select nothing. Indexes, check
 * definitions and free-form proxy configuration cannot be selected, as in the original.
 * Lives here: names and types. Must not live here: comparing (compile.ts).
 * Source: the `bexpr` tags of Consul agent/structs (v1.9.8); agent/structs/structs_filtering_test.go.
 */

export type Field =
  | 'text'
  | 'int'
  | 'bool'
  | { readonly map: Field }
  | { readonly list: Field }
  | { readonly struct: Fields };
export type Fields = { readonly [name: string]: Field };

const texts: Field = { map: 'text' };
const address: Field = { struct: { Address: 'text', Port: 'int' } };
const weights: Field = { struct: { Passing: 'int', Warning: 'int' } };
const meshGateway: Field = { struct: { Mode: 'text' } };

const proxy: Field = {
  struct: {
    DestinationServiceID: 'text',
    DestinationServiceName: 'text',
    Expose: {
      struct: {
        Checks: 'bool',
        Paths: {
          list: {
            struct: {
              ListenerPort: 'int',
              LocalPathPort: 'int',
              ParsedFromCheck: 'bool',
              Path: 'text',
              Protocol: 'text',
            },
          },
        },
      },
    },
    LocalServiceAddress: 'text',
    LocalServicePort: 'int',
    MeshGateway: meshGateway,
    Upstreams: {
      list: {
        struct: {
          Datacenter: 'text',
          DestinationName: 'text',
          DestinationNamespace: 'text',
          DestinationType: 'text',
          LocalBindAddress: 'text',
          LocalBindPort: 'int',
          MeshGateway: meshGateway,
        },
      },
    },
  },
};

const connect: Field = { struct: { Native: 'bool' } };

export const nodeFields: Fields = {
  Address: 'text',
  Datacenter: 'text',
  ID: 'text',
  Meta: texts,
  Node: 'text',
  TaggedAddresses: texts,
};

export const serviceFields: Fields = {
  Address: 'text',
  Connect: connect,
  EnableTagOverride: 'bool',
  ID: 'text',
  Kind: 'text',
  Meta: texts,
  Port: 'int',
  Proxy: proxy,
  Service: 'text',
  TaggedAddresses: { map: address },
  Tags: { list: 'text' },
  Weights: weights,
};

export const checkFields: Fields = {
  CheckID: 'text',
  Name: 'text',
  Node: 'text',
  Notes: 'text',
  Output: 'text',
  ServiceID: 'text',
  ServiceName: 'text',
  ServiceTags: { list: 'text' },
  Status: 'text',
  Type: 'text',
};

export const checkServiceNodeFields: Fields = {
  Checks: { list: { struct: checkFields } },
  Node: { struct: nodeFields },
  Service: { struct: serviceFields },
};

export const serviceNodeFields: Fields = {
  Address: 'text',
  Datacenter: 'text',
  ID: 'text',
  Node: 'text',
  NodeMeta: texts,
  ServiceAddress: 'text',
  ServiceConnect: connect,
  ServiceEnableTagOverride: 'bool',
  ServiceID: 'text',
  ServiceKind: 'text',
  ServiceMeta: texts,
  ServiceName: 'text',
  ServicePort: 'int',
  ServiceProxy: proxy,
  ServiceTaggedAddresses: { map: address },
  ServiceTags: { list: 'text' },
  ServiceWeights: weights,
  TaggedAddresses: texts,
};

export const nodeDumpFields: Fields = {
  Address: 'text',
  Checks: { list: { struct: checkFields } },
  ID: 'text',
  Meta: texts,
  Node: 'text',
  Services: { list: { struct: serviceFields } },
  TaggedAddresses: texts,
};
