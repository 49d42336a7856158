/**
 * messages.ts: the port's words as etcd's messages, and back.
 *
 * Lives here: field by field translation. Must not live here: sending.
 * Source: etcd api/etcdserverpb/rpc.proto (v3.4).
 */
import type { KeyValue, Op, Range, RangeResult, Txn, TxnResult, WatchChange, WatchRange } from './ports.ts';
import { decode, encode, type Message, toNumber } from './wire/codec.ts';

const modRevision = 2;
const noDelete = 1;
const deleted = 1;

const text = (key: string): Buffer => Buffer.from(key);

function range({ key, end, limit }: Range): Message {
  return {
    key: text(key),
    ...(end === undefined ? {} : { rangeEnd: text(end) }),
    ...(limit === undefined ? {} : { limit }),
  };
}

function op(one: Op): Message {
  if ('put' in one)
    return {
      requestPut: {
        key: text(one.put),
        value: one.value,
        ...(one.lease === undefined ? {} : { lease: one.lease }),
      },
    };
  if ('delete' in one)
    return {
      requestDeleteRange: {
        key: text(one.delete),
        ...(one.end === undefined ? {} : { rangeEnd: text(one.end) }),
      },
    };
  return { requestRange: range(one.range) };
}

export function txnRequest(txn: Txn): Buffer {
  return encode('etcdserverpb.TxnRequest', {
    compare: (txn.compare ?? []).map((one) => ({
      target: modRevision,
      key: text(one.key),
      modRevision: one.revision,
    })),
    success: txn.success.map(op),
    failure: (txn.failure ?? []).map(op),
  });
}

interface Header {
  readonly header?: { readonly revision?: unknown };
}

interface RawKeyValue {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly modRevision: unknown;
  readonly lease: unknown;
}

function keyValue(raw: RawKeyValue): KeyValue {
  return {
    key: Buffer.from(raw.key).toString(),
    value: raw.value,
    modRevision: toNumber(raw.modRevision),
    lease: toNumber(raw.lease),
  };
}

interface RawRange {
  readonly kvs: readonly RawKeyValue[];
  readonly more: boolean;
}

export function txnResult(bytes: Uint8Array): TxnResult {
  const { header, succeeded, responses } = decode('etcdserverpb.TxnResponse', bytes) as unknown as Header & {
    readonly succeeded: boolean;
    readonly responses: readonly { readonly responseRange?: RawRange | null }[];
  };
  return {
    revision: toNumber(header?.revision),
    succeeded,
    found: responses.map(({ responseRange }) => (responseRange?.kvs ?? []).map(keyValue)),
  };
}

export function rangeRequest(o: Range & { readonly revision: number }): Buffer {
  return encode('etcdserverpb.RangeRequest', { ...range(o), revision: o.revision });
}

export function rangeResult(bytes: Uint8Array): RangeResult {
  const { kvs, more } = decode('etcdserverpb.RangeResponse', bytes) as unknown as RawRange;
  return { kvs: kvs.map(keyValue), more };
}

export function compactRequest(revision: number): Buffer {
  return encode('etcdserverpb.CompactionRequest', { revision });
}

export function grantRequest(lease: number, ttlMs: number): Buffer {
  return encode('etcdserverpb.LeaseGrantRequest', { ID: lease, TTL: Math.ceil(ttlMs / 1000) });
}

export function grantResult(bytes: Uint8Array): { readonly ttlMs: number } {
  return { ttlMs: toNumber(decode('etcdserverpb.LeaseGrantResponse', bytes)['TTL']) * 1000 };
}

export function revokeRequest(lease: number): Buffer {
  return encode('etcdserverpb.LeaseRevokeRequest', { ID: lease });
}

export function timeToLiveRequest(lease: number): Buffer {
  return encode('etcdserverpb.LeaseTimeToLiveRequest', { ID: lease });
}

export function timeToLiveResult(bytes: Uint8Array): { readonly leftMs: number; readonly ttlMs: number } {
  const { TTL, grantedTTL } = decode('etcdserverpb.LeaseTimeToLiveResponse', bytes);
  return { leftMs: toNumber(TTL) * 1000, ttlMs: toNumber(grantedTTL) * 1000 };
}

export function keepAliveRequest(lease: number): Buffer {
  return encode('etcdserverpb.LeaseKeepAliveRequest', { ID: lease });
}

export function keepAliveResult(bytes: Uint8Array): { readonly ttlMs: number } {
  return { ttlMs: toNumber(decode('etcdserverpb.LeaseKeepAliveResponse', bytes)['TTL']) * 1000 };
}

export function authRequest(name: string, password: string): Buffer {
  return encode('etcdserverpb.AuthenticateRequest', { name, password });
}

export function authResult(bytes: Uint8Array): string {
  return decode('etcdserverpb.AuthenticateResponse', bytes)['token'] as string;
}

export function watchRequest(id: number, { key, end, puts }: WatchRange, from: number): Buffer {
  return encode('etcdserverpb.WatchRequest', {
    createRequest: {
      key: text(key),
      ...(end === undefined ? {} : { rangeEnd: text(end) }),
      startRevision: from,
      filters: puts === 'only' ? [noDelete] : [],
      watchId: id,
      fragment: true,
    },
  });
}

export const progressRequest: Buffer = encode('etcdserverpb.WatchRequest', { progressRequest: {} });

interface RawWatchResponse {
  readonly canceled: boolean;
  readonly compactRevision: unknown;
  readonly cancelReason: string;
  readonly events: readonly { readonly type: number; readonly kv: RawKeyValue }[];
}

/** `canceled` is etcd's reason; undefined while the watch goes on. */
export function watchResponse(bytes: Uint8Array): {
  readonly changes: readonly WatchChange[];
  readonly compacted: boolean;
  readonly canceled: string | undefined;
} {
  const raw = decode('etcdserverpb.WatchResponse', bytes) as unknown as RawWatchResponse;
  const compactRevision = toNumber(raw.compactRevision);
  return {
    compacted: compactRevision > 0,
    canceled: raw.canceled
      ? raw.cancelReason || (compactRevision > 0 ? `compacted up to ${compactRevision}` : 'no reason given')
      : undefined,
    changes: raw.events.map(({ type, kv }) => ({
      key: Buffer.from(kv.key).toString(),
      revision: toNumber(kv.modRevision),
      value: type === deleted ? undefined : kv.value,
      lease: toNumber(kv.lease),
    })),
  };
}
