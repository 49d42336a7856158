/**
 * resource.ts: one Envoy resource, encoded once, with the hash of its bytes as its version.
 *
 * I1. A version made of content is the same on every server and after every restart, so a client that reconnects
 * anywhere is sent only what really changed. The frame for the wire is kept; responses are concatenations of frames.
 * Lives here: types, framing, versions. Must not live here: what the resources say.
 * Source: envoy/service/discovery/v3/discovery.proto; Consul agent/xds/delta.go (versions are SHA-256).
 */
import { createHash } from 'node:crypto';
import { encode } from '../wire/codec.ts';
import { anyToJson, fromJson, type Json, type JsonObject, typeUrlPrefix } from '../wire/json.ts';

export type ResourceType = 'Cluster' | 'ClusterLoadAssignment' | 'Listener' | 'RouteConfiguration' | 'Secret';

/** Make before break: what is referred to goes out before what refers to it. */
export const resourceTypes: readonly ResourceType[] = [
  'Secret',
  'Cluster',
  'ClusterLoadAssignment',
  'Listener',
  'RouteConfiguration',
];

const messageNames: Readonly<Record<ResourceType, string>> = {
  Cluster: 'envoy.config.cluster.v3.Cluster',
  ClusterLoadAssignment: 'envoy.config.endpoint.v3.ClusterLoadAssignment',
  Listener: 'envoy.config.listener.v3.Listener',
  RouteConfiguration: 'envoy.config.route.v3.RouteConfiguration',
  Secret: 'envoy.extensions.transport_sockets.tls.v3.Secret',
};

export function typeUrlOf(type: ResourceType): string {
  return typeUrlPrefix + messageNames[type];
}

/** Undefined for a type this package does not serve. */
export function resourceTypeOf(typeUrl: string): ResourceType | undefined {
  return resourceTypes.find((type) => typeUrlOf(type) === typeUrl);
}

export class Resource {
  readonly type: ResourceType;
  readonly name: string;
  /** SHA-256 of `bytes`, hex. */
  readonly version: string;
  /** The message, deterministically encoded; a view into `frame`. */
  readonly bytes: Uint8Array;
  /** The message as an Any; a view into `frame`. */
  readonly any: Uint8Array;
  /** The message as envoy.service.discovery.v3.Resource, the element of a delta response. */
  readonly frame: Uint8Array;

  constructor(type: ResourceType, name: string, bytes: Uint8Array) {
    this.type = type;
    this.name = name;
    this.version = createHash('sha256').update(bytes).digest('hex');
    const value = { type_url: typeUrlOf(type), value: bytes };
    const any = encode('google.protobuf.Any', value);
    this.frame = encode('envoy.service.discovery.v3.Resource', {
      version: this.version,
      resource: value,
      name,
    });
    // Order in the frame: version, Any (which ends with the message), name. Both are found from the back.
    const nameBytes = Buffer.byteLength(name);
    const anyEnd = this.frame.length - (nameBytes === 0 ? 0 : 1 + varintBytes(nameBytes) + nameBytes);
    this.any = this.frame.subarray(anyEnd - any.length, anyEnd);
    this.bytes = this.frame.subarray(anyEnd - bytes.length, anyEnd);
  }

  get typeUrl(): string {
    return typeUrlOf(this.type);
  }

  /** Canonical JSON with "@type", decoded from the bytes at each call: for people and tests. */
  get message(): Json {
    return anyToJson(this.typeUrl, this.bytes);
  }
}

/** From canonical JSON to a resource: `resourceOf`, or one made before. */
export type MakeResource = (type: ResourceType, name: string, json: JsonObject) => Resource;

/** From canonical JSON. Throws WireError for a field the type does not have: our own bug, never a peer's. */
export function resourceOf(type: ResourceType, name: string, json: JsonObject): Resource {
  const messageName = messageNames[type];
  return new Resource(type, name, encode(messageName, fromJson(messageName, json)));
}

function varintBytes(n: number): number {
  return n < 0x80 ? 1 : n < 0x4000 ? 2 : n < 0x20_0000 ? 3 : 4;
}
