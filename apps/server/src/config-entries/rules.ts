/**
 * rules.ts: what the fields of one config entry must add up to, and what of it is filled in.
 *
 * An entry comes here from the API or, decoded, from another server; both are normalized and held against the same rules,
 * by the leader of the primary, before it goes into the log. What is not spoken of here is kept as it came.
 * Lives here: rules within one entry. Must not live here: rules between entries (@fed/fsm, config-entries/graph.ts).
 * Source: Consul agent/structs/config_entry*.go (Normalize, Validate; v1.10.1).
 */
import { type ConfigEntry, type ConfigEntryValue, newConfigEntry } from '@fed/fsm';
import { checkServiceNodeFields, compileFilter, FilterError } from '@fed/fsm/filter';
import { newMap, type Value } from '@fed/msgpack';
import { ConfigEntryError } from './errors.ts';

/** As of a service, whose name it is. */
const nameCharsMax = 255;
const metaPairsMax = 64;
const metaKeyCharsMax = 128;
const metaValueCharsMax = 512;
/** Of a subset's name, which becomes a label of a DNS name. */
const subsetName = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const policies = ['', 'random', 'round_robin', 'least_request', 'ring_hash', 'maglev'];
const hashFields = ['header', 'cookie', 'query_parameter'];

/** The entry as it goes into the log. Throws ConfigEntryError. */
export function checkedConfigEntry(entry: ConfigEntry): ConfigEntry {
  const value = normalized(entry);
  const checked = newConfigEntry(entry.kind, value);
  if (checked.name === '') throw refused('Name is required');
  if (checked.name.length > nameCharsMax)
    throw refused(`Name is too long (limit: ${nameCharsMax} characters)`);
  checkMeta(record(value['Meta']));
  switch (entry.kind) {
    case 'service-defaults':
      checkServiceDefaults(checked);
      break;
    case 'proxy-defaults':
      if (checked.name !== 'global')
        throw refused(`invalid name ("${checked.name}"), only "global" is supported`);
      break;
    case 'service-resolver':
      checkResolver(checked);
      break;
    case 'service-intentions':
      checkIntentions(checked);
      break;
  }
  return checked;
}

function normalized({ kind, value }: ConfigEntry): ConfigEntryValue {
  const out: { [key: string]: Value } = Object.assign(newMap(), value);
  if (kind === 'proxy-defaults') out['Name'] = 'global';
  if (kind === 'service-defaults') {
    if (text(value['Protocol']) !== '') out['Protocol'] = text(value['Protocol']).toLowerCase();
    const upstreams = value['UpstreamConfig'] ?? null;
    if (upstreams !== null) out['UpstreamConfig'] = normalizedUpstreams(record(upstreams));
  }
  if (kind === 'service-intentions')
    out['Sources'] = normalizedSources(text(value['Name']), items(value['Sources']));
  return out;
}

function normalizedUpstreams(upstreams: ConfigEntryValue): ConfigEntryValue {
  const each = (upstream: Value): Value => {
    if (upstream === null) return upstream;
    const one = record(upstream);
    return {
      ...one,
      Protocol: text(one['Protocol']).toLowerCase(),
      ConnectTimeoutMs: Math.max(0, number(one['ConnectTimeoutMs'])),
    };
  };
  const { Overrides = null, Defaults = null } = upstreams;
  return {
    ...upstreams,
    Defaults: each(Defaults),
    Overrides: Overrides === null ? null : items(Overrides).map(each),
  };
}

/** What is exact comes before what is a wildcard: first the destination counts, then the source. */
function normalizedSources(destination: string, sources: readonly Value[]): readonly Value[] {
  const highest = destination === '*' ? 6 : 9;
  return sources
    .map((value) => {
      const source = record(value);
      const permissions = source['Permissions'] ?? null;
      return {
        ...source,
        ...(permissions === null ? {} : { Permissions: items(permissions).map(withUpperCaseMethods) }),
        Type: text(source['Type']) || 'consul',
        Precedence: highest - (text(source['Name']) === '*' ? 1 : 0),
        LegacyID: '',
        LegacyCreateTime: null,
        LegacyUpdateTime: null,
      };
    })
    .sort((a, b) => b.Precedence - a.Precedence);
}

