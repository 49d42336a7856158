/**
 * client.ts: an etcd cluster behind several endpoints, as the port wants it.
 *
 * One endpoint is used until it fails; then the next in the list takes its place. Every call is one attempt: whether a
 * write may be tried again is not for a client to know.
 * Lives here: calls with a deadline, authentication, whose turn it is, etcd's status codes. Must not live here: retries.
 */
import type * as Grpc from '@grpc/grpc-js';
import type { Clock } from '../ports.ts';
import { type Endpoint, parseEndpoint } from './endpoint.ts';
import { EtcdCallError } from './errors.ts';
import { type GrpcModule, loadGrpc, openChannel, paths, same } from './grpc.ts';
import * as messages from './messages.ts';
import type { EtcdAccess } from './options.ts';
import type {
  CallOptions,
  Etcd,
  Range,
  RangeResult,
  Txn,
  TxnResult,
  Watching,
  WatchListener,
  WatchRange,
} from './ports.ts';
import { WireError } from './wire/codec.ts';

/** Throws RangeError when an endpoint or a certificate cannot be read. */
export async function openEtcd(access: EtcdAccess, clock: Clock): Promise<Etcd> {
  const endpoints = access.endpoints.map((text) => {
    const endpoint = parseEndpoint(text, { tls: access.tls !== undefined });
    if (endpoint === undefined)
      throw new RangeError(`"${text}" is no endpoint of etcd; write http://host:port or https://host:port`);
    return endpoint;
  });
  if (endpoints.length === 0) throw new RangeError('no endpoint of etcd is given');
  return new EtcdClient(await loadGrpc(), access, endpoints, clock);
}

interface Channel {
  readonly endpoint: Endpoint;
  readonly client: Grpc.Client;
}

class EtcdClient implements Etcd {
  readonly #grpc: GrpcModule;
  readonly #access: EtcdAccess;
  readonly #channels: readonly Channel[];
  readonly #clock: Clock;
  #turn = 0;
  #token: string | undefined;
  #authenticating: Promise<void> | undefined;

