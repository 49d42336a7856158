/**
 * schema.ts: the configuration file, key by key, under the original's names.
 *
 * Lives here: which keys exist and what shape each has. Must not live here: rules between keys (rules.ts), files
 * (load.ts). A key that is not here is an error: a misspelt option must not be ignored in silence.
 * Source: Consul agent/config/config.go; what we do not offer is left out rather than accepted without effect.
 */
import { z } from 'zod';
import { parseDuration } from './duration.ts';

const text = z.string();
const flag = z.boolean();
const port = z.int().min(-1).max(65535);
const duration = z.string().transform((value, context): number => {
  const ms = parseDuration(value);
  if (ms !== undefined) return ms;
  context.addIssue({
    code: 'custom',
    message: `"${value}" is not a duration; write it like "30s" or "1m30s"`,
  });
  return z.NEVER;
});

const gossip = z.strictObject({
  gossip_interval: duration.optional(),
  gossip_nodes: z.int().min(1).optional(),
  probe_interval: duration.optional(),
  probe_timeout: duration.optional(),
  retransmit_mult: z.int().min(1).optional(),
  suspicion_mult: z.int().min(1).optional(),
});

const level = z.enum(['deny', 'read', 'write']);
const named = z.record(text, z.strictObject({ policy: level }));
/** Rules in the original's JSON form, for what there is here. */
const rules = z.strictObject({
  keyring: level.optional(),
  operator: level.optional(),
  agent: named.optional(),
  agent_prefix: named.optional(),
  event: named.optional(),
  event_prefix: named.optional(),
  node: named.optional(),
  node_prefix: named.optional(),
  service: named.optional(),
  service_prefix: named.optional(),
});
const acl = z.strictObject({
  enabled: flag.optional(),
  default_policy: z.enum(['allow', 'deny']).optional(),
  tokens: z
    .strictObject({
      initial_management: text.optional(),
      agent: text.optional(),
      default: text.optional(),
      replication: text.optional(),
    })
    .optional(),
  /** Ours: all tokens there are, with what each may do. */
  static_tokens: z
    .array(
      z.strictObject({
        secret_id: text.min(1),
        accessor_id: text.optional(),
        description: text.optional(),
        rules,
      }),
    )
    .optional(),
});

/** Ours: where the log of the datacenter is kept. */
const engine = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('embedded') }),
  z.strictObject({
    type: z.literal('etcd'),
    endpoints: z.array(text),
    prefix: text.optional(),
    ca_file: text.optional(),
    cert_file: text.optional(),
    key_file: text.optional(),
    server_name: text.optional(),
    user: text.optional(),
    password: text.optional(),
    lease: duration.optional(),
    compact_history: flag.optional(),
  }),
]);

export const fileSchema = z.strictObject({
  acl: acl.optional(),
  advertise_addr: text.optional(),
  advertise_addr_wan: text.optional(),
  addresses: z
    .strictObject({
      http: text.optional(),
      https: text.optional(),
      grpc: text.optional(),
      grpc_tls: text.optional(),
    })
    .optional(),
  bind_addr: text.optional(),
  bootstrap: flag.optional(),
  bootstrap_expect: z.int().min(0).optional(),
  ca_file: text.optional(),
  cert_file: text.optional(),
  client_addr: text.optional(),
  connect: z
    .strictObject({ enabled: flag.optional(), enable_mesh_gateway_wan_federation: flag.optional() })
    .optional(),
  data_dir: text.optional(),
  datacenter: text.optional(),
  default_query_time: duration.optional(),
  domain: text.optional(),
  encrypt: text.optional(),
  engine: engine.optional(),
  gossip_lan: gossip.optional(),
  gossip_wan: gossip.optional(),
  key_file: text.optional(),
  leave_on_terminate: flag.optional(),
  limits: z
    .strictObject({
      rpc_handshake_timeout: duration.optional(),
      rpc_max_conns_per_client: z.int().min(1).optional(),
      /** Ours: what an address may fail with at the server port. -1: as often as it likes. */
      rpc_failed_conns_rate: z.union([z.literal(-1), z.number().positive()]).optional(),
      rpc_failed_conns_burst: z.int().min(1).optional(),
    })
    .optional(),
  log_level: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR'])
    .optional(),
  max_query_time: duration.optional(),
  node_id: text.optional(),
  node_meta: z.record(text, text).optional(),
  node_name: text.optional(),
  performance: z.strictObject({ rpc_hold_timeout: duration.optional() }).optional(),
  ports: z
    .strictObject({
      server: port.optional(),
      serf_lan: port.optional(),
      serf_wan: port.optional(),
      http: port.optional(),
      https: port.optional(),
      grpc: port.optional(),
      grpc_tls: port.optional(),
    })
    .optional(),
  primary_datacenter: text.optional(),
  primary_gateways: z.array(text).optional(),
  primary_gateways_interval: duration.optional(),
  reconnect_timeout: duration.optional(),
  reconnect_timeout_wan: duration.optional(),
  rejoin_after_leave: flag.optional(),
  retry_interval: duration.optional(),
  retry_interval_wan: duration.optional(),
  retry_join: z.array(text).optional(),
  retry_max: z.int().min(0).optional(),
  retry_join_wan: z.array(text).optional(),
  server: flag.optional(),
  start_join: z.array(text).optional(),
  start_join_wan: z.array(text).optional(),
  telemetry: z.strictObject({ metrics_prefix: text.regex(/^[a-zA-Z_][\w.]*$/).optional() }).optional(),
  tls: z.strictObject({ grpc: z.strictObject({ verify_incoming: flag.optional() }).optional() }).optional(),
  verify_incoming: flag.optional(),
  verify_incoming_rpc: flag.optional(),
  verify_outgoing: flag.optional(),
  /** Ours: a peer may write for the datacenter its certificate names, and for no other. */
  verify_server_datacenter: flag.optional(),
  verify_server_hostname: flag.optional(),
});

/** One file, or several laid over one another; durations are milliseconds. */
export type FileConfig = z.output<typeof fileSchema>;
