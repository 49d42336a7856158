/**
 * snapshot.ts: one self-consistent set of resources, and the bytes of responses made from it.
 *
 * Lives here: resources by type and name, response framing. Must not live here: how they are made (workshop.ts), who has which
 * of them (delta.ts, sotw.ts).
 * Source: envoy/service/discovery/v3/discovery.proto (field numbers of both responses).
 */
import { createHash } from 'node:crypto';
import protobuf from 'protobufjs/light.js';
import type { Notice } from '../ports.ts';
import { type Resource, type ResourceType, typeUrlOf } from './resource.ts';

export type ByName = ReadonlyMap<string, Resource>;

export interface Snapshot {
  /** The service whose registration is configured: what a token must be allowed to write. */
  readonly service: string;
  readonly resources: Readonly<Record<ResourceType, ByName>>;
  readonly notices: readonly Notice[];
}

/** Names are unique within a type by construction; the order is kept. */
export function byName(resources: readonly Resource[]): ByName {
  return new Map(resources.map((r) => [r.name, r]));
}

/** One version for a whole set, for clients that are always sent the whole state. */
export function setVersion(resources: Iterable<Resource>): string {
  const hash = createHash('sha256');
  for (const { name, version } of resources) hash.update(`${name}\n${version}\n`);
  return hash.digest('hex');
}

export interface DeltaResponse {
  readonly type: ResourceType;
  readonly upserts: readonly Resource[];
  readonly removed: readonly string[];
  /** Eight hex digits, unique on the stream. */
  readonly nonce: string;
}

export function encodeDeltaResponse(r: DeltaResponse): Uint8Array {
  const writer = protobuf.Writer.create();
  for (const { frame } of r.upserts) writer.uint32(tag(2)).bytes(frame);
  writer.uint32(tag(4)).string(typeUrlOf(r.type)).uint32(tag(5)).string(r.nonce);
  for (const name of r.removed) writer.uint32(tag(6)).string(name);
  return writer.finish();
}

export interface SotwResponse {
  readonly type: ResourceType;
  readonly version: string;
  readonly resources: readonly Resource[];
  readonly nonce: string;
}

export function encodeSotwResponse(r: SotwResponse): Uint8Array {
  const writer = protobuf.Writer.create().uint32(tag(1)).string(r.version);
  for (const { any } of r.resources) writer.uint32(tag(2)).bytes(any);
  return writer.uint32(tag(4)).string(typeUrlOf(r.type)).uint32(tag(5)).string(r.nonce).finish();
}

/** The key of a length-delimited field. */
function tag(field: number): number {
  return (field << 3) | 2;
}