function withUpperCaseMethods(value: Value): Value {
  const permission = record(value);
  const http = permission['HTTP'] ?? null;
  if (http === null) return permission;
  const { Methods = null } = record(http);
  if (Methods === null) return permission;
  return {
    ...permission,
    HTTP: { ...record(http), Methods: items(Methods).map((m) => text(m).toUpperCase()) },
  };
}

function checkMeta(meta: ConfigEntryValue): void {
  const entries = Object.entries(meta);
  if (entries.length > metaPairsMax) throw refused(`Meta exceeds maximum element count ${metaPairsMax}`);
  for (const [key, value] of entries) {
    if (key.length > metaKeyCharsMax)
      throw refused(`Meta key "${key}" exceeds maximum length ${metaKeyCharsMax}`);
    if (text(value).length > metaValueCharsMax)
      throw refused(`Meta value for key "${key}" exceeds maximum length ${metaValueCharsMax}`);
  }
}

function checkServiceDefaults({ name, value }: ConfigEntry): void {
  if (name === '*')
    throw refused(
      'service-defaults name must be the name of a service, and not a wildcard; proxy-defaults holds for all services',
    );
  const upstreams = record(value['UpstreamConfig'] ?? null);
  for (const [index, item] of items(upstreams['Overrides'] ?? null).entries()) {
    const override = text(record(item)['Name']);
    if (override === '' || override === '*')
      throw refused(
        `UpstreamConfig.Overrides[${index}].Name must be the name of a service; UpstreamConfig.Defaults holds for all`,
      );
  }
  if (text(record(upstreams['Defaults'] ?? null)['Name']) !== '')
    throw refused(
      'UpstreamConfig.Defaults.Name must be empty; UpstreamConfig.Overrides holds for one service',
    );
}

function checkResolver({ name, value }: ConfigEntry): void {
  const subsets = record(value['Subsets']);
  const known = (subset: string): boolean => Object.hasOwn(subsets, subset);
  const listed = Object.keys(subsets).join(', ') || 'none';
  for (const [subset, rule] of Object.entries(subsets)) checkSubset(subset, record(rule));
  const defaultSubset = text(value['DefaultSubset']);
  if (defaultSubset !== '' && !known(defaultSubset))
    throw refused(`DefaultSubset "${defaultSubset}" is not a valid subset; Subsets has ${listed}`);
  const failover = Object.entries(record(value['Failover']));
  if ((value['Redirect'] ?? null) !== null) {
    if (failover.length > 0) throw refused('Redirect and Failover cannot both be set; leave one of them out');
    checkRedirect(name, record(value['Redirect']), known);
  }
  for (const [subset, rule] of failover) checkFailover(name, subset, record(rule), known);
  if (number(value['ConnectTimeout']) < 0) throw refused('Bad ConnectTimeout, must be >= 0');
  if ((value['LoadBalancer'] ?? null) !== null) checkLoadBalancer(record(value['LoadBalancer']));
}

function checkSubset(subset: string, rule: ConfigEntryValue): void {
  if (subset === '') throw refused('Subset defined with empty name');
  if (!subsetName.test(subset))
    throw refused(
      `Subset "${subset}" is invalid: must be 63 characters or fewer, begin or end with lower case alphanumeric characters, and contain lower case alphanumeric characters or '-' in between`,
    );
  const filter = text(rule['Filter']);
  try {
    if (filter !== '') compileFilter(filter, checkServiceNodeFields);
  } catch (cause) {
    if (!(cause instanceof FilterError)) throw cause;
    throw refused(`Filter for subset "${subset}" is not a valid expression: ${cause.message}`, { cause });
  }
}

