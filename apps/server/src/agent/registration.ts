/**
 * registration.ts: the body of PUT /v1/agent/service/register, as rows.
 *
 * Lives here: what a body may hold and what it turns into. Must not live here: where rows go, who runs checks.
 * Source: Consul api/agent.go, agent/structs/service_definition.go, agent/service_manager.go.
 */
import { type CheckRow, newService, type ServiceRow } from '@fed/fsm';
import { type CheckBody, checkFields, checkRow, checkStatuses, isEmptyCheck } from './check-definition.ts';
import { type DecodedFields, decode, type Fields, RegistrationError } from './decode.ts';
import { checkName, checkServiceMeta } from './names.ts';

export { RegistrationError } from './decode.ts';

export interface Registration {
  readonly service: ServiceRow;
  readonly checks: readonly CheckRow[];
}

/** Those of the server itself; only the leader writes them. */
export const consulService = 'consul';
export const serfHealth = 'serfHealth';

export const addressFields = { Address: 'text', Port: 'int' } as const satisfies Fields;
export const weightsFields = { Passing: 'int', Warning: 'int' } as const satisfies Fields;
const meshGatewayFields = { Mode: 'text' } as const satisfies Fields;
export const connectFields = { Native: 'bool', SidecarService: 'any' } as const satisfies Fields;

export const proxyFields = {
  DestinationServiceName: 'text',
  DestinationServiceID: 'text',
  LocalServiceAddress: 'text',
  LocalServicePort: 'int',
  Config: { map: 'any' },
  Upstreams: {
    list: {
      struct: {
        DestinationType: 'text',
        DestinationNamespace: 'text',
        DestinationName: 'text',
        Datacenter: 'text',
        LocalBindAddress: 'text',
        LocalBindPort: 'int',
        Config: { map: 'any' },
        MeshGateway: { struct: meshGatewayFields },
      },
    },
  },
  MeshGateway: { struct: meshGatewayFields },
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
} as const satisfies Fields;

const serviceFields = {
  ID: 'text',
  Name: 'text',
  Kind: 'text',
  Tags: { list: 'text' },
  Address: 'text',
  Port: 'int',
  TaggedAddresses: { map: { struct: addressFields } },
  Meta: { map: 'text' },
  Weights: { struct: weightsFields },
  EnableTagOverride: 'bool',
  Check: { struct: checkFields },
  Checks: { list: { struct: checkFields } },
  Proxy: { struct: proxyFields },
  Connect: { struct: connectFields },
  Namespace: 'text',
  Partition: 'text',
} as const satisfies Fields;

const portMax = 65_535;
const gatewayKinds: ReadonlySet<string> = new Set(['mesh-gateway', 'terminating-gateway', 'ingress-gateway']);

/** Throws RegistrationError. */
export function readRegistration(body: unknown, node: string): Registration {
  const fields = decode(body, serviceFields);
  const name = fields.Name ?? '';
  if (name === '') throw new RegistrationError('Missing service name');
  const id = fields.ID || name;
  checkName('service name', name);
  checkName('service ID', id);
  if (id.toLowerCase() === consulService)
    throw new RegistrationError(`Invalid service ID: '${id}' is the service of this server itself`);
  const kind = fields.Kind ?? '';
  checkServiceMeta(fields.Meta ?? {}, kind);
  if (fields.Address === '0.0.0.0' || fields.Address === '::' || fields.Address === '[::]')
    throw new RegistrationError('Invalid service address');
  const service = newService({
    Address: fields.Address ?? '',
    Connect: connect(fields.Connect),
    EnableTagOverride: fields.EnableTagOverride ?? false,
    ID: id,
    Kind: kind,
    Meta: fields.Meta ?? null,
    Port: port(fields.Port),
    Service: name,
    TaggedAddresses: withIpTags(fields.TaggedAddresses, fields.Address ?? '', fields.Port ?? 0),
    Tags: fields.Tags ?? [],
    Weights: weights(fields.Weights),
    ...(fields.Proxy === undefined ? {} : { Proxy: proxy(fields.Proxy) }),
  });
  refuseIncomplete(service);
  const bodies = [...(fields.Check === undefined ? [] : [fields.Check]), ...(fields.Checks ?? [])].filter(
    (check) => !isEmptyCheck(check),
  );
  const checks = bodies.map((check, at) => serviceCheck(check, { node, service, at, total: bodies.length }));
  return { service, checks };
}

