/**
 * grpc.ts: the loading of grpc-js, and one channel to one endpoint.
 *
 * Messages pass through as bytes. Lives here: channel options, credentials, method paths. Must not live here: retries.
 */
import type * as Grpc from '@grpc/grpc-js';
import type { Endpoint } from './endpoint.ts';
import type { EtcdTls } from './options.ts';

export type GrpcModule = typeof Grpc;

let loading: Promise<GrpcModule> | undefined;

/** Loaded when the first client is opened, because a process with its log on disk should not carry it. */
export async function loadGrpc(): Promise<GrpcModule> {
  loading ??= import('@grpc/grpc-js').then((m) => ('default' in m ? (m.default as GrpcModule) : m));
  return await loading;
}

export const paths = {
  range: '/etcdserverpb.KV/Range',
  txn: '/etcdserverpb.KV/Txn',
  compact: '/etcdserverpb.KV/Compact',
  watch: '/etcdserverpb.Watch/Watch',
  grant: '/etcdserverpb.Lease/LeaseGrant',
  revoke: '/etcdserverpb.Lease/LeaseRevoke',
  keepAlive: '/etcdserverpb.Lease/LeaseKeepAlive',
  timeToLive: '/etcdserverpb.Lease/LeaseTimeToLive',
  authenticate: '/etcdserverpb.Auth/Authenticate',
} as const;

export const same = (bytes: Buffer): Buffer => bytes;

/** Largest answer taken, in bytes: a page of the log, or everything a watcher missed, with room to spare (64 MiB). */
const answerBytesMax = 64 * 1024 * 1024;

/** Throws RangeError when the certificates cannot be read. */
export function openChannel(grpc: GrpcModule, endpoint: Endpoint, tls: EtcdTls | undefined): Grpc.Client {
  return new grpc.Client(endpoint.target, credentials(grpc, endpoint, tls), {
    'grpc.max_receive_message_length': answerBytesMax,
    'grpc.max_send_message_length': answerBytesMax,
    // etcd refuses those who ping more often than every 5 s.
    'grpc.keepalive_time_ms': 10_000,
    'grpc.keepalive_timeout_ms': 3_000,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 1_000,
    'grpc.enable_http_proxy': 0,
    'grpc.enable_channelz': 0,
    'grpc.use_local_subchannel_pool': 1,
    ...(tls?.serverName === undefined
      ? {}
      : { 'grpc.ssl_target_name_override': tls.serverName, 'grpc.default_authority': tls.serverName }),
  });
}

function credentials(
  grpc: GrpcModule,
  endpoint: Endpoint,
  tls: EtcdTls | undefined,
): Grpc.ChannelCredentials {
  if (!endpoint.tls) return grpc.credentials.createInsecure();
  const pem = (value: string | Uint8Array | undefined): Buffer | null =>
    value === undefined ? null : Buffer.from(value);
  try {
    return grpc.credentials.createSsl(pem(tls?.ca), pem(tls?.key), pem(tls?.cert));
  } catch (cause) {
    throw new RangeError(`the certificates for etcd cannot be used: ${(cause as Error).message}`, { cause });
  }
}