function checkRedirect(name: string, redirect: ConfigEntryValue, known: (subset: string) => boolean): void {
  const [service, subset, datacenter] = ['Service', 'ServiceSubset', 'Datacenter'].map((key) =>
    text(redirect[key]),
  );
  if (service === '' && subset === '' && datacenter === '')
    throw refused('Redirect is empty; name a Service or a Datacenter, or leave it out');
  if (service === '' && subset !== '')
    throw refused('Redirect.ServiceSubset defined without Redirect.Service');
  if (service === name && subset !== '' && !known(subset as string))
    throw refused(`Redirect.ServiceSubset "${subset}" is not a valid subset of "${service}"`);
}

function checkFailover(
  name: string,
  of: string,
  failover: ConfigEntryValue,
  known: (subset: string) => boolean,
): void {
  const bad = `Bad Failover["${of}"]`;
  if (of !== '*' && !known(of)) throw refused(`${bad}: not a valid subset; "*" stands for all`);
  const service = text(failover['Service']);
  const subset = text(failover['ServiceSubset']);
  const datacenters = items(failover['Datacenters'] ?? null).map(text);
  if (service === '' && subset === '' && datacenters.length === 0)
    throw refused(`${bad} one of Service, ServiceSubset, Namespace, or Datacenters is required`);
  if (subset !== '' && (service === '' || service === name) && !known(subset))
    throw refused(`${bad}.ServiceSubset "${subset}" is not a valid subset of "${service || name}"`);
  if (datacenters.includes('')) throw refused(`${bad}.Datacenters: found empty datacenter`);
}

function checkLoadBalancer(balancer: ConfigEntryValue): void {
  const policy = text(balancer['Policy']);
  const bad = 'Bad LoadBalancer configuration';
  if (!policies.includes(policy))
    throw refused(
      `Bad LoadBalancer policy: "${policy}" is not supported; choose one of ${policies.filter(Boolean).join(', ')}`,
    );
  const only = { RingHashConfig: 'ring_hash', LeastRequestConfig: 'least_request' } as const;
  for (const [key, wanted] of Object.entries(only))
    if ((balancer[key] ?? null) !== null && policy !== wanted)
      throw refused(`${bad}. ${key} specified for incompatible load balancing policy "${policy}"`);
  const hashes = items(balancer['HashPolicies'] ?? null).map(record);
  if (hashes.length > 0 && policy !== 'ring_hash' && policy !== 'maglev')
    throw refused(`${bad}: HashPolicies specified for non-hash-based Policy: "${policy}"`);
  for (const [index, hash] of hashes.entries())
    checkHashPolicy(`Bad LoadBalancer HashPolicy[${index}]`, hash);
}

function checkHashPolicy(bad: string, hash: ConfigEntryValue): void {
  const name = text(hash['Field']);
  const value = text(hash['FieldValue']);
  const byAddress = hash['SourceIP'] === true;
  if (name !== '' && !hashFields.includes(name)) throw refused(`${bad}: "${name}" is not a supported field`);
  if (byAddress && name !== '')
    throw refused(`${bad}: A single hash policy cannot hash both a source address and a "${name}"`);
  if (byAddress && value !== '')
    throw refused(`${bad}: A FieldValue cannot be specified when hashing SourceIP`);
  if (name !== '' && value === '')
    throw refused(`${bad}: Field "${name}" was specified without a FieldValue`);
  if (value !== '' && name === '') throw refused(`${bad}: FieldValue requires a Field to apply to`);
  if ((hash['CookieConfig'] ?? null) === null) return;
  const cookie = record(hash['CookieConfig']);
  if (name !== 'cookie') throw refused(`${bad}: cookie_config provided for "${name}"`);
  if (cookie['Session'] === true && number(cookie['TTL']) !== 0)
    throw refused(`${bad}: a session cookie cannot have an associated TTL`);
}

function checkIntentions({ name, value }: ConfigEntry): void {
  checkWildcard('Name', name);
  const sources = items(value['Sources'] ?? null).map(record);
  if (sources.length === 0) throw refused('At least one source is required');
  const seen = new Set<string>();
  for (const [index, source] of sources.entries()) {
    const at = `Sources[${index}]`;
    const from = text(source['Name']);
    if (from === '') throw refused(`${at}.Name is required`);
    checkWildcard(`${at}.Name`, from);
    if (seen.has(from)) throw refused(`${at} defines "${from}" more than once`);
    seen.add(from);
    checkSource(at, source, name === '*');
  }
}