/** A proxy or gateway nobody could use. The original tells all that is missing at once, in these words. */
function refuseIncomplete({ Kind, Port, Proxy: { DestinationServiceName } }: ServiceRow): void {
  const lacks: string[] = [];
  if (Kind === 'connect-proxy') {
    if (DestinationServiceName.trim() === '')
      lacks.push('Proxy.DestinationServiceName must be non-empty for Connect proxy services');
    if (Port === 0) lacks.push('Port must be set for a Connect proxy');
  } else if (gatewayKinds.has(Kind) && Port === 0) lacks.push(`Port must be non-zero for a ${Kind}`);
  if (lacks.length === 0) return;
  const errors = lacks.length === 1 ? '1 error' : `${lacks.length} errors`;
  throw new RegistrationError(`${errors} occurred:\n${lacks.map((one) => `\t* ${one}\n`).join('')}\n`);
}

function serviceCheck(
  body: CheckBody,
  o: { readonly node: string; readonly service: ServiceRow; readonly at: number; readonly total: number },
): CheckRow {
  if ((body.Status ?? '') !== '' && !checkStatuses.has(body.Status as string))
    throw new RegistrationError("Status for checks must 'passing', 'warning', 'critical'");
  const { service } = o;
  return checkRow(body, {
    node: o.node,
    service,
    fallbackId: o.total > 1 ? `service:${service.ID}:${o.at + 1}` : `service:${service.ID}`,
    name: `Service '${service.Service}' check`,
  });
}

export function weights(given: DecodedFields<typeof weightsFields> | undefined): ServiceRow['Weights'] {
  const { Passing = given === undefined ? 1 : 0, Warning = given === undefined ? 1 : 0 } = given ?? {};
  for (const [name, value, least] of [
    ['Passing', Passing, 1],
    ['Warning', Warning, 0],
  ] as const) {
    if (value < least)
      throw new RegistrationError(
        `Invalid Weights: ${name} must be ${least === 1 ? 'greater than 0' : 'greater or equal than 0'}`,
      );
    if (value > portMax) throw new RegistrationError(`Invalid Weights: ${name} must be <= ${portMax}`);
  }
  return { Passing, Warning };
}

export function proxy(given: DecodedFields<typeof proxyFields>): ServiceRow['Proxy'] {
  // What is missing is filled in where rows are made, and what is of the wrong type was refused where it was decoded.
  return newService({ ID: '', Service: '', Proxy: given as unknown as ServiceRow['Proxy'] }).Proxy;
}

function connect(given: DecodedFields<typeof connectFields> | undefined): ServiceRow['Connect'] {
  if (given?.SidecarService !== undefined)
    throw new RegistrationError(
      'Invalid Connect: SidecarService is not offered here; register the sidecar as a service of kind connect-proxy',
    );
  return { Native: given?.Native ?? false, SidecarService: null };
}

function port(given = 0): number {
  if (given >= 0 && given <= portMax) return given;
  throw new RegistrationError(`Invalid Port: it must be an integer from 0 to ${portMax}`);
}

/** The original derives these two from the service address, for consumers that want one family only. */
function withIpTags(
  given: Readonly<Record<string, DecodedFields<typeof addressFields>>> | undefined,
  address: string,
  servicePort: number,
): ServiceRow['TaggedAddresses'] {
  const tagged =
    given === undefined
      ? null
      : Object.fromEntries(
          Object.entries(given).map(([name, { Address = '', Port }]) => [
            name,
            { Address, Port: port(Port) },
          ]),
        );
  if (!/^\d+\.\d+\.\d+\.\d+$/.test(address)) return tagged;
  const own = { Address: address, Port: servicePort };
  return { lan_ipv4: own, wan_ipv4: own, ...(tagged ?? {}) };
}
