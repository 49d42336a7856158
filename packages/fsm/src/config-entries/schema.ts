/**
 * schema.ts: the fields of each kind of config entry, in the order clients see them.
 *
 * One table serves both directions: what a client may say, in any case and with underscores, and what he is shown. Kinds
 * that are not here can be kept and copied all the same, word for word.
 * Lives here: names, types, what is shown when empty. Must not live here: rules beyond the type (apps/server).
 * Source: Consul agent/structs/config_entry*.go, connect_proxy_config.go, intention.go (v1.10.1).
 */

export type EntryShape =
  | 'text'
  | 'int'
  | 'bool'
  /** Nanoseconds on the wire, "10s" in JSON. */
  | 'duration'
  /** The same, but shown as the number of nanoseconds. */
  | 'nanos'
  /** Go's binary time on the wire, RFC 3339 in JSON; or absent. */
  | 'time'
  /** Like 'int', but nil when it was not said: 0 is a limit, too. */
  | 'maybeInt'
  /** map[string]interface{}: taken and shown as it is. */
  | 'anything'
  | { readonly list: EntryShape }
  | { readonly map: EntryShape }
  | { readonly struct: EntryFields }
  /** A struct that may be absent. */
  | { readonly pointer: EntryFields };

export interface EntryField {
  readonly shape: EntryShape;
  /** Shown even when it holds nothing. Structs always are. */
  readonly shown: boolean;
}

export type EntryFields = { readonly [name: string]: EntryField };

const field = (shape: EntryShape): EntryField => ({ shape, shown: false });
const always = (shape: EntryShape): EntryField => ({ shape, shown: true });
const texts = field({ map: 'text' });
const text = field('text');
const int = field('int');
const bool = field('bool');

const named: EntryFields = { Kind: always('text'), Name: always('text') };
const meta: EntryFields = { Meta: texts };

const transparentProxy = field({ struct: { OutboundListenerPort: int, DialedDirectly: bool } });
const meshGateway = field({ struct: { Mode: text } });
const expose = field({
  struct: {
    Checks: bool,
    Paths: field({
      list: {
        struct: {
          ListenerPort: int,
          Path: text,
          LocalPathPort: int,
          Protocol: text,
          ParsedFromCheck: bool,
        },
      },
    }),
  },
});

const upstream: EntryFields = {
  Name: text,
  EnvoyListenerJSON: text,
  EnvoyClusterJSON: text,
  Protocol: text,
  ConnectTimeoutMs: int,
  Limits: field({
    pointer: {
      MaxConnections: field('maybeInt'),
      MaxPendingRequests: field('maybeInt'),
      MaxConcurrentRequests: field('maybeInt'),
    },
  }),
  PassiveHealthCheck: field({ pointer: { Interval: field('nanos'), MaxFailures: int } }),
  MeshGateway: meshGateway,
};

const serviceDefaults: EntryFields = {
  ...named,
  Protocol: always('text'),
  Mode: text,
  TransparentProxy: transparentProxy,
  MeshGateway: meshGateway,
  Expose: expose,
  ExternalSNI: text,
  UpstreamConfig: field({
    pointer: { Overrides: field({ list: { pointer: upstream } }), Defaults: field({ pointer: upstream }) },
  }),
  ...meta,
};

const proxyDefaults: EntryFields = {
  ...named,
  Config: always('anything'),
  Mode: text,
  TransparentProxy: transparentProxy,
  MeshGateway: meshGateway,
  Expose: expose,
  ...meta,
};

const serviceResolver: EntryFields = {
  ConnectTimeout: field('duration'),
  ...named,
  DefaultSubset: text,
  Subsets: field({ map: { struct: { Filter: text, OnlyPassing: bool } } }),
  Redirect: field({
    pointer: { Service: text, ServiceSubset: text, Namespace: text, Datacenter: text },
  }),
  Failover: field({
    map: {
      struct: { Service: text, ServiceSubset: text, Namespace: text, Datacenters: field({ list: 'text' }) },
    },
  }),
  LoadBalancer: field({
    pointer: {
      Policy: text,
      RingHashConfig: field({ pointer: { MinimumRingSize: int, MaximumRingSize: int } }),
      LeastRequestConfig: field({ pointer: { ChoiceCount: int } }),
      HashPolicies: field({
        list: {
          struct: {
            Field: text,
            FieldValue: text,
            CookieConfig: field({ pointer: { Session: bool, TTL: field('nanos'), Path: text } }),
            SourceIP: bool,
            Terminal: bool,
          },
        },
      }),
    },
  }),
  ...meta,
};

const serviceIntentions: EntryFields = {
  ...named,
  Sources: always({
    list: {
      pointer: {
        Name: always('text'),
        Action: text,
        Permissions: field({
          list: {
            pointer: {
              Action: always('text'),
              HTTP: field({
                pointer: {
                  PathExact: text,
                  PathPrefix: text,
                  PathRegex: text,
                  Header: field({
                    list: {
                      struct: {
                        Name: always('text'),
                        Present: bool,
                        Exact: text,
                        Prefix: text,
                        Suffix: text,
                        Regex: text,
                        Invert: bool,
                      },
                    },
                  }),
                  Methods: field({ list: 'text' }),
                },
              }),
            },
          },
        }),
        Precedence: always('int'),
        LegacyID: text,
        Type: always('text'),
        Description: text,
        LegacyMeta: texts,
        LegacyCreateTime: field('time'),
        LegacyUpdateTime: field('time'),
      },
    },
  }),
  ...meta,
};

const mesh: EntryFields = {
  TransparentProxy: always({ struct: { MeshDestinationsOnly: always('bool') } }),
  ...meta,
};

/** Kinds whose fields are known here; the others are kept and shown as they are. */
export const configEntrySchemas: Readonly<Record<string, EntryFields>> = {
  'service-defaults': serviceDefaults,
  'proxy-defaults': proxyDefaults,
  'service-resolver': serviceResolver,
  'service-intentions': serviceIntentions,
  mesh,
};

/** Every kind the original has had: what a secondary asks its primary for. */
export const configEntryKinds: readonly string[] = [
  'service-defaults',
  'proxy-defaults',
  'service-router',
  'service-splitter',
  'service-resolver',
  'ingress-gateway',
  'terminating-gateway',
  'service-intentions',
  'mesh',
  'exported-services',
  'sameness-group',
  'api-gateway',
  'bound-api-gateway',
  'inline-certificate',
  'file-system-certificate',
  'tcp-route',
  'http-route',
  'jwt-provider',
  'control-plane-request-limit',
];