  constructor(grpc: GrpcModule, access: EtcdAccess, endpoints: readonly Endpoint[], clock: Clock) {
    this.#grpc = grpc;
    this.#access = access;
    this.#clock = clock;
    this.#channels = endpoints.map((endpoint) => ({
      endpoint,
      client: openChannel(grpc, endpoint, access.tls),
    }));
  }

  async txn(request: Txn, o: CallOptions): Promise<TxnResult> {
    return messages.txnResult(await this.#call(paths.txn, messages.txnRequest(request), o));
  }

  async range(request: Range & { readonly revision: number }, o: CallOptions): Promise<RangeResult> {
    return messages.rangeResult(await this.#call(paths.range, messages.rangeRequest(request), o));
  }

  async compact(revision: number, o: CallOptions): Promise<void> {
    await this.#call(paths.compact, messages.compactRequest(revision), o);
  }

  async grant(lease: number, ttlMs: number, o: CallOptions): Promise<{ ttlMs: number }> {
    return messages.grantResult(await this.#call(paths.grant, messages.grantRequest(lease, ttlMs), o));
  }

  async revoke(lease: number, o: CallOptions): Promise<void> {
    await this.#call(paths.revoke, messages.revokeRequest(lease), o);
  }

  /** A stream for each: a call like any other, that ends, times out and moves to the next endpoint like any other. */
  async keepAlive(lease: number, o: CallOptions): Promise<{ ttlMs: number }> {
    const bytes = await this.#call(paths.keepAlive, messages.keepAliveRequest(lease), o);
    const { ttlMs } = messages.keepAliveResult(bytes);
    if (ttlMs <= 0)
      throw new EtcdCallError('gone', this.#now().endpoint.text, 'the lease has ended', { sure: true });
    return { ttlMs };
  }

  async timeToLive(lease: number, o: CallOptions): Promise<{ leftMs: number; ttlMs: number }> {
    return messages.timeToLiveResult(
      await this.#call(paths.timeToLive, messages.timeToLiveRequest(lease), o),
    );
  }

  watch(o: { readonly ranges: readonly WatchRange[]; readonly from: number }, on: WatchListener): Watching {
    const channel = this.#now();
    const { client, endpoint } = channel;
    const stream = client.makeBidiStreamRequest(paths.watch, same, same, this.#metadata());
    let over = false;
    const lost = (error: EtcdCallError): void => {
      if (over) return;
      over = true;
      stream.cancel();
      this.#failed(channel);
      on.lost(error);
    };
    stream.on('data', (bytes: Buffer) => {
      if (over) return;
      const read = readWatchResponse(bytes);
      if (read instanceof WireError) {
        lost(new EtcdCallError('rejected', endpoint.text, read.message, { sure: true, cause: read }));
        return;
      }
      const { changes, compacted, canceled } = read;
      if (canceled !== undefined) {
        const code = compacted ? 'compacted' : 'unavailable';
        lost(new EtcdCallError(code, endpoint.text, `watch ended: ${canceled}`, { sure: true }));
        return;
      }
      on.heard();
      for (const change of changes) if (!over) on.change(change);
    });
    stream.on('error', (cause: Grpc.ServiceError) => {
      if (!over && cause.code === this.#grpc.status.UNAUTHENTICATED) this.#token = undefined;
      lost(this.#errorOf(endpoint, cause));
    });
    stream.on('end', () =>
      lost(new EtcdCallError('unavailable', endpoint.text, 'the watch was closed', { sure: true })),
    );
    for (const [id, range] of o.ranges.entries()) stream.write(messages.watchRequest(id + 1, range, o.from));
    return {
      ask: () => {
        if (!over) stream.write(messages.progressRequest);
      },
      suspect: () => this.#failed(channel),
      [Symbol.dispose]: () => {
        if (over) return;
        over = true;
        stream.cancel();
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { client } of this.#channels) client.close();
  }

  #now(): Channel {
    return this.#channels[this.#turn]!;
  }

  /** The next endpoint's turn, unless somebody else has found out already. */
  #failed(channel: Channel): void {
    if (this.#now() === channel) this.#turn = (this.#turn + 1) % this.#channels.length;
  }

  async #call(path: string, request: Buffer, o: CallOptions): Promise<Buffer> {
    const { status } = this.#grpc;
    if (this.#access.username === undefined) return await this.#attempt(path, request, o);
    if (this.#token === undefined) await this.#authenticate(o);
    const used = this.#token;
    try {
      return await this.#attempt(path, request, o);
    } catch (error) {
      // A token that has expired, or was made before users were changed. Refused before anything was done.
      const code = ((error as EtcdCallError).cause as Grpc.ServiceError | undefined)?.code;
      if (code !== status.UNAUTHENTICATED && code !== status.INVALID_ARGUMENT) throw error;
      if (this.#token === used) this.#token = undefined;
      if (this.#token === undefined) await this.#authenticate(o);
      return await this.#attempt(path, request, o);
    }
  }

  #authenticate(o: CallOptions): Promise<void> {
    const { username = '', password = '' } = this.#access;
    const authenticate = async (): Promise<void> => {
      try {
        const bytes = await this.#attempt(paths.authenticate, messages.authRequest(username, password), o);
        this.#token = messages.authResult(bytes);
      } catch (error) {
        if (!(error instanceof EtcdCallError) || error.code !== 'rejected') throw error;
        throw new EtcdCallError('denied', error.endpoint, `user "${username}" or its password is refused`, {
          sure: true,
          cause: error,
        });
      }
    };
    this.#authenticating ??= authenticate().finally(() => {
      this.#authenticating = undefined;
    });
    return this.#authenticating;
  }

  /** One request, one answer. Over a bidirectional stream when the method is one, which etcd takes for the same. */
  #attempt(path: string, request: Buffer, { timeoutMs }: CallOptions): Promise<Buffer> {
    const channel = this.#now();
    const { client, endpoint } = channel;
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
    const failed = (cause: Grpc.ServiceError): void => {
      const error = this.#errorOf(endpoint, cause);
      if (error.code === 'unavailable') this.#failed(channel);
      reject(error);
    };
    const call =
      path === paths.keepAlive
        ? this.#oneOverStream(client, path, request, resolve, failed)
        : client.makeUnaryRequest(path, same, same, request, this.#metadata(), (error, answer) => {
            if (error !== null) failed(error);
            else resolve(answer!);
          });
    const impatience = this.#clock.at(this.#clock.now() + timeoutMs, () => {
      this.#failed(channel);
      reject(
        new EtcdCallError('unavailable', endpoint.text, `no answer within ${timeoutMs} ms`, { sure: false }),
      );
      call.cancel();
    });
    return promise.finally(() => impatience[Symbol.dispose]());
  }

  #oneOverStream(
    client: Grpc.Client,
    path: string,
    request: Buffer,
    resolve: (answer: Buffer) => void,
    failed: (cause: Grpc.ServiceError) => void,
  ): { cancel(): void } {
    const stream = client.makeBidiStreamRequest(path, same, same, this.#metadata());
    stream.once('data', (answer: Buffer) => {
      resolve(answer);
      stream.cancel();
    });
    stream.on('error', failed);
    stream.write(request);
    stream.end();
    return stream;
  }

  #metadata(): Grpc.Metadata {
    const metadata = new this.#grpc.Metadata();
    if (this.#token !== undefined) metadata.set('token', this.#token);
    // A member cut off from the others says so instead of letting us wait.
    metadata.set('hasleader', 'true');
    return metadata;
  }

  /** What a status means; source: etcd api/v3rpc/rpctypes/error.go. Whatever may have been done is not `sure`. */
  #errorOf(endpoint: Endpoint, cause: Grpc.ServiceError): EtcdCallError {
    const { status } = this.#grpc;
    const as = (code: EtcdCallError['code'], sure: boolean): EtcdCallError =>
      new EtcdCallError(code, endpoint.text, cause.details || cause.message, { sure, cause });
    switch (cause.code) {
      case status.RESOURCE_EXHAUSTED:
        return as('full', true);
      case status.PERMISSION_DENIED:
      case status.UNAUTHENTICATED:
        return as('denied', true);
      case status.NOT_FOUND:
        return as('gone', true);
      case status.OUT_OF_RANGE:
        return as('compacted', true);
      case status.INVALID_ARGUMENT:
      case status.FAILED_PRECONDITION:
      case status.ALREADY_EXISTS:
      case status.UNIMPLEMENTED:
        return as('rejected', true);
      default:
        return as('unavailable', false);
    }
  }
}

function readWatchResponse(bytes: Uint8Array): ReturnType<typeof messages.watchResponse> | WireError {
  try {
    return messages.watchResponse(bytes);
  } catch (error) {
    if (error instanceof WireError) return error;
    throw error;
  }
}
