/**
 * check-definition.ts: a check as clients describe it, with a service or on its own, as a row.
 *
 * Source: Consul agent/structs/check_type.go (Validate), check_definition.go.
 */
import { type CheckRow, newCheck, type ServiceRow } from '@fed/fsm';
import { type DecodedFields, decode, type Fields, RegistrationError } from './decode.ts';
import { checkName } from './names.ts';

export const checkFields = {
  ID: 'text',
  CheckID: 'text',
  Name: 'text',
  Notes: 'text',
  Status: 'text',
  ServiceID: 'text',
  TTL: 'duration',
  TCP: 'text',
  HTTP: 'text',
  Header: { map: { list: 'text' } },
  Method: 'text',
  Body: 'text',
  Interval: 'duration',
  Timeout: 'duration',
  TLSSkipVerify: 'bool',
  DeregisterCriticalServiceAfter: 'duration',
  Namespace: 'text',
  Partition: 'text',
  // Kinds of check this agent does not run, refused in words of their own.
  Script: 'text',
  Args: { list: 'text' },
  ScriptArgs: { list: 'text' },
  DockerContainerID: 'text',
  Shell: 'text',
  GRPC: 'text',
  GRPCUseTLS: 'bool',
  AliasNode: 'text',
  AliasService: 'text',
} as const satisfies Fields;

export type CheckBody = DecodedFields<typeof checkFields>;

/** The original's floor, in ns: a shorter one would have services vanish between two checks. */
const deregisterAfterNsMin = 60e9;
export const checkStatuses: ReadonlySet<string> = new Set(['passing', 'warning', 'critical']);

/** A check without anything in it is no check: some clients send one along always. */
export function isEmptyCheck(body: CheckBody): boolean {
  return Object.values(body).every((value) => value === '' || value === 0 || value === false);
}

/** Throws RegistrationError. */
export function checkRow(
  body: CheckBody,
  o: {
    readonly node: string;
    readonly fallbackId: string;
    readonly name: string;
    readonly service?: Pick<ServiceRow, 'ID' | 'Service' | 'Tags'> | undefined;
  },
): CheckRow {
  const type = typeOf(body);
  const { service } = o;
  return newCheck({
    CheckID: checkName('check ID', body.CheckID || body.ID || o.fallbackId),
    Name: checkName('check name', body.Name || o.name),
    Node: o.node,
    Notes: body.Notes ?? '',
    ServiceID: service?.ID ?? '',
    ServiceName: service?.Service ?? '',
    ServiceTags: service?.Tags ?? [],
    Status: body.Status || 'critical',
    Type: type,
    Definition: {
      Body: body.Body ?? '',
      DeregisterCriticalServiceAfter: floored(body.DeregisterCriticalServiceAfter ?? 0),
      HTTP: body.HTTP ?? '',
      Header: body.Header ?? null,
      Interval: type === 'ttl' ? 0 : (body.Interval ?? 0),
      Method: body.Method ?? '',
      TCP: body.TCP ?? '',
      TLSSkipVerify: body.TLSSkipVerify ?? false,
      TTL: body.TTL ?? 0,
      Timeout: body.Timeout ?? 0,
    },
  });
}

/** The body of PUT /v1/agent/check/register. */
export function readCheck(body: unknown): CheckBody & { readonly Name: string } {
  const check = decode(body, checkFields);
  if ((check.Name ?? '') === '') throw new RegistrationError('Missing check name');
  if ((check.Status ?? '') !== '' && !checkStatuses.has(check.Status as string))
    throw new RegistrationError('Bad check status');
  return check as CheckBody & { readonly Name: string };
}

function typeOf(body: CheckBody): 'ttl' | 'tcp' | 'http' {
  const refused = (
    ['Script', 'Args', 'ScriptArgs', 'DockerContainerID', 'GRPC', 'AliasNode', 'AliasService'] as const
  ).find((key) => (body[key]?.length ?? 0) > 0);
  if (refused !== undefined)
    throw new RegistrationError(`Invalid check: ${refused} checks are not run here; use TTL, TCP or HTTP`);
  const interval = body.Interval ?? 0;
  const ttl = body.TTL ?? 0;
  const network = [body.TCP, body.HTTP].filter((target) => (target ?? '') !== '').length;
  const invalid = (why: string): RegistrationError => new RegistrationError(`Invalid check: ${why}`);
  if (interval > 0 && ttl > 0) throw invalid('Interval and TTL cannot both be specified');
  if (network > 1) throw invalid('TCP and HTTP cannot both be specified');
  if (network === 1 && ttl > 0) throw invalid('TTL cannot be specified together with TCP or HTTP');
  if (network === 1 && interval <= 0)
    throw invalid('Interval must be > 0 for Script, HTTP, H2PING, TCP, UDP or OSService checks');
  if (network === 0 && ttl <= 0) throw invalid('TTL must be > 0 for TTL checks');
  if (network === 0) return 'ttl';
  return (body.TCP ?? '') === '' ? 'http' : 'tcp';
}

function floored(ns: number): number {
  return ns <= 0 ? 0 : Math.max(ns, deregisterAfterNsMin);
}