function checkSource(at: string, source: ConfigEntryValue, toAll: boolean): void {
  if (text(source['Description']).length > metaValueCharsMax)
    throw refused(`${at}.Description exceeds maximum length ${metaValueCharsMax}`);
  if (Object.keys(record(source['LegacyMeta'])).length > 0)
    throw refused(`${at}.LegacyMeta must be omitted; Meta of the entry takes its place`);
  if (text(source['Type']) !== 'consul') throw refused(`${at}.Type must be set to 'consul'`);
  const permissions = items(source['Permissions'] ?? null).map(record);
  if (permissions.length === 0) {
    checkAction(at, source['Action']);
    return;
  }
  if (text(source['Action']) !== '')
    throw refused(`${at}.Action must be omitted if Permissions are specified`);
  if (toAll)
    throw refused(`${at}.Permissions cannot be specified on intentions with wildcarded destinations`);
  for (const [index, permission] of permissions.entries()) {
    checkAction(`${at}.Permissions[${index}]`, permission['Action']);
    if ((permission['HTTP'] ?? null) === null) throw refused(`${at}.Permissions[${index}].HTTP is required`);
    checkHttp(`${at}.Permissions[${index}].HTTP`, record(permission['HTTP']));
  }
}

function checkHttp(at: string, http: ConfigEntryValue): void {
  const paths = ['PathExact', 'PathPrefix', 'PathRegex'].filter((key) => text(http[key]) !== '');
  if (paths.length > 1)
    throw refused(`${at} should only contain at most one of PathExact, PathPrefix, or PathRegex`);
  for (const key of ['PathExact', 'PathPrefix'])
    if (text(http[key]) !== '' && !text(http[key]).startsWith('/'))
      throw refused(`${at}.${key} doesn't start with '/': "${text(http[key])}"`);
  const headers = items(http['Header'] ?? null).map(record);
  for (const [index, header] of headers.entries()) {
    if (text(header['Name']) === '') throw refused(`${at}.Header[${index}] missing required Name field`);
    const ways = ['Exact', 'Prefix', 'Suffix', 'Regex'].filter((key) => text(header[key]) !== '');
    if (ways.length + (header['Present'] === true ? 1 : 0) !== 1)
      throw refused(
        `${at}.Header[${index}] should only contain one of Present, Exact, Prefix, Suffix, or Regex`,
      );
  }
  const methods = items(http['Methods'] ?? null).map(text);
  for (const [index, method] of methods.entries()) {
    if (!httpMethods.includes(method)) throw refused(`${at}.Methods contains an invalid method "${method}"`);
    if (methods.indexOf(method) < index) throw refused(`${at}.Methods contains "${method}" more than once`);
  }
  if (paths.length + headers.length + methods.length === 0) throw refused(`${at} should not be empty`);
}

const httpMethods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE'];

function checkAction(at: string, action: Value | undefined): void {
  if (action !== 'allow' && action !== 'deny') throw refused(`${at}.Action must be set to 'allow' or 'deny'`);
}

function checkWildcard(key: string, name: string): void {
  if (name !== '*' && name.includes('*'))
    throw refused(`${key}: wildcard character '*' cannot be used with partial values`);
}

function text(value: Value | undefined): string {
  if (value === undefined || value === null) return '';
  if (typeof value === 'string') return value;
  throw refused('a field that is text holds something else');
}

function number(value: Value | undefined): number {
  return value === undefined || value === null ? 0 : Number(value);
}

function items(value: Value | undefined): readonly Value[] {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value)) return value as readonly Value[];
  throw refused('a field that is a list holds something else');
}

function record(value: Value | undefined): ConfigEntryValue {
  if (value === undefined || value === null) return {};
  if (typeof value === 'object' && !Array.isArray(value) && !(value instanceof Uint8Array))
    return value as ConfigEntryValue;
  throw refused('a field that is a map holds something else');
}

function refused(detail: string, options?: ErrorOptions): ConfigEntryError {
  return new ConfigEntryError(detail, options);
}
