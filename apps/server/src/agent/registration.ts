/**
 * registration.ts: the body of PUT /v1/agent/service/register, as rows.
 *
 * Lives here: what a body may hold and what it turns into. Must not live here: where rows go, who runs checks. A key
 * we do not know is refused by name, as the original does, because a misspelt one would be a check that never runs.
 * Source: Consul api/agent.go, agent/structs (ServiceDefinition, CheckType), agent/service_manager.go.
 */
import { type CheckRow, newCheck, newService, type ServiceRow } from '@fed/fsm';
import { parseDuration } from '../config/duration.ts';

export interface Registration {
  readonly service: ServiceRow;
  readonly checks: readonly CheckRow[];
}

/** Why a body was refused; the text is the HTTP 400's. */
export class RegistrationError extends Error {
  override readonly name = 'RegistrationError';
  readonly code = 'registration_refused';
}

const nanosPerMs = 1e6;
/** The original's floor: a shorter one would have services vanish between two checks. */
const deregisterAfterMsMin = 60_000;

export function readRegistration(body: unknown, node: string): Registration {
  const fields = object(body, 'the body');
  const known = pick(fields, serviceKeys, 'service');
  const name = string(known, 'name', '');
  if (name === '') throw new RegistrationError('Missing service name');
  const kind = string(known, 'kind', '');
  const id = string(known, 'id', '') || name;
  const meta = stringMap(known['meta'], 'Meta');
  checkMeta(meta, kind);
  const port = integer(known, 'port', 0, 65535);
  const weights = known['weights'] === undefined ? undefined : object(known['weights'], 'Weights');
  const service = newService({
    Address: string(known, 'address', ''),
    EnableTagOverride: boolean(known, 'enabletagoverride'),
    ID: id,
    Kind: kind,
    Meta: meta,
    Port: port,
    Service: name,
    TaggedAddresses: withIpTags(
      taggedAddresses(known['taggedaddresses']),
      string(known, 'address', ''),
      port,
    ),
    Tags: known['tags'] === undefined || known['tags'] === null ? [] : strings(known['tags'], 'Tags'),
    Weights: {
      Passing: weights === undefined ? 1 : integer(lowered(weights), 'passing', 1),
      Warning: weights === undefined ? 1 : integer(lowered(weights), 'warning', 1),
    },
    ...(known['proxy'] === undefined ? {} : { Proxy: proxy(known['proxy']) }),
  });
  const bodies = [
    ...(known['check'] === undefined || known['check'] === null ? [] : [known['check']]),
    ...(known['checks'] === undefined || known['checks'] === null ? [] : array(known['checks'], 'Checks')),
  ];
  const checks = bodies.map((check, at) => readCheck(check, { node, service, at, total: bodies.length }));
  return { service, checks };
}

function readCheck(
  body: unknown,
  o: { readonly node: string; readonly service: ServiceRow; readonly at: number; readonly total: number },
): CheckRow {
  const known = pick(object(body, 'Check'), checkKeys, 'check');
  const interval = duration(known, 'interval');
  const ttl = duration(known, 'ttl');
  const tcp = string(known, 'tcp', '');
  const http = string(known, 'http', '');
  const kinds = [ttl !== undefined, tcp !== '', http !== ''].filter(Boolean).length;
  if (kinds !== 1)
    throw new RegistrationError('Invalid check: exactly one of TTL, TCP or HTTP must be given');
  if (ttl === undefined && (interval === undefined || interval <= 0))
    throw new RegistrationError('Invalid check: Interval must be > 0 for TCP and HTTP checks');
  const after = duration(known, 'deregistercriticalserviceafter');
  const fallbackId = o.total > 1 ? `service:${o.service.ID}:${o.at + 1}` : `service:${o.service.ID}`;
  const status = string(known, 'status', '') || 'critical';
  if (!['passing', 'warning', 'critical'].includes(status))
    throw new RegistrationError(`Invalid check: Status '${status}' must be passing, warning or critical`);
  return newCheck({
    CheckID: string(known, 'checkid', '') || string(known, 'id', '') || fallbackId,
    Name: string(known, 'name', '') || `Service '${o.service.Service}' check`,
    Node: o.node,
    Notes: string(known, 'notes', ''),
    ServiceID: o.service.ID,
    ServiceName: o.service.Service,
    ServiceTags: o.service.Tags,
    Status: status,
    Type: ttl !== undefined ? 'ttl' : tcp !== '' ? 'tcp' : 'http',
    Definition: {
      HTTP: http,
      Interval: (interval ?? 0) * nanosPerMs,
      Method: string(known, 'method', ''),
      TCP: tcp,
      TLSSkipVerify: boolean(known, 'tlsskipverify'),
      TTL: (ttl ?? 0) * nanosPerMs,
      Timeout: (duration(known, 'timeout') ?? 0) * nanosPerMs,
      DeregisterCriticalServiceAfter:
        after === undefined ? 0 : Math.max(after, deregisterAfterMsMin) * nanosPerMs,
    },
  });
}

