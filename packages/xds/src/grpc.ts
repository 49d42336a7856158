/**
 * grpc.ts: the ADS methods as grpc-js wants them, and the loading of grpc-js itself.
 *
 * Messages pass through as bytes: encoding and decoding are ours. The library is loaded when the first server or client
 * is opened, because a process that does neither should not carry it.
 * Lives here: method paths, limits, address text. Must not live here: streams.
 * Source: envoy/service/discovery/v3/ads.proto; grpc-js channel options.
 */
import type * as Grpc from '@grpc/grpc-js';
import type { HostPort } from './ports.ts';

export type GrpcModule = typeof Grpc;

let loading: Promise<GrpcModule> | undefined;

export async function loadGrpc(): Promise<GrpcModule> {
  loading ??= import('@grpc/grpc-js').then((m) => ('default' in m ? (m.default as GrpcModule) : m));
  return await loading;
}

const service = '/envoy.service.discovery.v3.AggregatedDiscoveryService/';
const sameBytes = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const sameBuffer = (buffer: Buffer): Uint8Array => buffer;

export const serialize: (bytes: Uint8Array) => Buffer = sameBytes;
export const deserialize: (buffer: Buffer) => Uint8Array = sameBuffer;
export const deltaPath: string = `${service}DeltaAggregatedResources`;
const sotwPath = `${service}StreamAggregatedResources`;

function method(path: string): Grpc.MethodDefinition<Uint8Array, Uint8Array> {
  return {
    path,
    requestStream: true,
    responseStream: true,
    requestSerialize: serialize,
    requestDeserialize: deserialize,
    responseSerialize: serialize,
    responseDeserialize: deserialize,
  };
}

export const aggregatedDiscoveryService: {
  readonly DeltaAggregatedResources: Grpc.MethodDefinition<Uint8Array, Uint8Array>;
  readonly StreamAggregatedResources: Grpc.MethodDefinition<Uint8Array, Uint8Array>;
} = {
  DeltaAggregatedResources: method(deltaPath),
  StreamAggregatedResources: method(sotwPath),
};

/** A peer that stops answering is found out after about the sum of both, in ms. Off by default in grpc-js. */
export const keepaliveOptions: { readonly [key: string]: number } = {
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 20_000,
  'grpc.enable_channelz': 0,
};
/** Largest request taken, in bytes: a reconnect names everything the client holds, some hundred bytes each. */
export const requestBytesMax: number = 16 * 1024 * 1024;
/** Largest response taken by our client, in bytes: a first response holds every resource of a type. */
export const responseBytesMax: number = 64 * 1024 * 1024;

export function hostPortText({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
