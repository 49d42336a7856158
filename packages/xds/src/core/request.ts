/**
 * request.ts: what a client says on its stream, decoded and bounded.
 *
 * Lives here: both request messages in our words, and the errors a client can cause. Must not live here: answers.
 * Source: envoy/service/discovery/v3/discovery.proto.
 */
import { decode, type Message, WireError } from '../wire/codec.ts';
import { type Json, toJson } from '../wire/json.ts';

/** The client's fault. Ends its stream with the gRPC status of that name and changes nothing else. */
export class ClientFault extends Error {
  override readonly name = 'ClientFault';
  readonly code:
    | 'invalid_argument'
    | 'resource_exhausted'
    | 'unauthenticated'
    | 'permission_denied'
    | 'aborted';
  constructor(code: ClientFault['code'], detail: string, options?: ErrorOptions) {
    super(detail, options);
    this.code = code;
  }
}

export interface NodeIdentity {
  readonly id: string;
  readonly cluster: string;
  /** From the metadata: the catalog node on which the gateway is registered, if the client says so. */
  readonly nodeName?: string;
  readonly userAgent: string;
  /** [major, minor, patch], if the client says so. */
  readonly userAgentVersion?: readonly [number, number, number];
}

export interface Rejection {
  readonly code: number;
  readonly message: string;
}

export interface DeltaRequest {
  readonly node?: NodeIdentity;
  readonly typeUrl: string;
  readonly subscribe: readonly string[];
  readonly unsubscribe: readonly string[];
  readonly initialVersions: ReadonlyMap<string, string>;
  /** '' when the request answers no response. */
  readonly nonce: string;
  readonly error?: Rejection;
}

export interface SotwRequest {
  readonly node?: NodeIdentity;
  readonly typeUrl: string;
  readonly names: readonly string[];
  readonly version: string;
  readonly nonce: string;
  readonly error?: Rejection;
}

/** Longest resource name taken, in bytes. Names are SNI names (255) and listener addresses. */
const nameBytesMax = 1_024;
/** Longest text of a NACK kept, in characters. Envoy cuts its own at this length. */
const errorTextMax = 4_096;

export function parseDeltaRequest(bytes: Uint8Array): DeltaRequest {
  const m = read('envoy.service.discovery.v3.DeltaDiscoveryRequest', bytes);
  const versions = Object.entries((m['initialResourceVersions'] ?? {}) as Record<string, string>);
  return {
    ...common(m),
    subscribe: names(m['resourceNamesSubscribe']),
    unsubscribe: names(m['resourceNamesUnsubscribe']),
    initialVersions: new Map(versions),
  };
}

export function parseSotwRequest(bytes: Uint8Array): SotwRequest {
  const m = read('envoy.service.discovery.v3.DiscoveryRequest', bytes);
  return { ...common(m), names: names(m['resourceNames']), version: text(m['versionInfo']) };
}

function read(typeName: string, bytes: Uint8Array): Message {
  try {
    return decode(typeName, bytes);
  } catch (cause) {
    if (!(cause instanceof WireError)) throw cause;
    throw new ClientFault('invalid_argument', `request cannot be read: ${cause.message}`, { cause });
  }
}

function common(m: Message): Pick<DeltaRequest, 'node' | 'typeUrl' | 'nonce' | 'error'> {
  const node = m['node'] as Message | null | undefined;
  const error = m['errorDetail'] as Message | null | undefined;
  return {
    typeUrl: text(m['typeUrl']),
    nonce: text(m['responseNonce']),
    ...(node ? { node: identity(node) } : {}),
    ...(error
      ? {
          error: { code: Number(error['code'] ?? 0), message: text(error['message']).slice(0, errorTextMax) },
        }
      : {}),
  };
}

function identity(node: Message): NodeIdentity {
  const metadata = node['metadata'] as Message | null | undefined;
  const nodeName = metadata ? nameIn(toJson('google.protobuf.Struct', metadata)) : '';
  const build = node['userAgentBuildVersion'] as Message | null | undefined;
  const version = build?.['version'] as Message | null | undefined;
  return {
    id: text(node['id']),
    cluster: text(node['cluster']),
    userAgent: text(node['userAgentName']),
    ...(nodeName !== '' ? { nodeName } : {}),
    ...(version ? { userAgentVersion: semantic(version) } : {}),
  };
}

function nameIn(metadata: Json): string {
  const value = (metadata as { readonly [key: string]: Json })['node_name'];
  return typeof value === 'string' ? value : '';
}

function semantic(version: Message): readonly [number, number, number] {
  return [
    Number(version['majorNumber'] ?? 0),
    Number(version['minorNumber'] ?? 0),
    Number(version['patch'] ?? 0),
  ];
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function names(value: unknown): readonly string[] {
  const list = (value ?? []) as readonly string[];
  if (list.some((name) => Buffer.byteLength(name) > nameBytesMax))
    throw new ClientFault('invalid_argument', `a resource name may be ${nameBytesMax} bytes long`);
  return list;
}