/** Keys with the prefix `consul-` are the system's; the one a user may set makes a gateway part of the federation. */
function checkMeta(meta: Readonly<Record<string, string>> | null, kind: string): void {
  const entries = Object.entries(meta ?? {});
  if (entries.length > 64)
    throw new RegistrationError(
      'Invalid Service Meta: Node metadata cannot contain more than 64 key/value pairs',
    );
  for (const [key, value] of entries) {
    const refuse = (why: string): never => {
      throw new RegistrationError(
        `Invalid Service Meta: Couldn't load metadata pair ('${key}', '${value}'): ${why}`,
      );
    };
    if (key === '') refuse('Key cannot be blank');
    if (!/^[a-zA-Z0-9_-]+$/.test(key)) refuse('Key contains invalid characters');
    if (key.length > 128) refuse('Key is too long (limit: 128 characters)');
    if (value.length > 512) refuse('Value is too long (limit: 512 characters)');
    if (key.startsWith('consul-') && !(key === 'consul-wan-federation' && kind === 'mesh-gateway'))
      refuse("Key prefix 'consul-' is reserved for internal use");
  }
}

/** The original derives these two from the service address, for consumers that want one family only. */
function withIpTags(
  tagged: Readonly<Record<string, { Address: string; Port: number }>> | null,
  address: string,
  port: number,
): ServiceRow['TaggedAddresses'] {
  if (!/^\d+\.\d+\.\d+\.\d+$/.test(address)) return tagged;
  const own = { Address: address, Port: port };
  return { lan_ipv4: own, wan_ipv4: own, ...(tagged ?? {}) };
}

function taggedAddresses(value: unknown): Record<string, { Address: string; Port: number }> | null {
  if (value === undefined || value === null) return null;
  return Object.fromEntries(
    Object.entries(object(value, 'TaggedAddresses')).map(([name, entry]) => {
      const fields = lowered(object(entry, `TaggedAddresses.${name}`));
      return [name, { Address: string(fields, 'address', ''), Port: integer(fields, 'port', 0, 65535) }];
    }),
  );
}

function proxy(value: unknown): ServiceRow['Proxy'] {
  const fields = lowered(object(value, 'Proxy'));
  const mesh =
    fields['meshgateway'] === undefined ? {} : lowered(object(fields['meshgateway'], 'Proxy.MeshGateway'));
  const base = newService({ ID: '', Service: '' }).Proxy;
  return {
    ...base,
    Config: (fields['config'] ?? null) as ServiceRow['Proxy']['Config'],
    MeshGateway: { Mode: string(mesh, 'mode', '') },
  };
}

// What clients write as `ServiceID`, `service_id` or `serviceid` is one key.
function lowered(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [key.toLowerCase().replaceAll('_', ''), value]),
  );
}

function pick(
  fields: Record<string, unknown>,
  allowed: ReadonlySet<string>,
  what: string,
): Record<string, unknown> {
  const low = lowered(fields);
  for (const key of Object.keys(fields))
    if (!allowed.has(key.toLowerCase().replaceAll('_', '')))
      throw new RegistrationError(`Request decode failed: unknown ${what} key '${key}'`);
  return low;
}

const serviceKeys: ReadonlySet<string> = new Set([
  'id',
  'name',
  'kind',
  'tags',
  'address',
  'port',
  'taggedaddresses',
  'meta',
  'weights',
  'enabletagoverride',
  'check',
  'checks',
  'proxy',
  'connect',
  'namespace',
  'partition',
]); // prettier-ignore

const checkKeys: ReadonlySet<string> = new Set([
  'id',
  'checkid',
  'name',
  'notes',
  'status',
  'ttl',
  'tcp',
  'http',
  'method',
  'interval',
  'timeout',
  'tlsskipverify',
  'deregistercriticalserviceafter',
  'serviceid',
]); // prettier-ignore

function object(value: unknown, what: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new RegistrationError(`Request decode failed: ${what} must be a JSON object`);
}

function array(value: unknown, what: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new RegistrationError(`Request decode failed: ${what} must be a list`);
}

function strings(value: unknown, what: string): readonly string[] {
  const items = array(value, what);
  if (items.every((item) => typeof item === 'string')) return items as string[];
  throw new RegistrationError(`Request decode failed: ${what} must be a list of strings`);
}

function stringMap(value: unknown, what: string): Record<string, string> | null {
  if (value === undefined || value === null) return null;
  const fields = object(value, what);
  for (const [key, entry] of Object.entries(fields))
    if (typeof entry !== 'string')
      throw new RegistrationError(`Request decode failed: ${what}.${key} must be a string`);
  return fields as Record<string, string>;
}

function string(fields: Record<string, unknown>, key: string, otherwise: string): string {
  const value = fields[key] ?? otherwise;
  if (typeof value === 'string') return value;
  throw new RegistrationError(`Request decode failed: ${key} must be a string`);
}

function boolean(fields: Record<string, unknown>, key: string): boolean {
  const value = fields[key] ?? false;
  if (typeof value === 'boolean') return value;
  throw new RegistrationError(`Request decode failed: ${key} must be true or false`);
}

function integer(
  fields: Record<string, unknown>,
  key: string,
  otherwise: number,
  max: number = Number.MAX_SAFE_INTEGER,
): number {
  const value = fields[key] ?? otherwise;
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max) return value;
  throw new RegistrationError(`Request decode failed: ${key} must be an integer from 0 to ${max}`);
}

function duration(fields: Record<string, unknown>, key: string): number | undefined {
  const value = fields[key];
  if (value === undefined || value === null || value === '') return undefined;
  const ms =
    typeof value === 'number'
      ? value / nanosPerMs
      : typeof value === 'string'
        ? parseDuration(value)
        : undefined;
  if (ms === undefined || ms < 0)
    throw new RegistrationError(
      `Request decode failed: ${key} '${String(value)}' is not a duration like "10s"`,
    );
  return ms;
}
