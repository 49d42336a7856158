/**
 * snapshot.ts: GET and PUT /v1/snapshot: the whole state out, and in again.
 *
 * It holds private keys, so only a management token may have it. Source: Consul agent/snapshot_endpoint.go.
 */
import { type Fsm, SnapshotError } from '@fed/fsm';
import { needManagement } from '../acl/access.ts';
import { isNotLeader } from '../rpc/at-home.ts';
import { ArchiveError, archiveBytesMax, readArchive, writeArchive } from '../snapshot/archive.ts';
import { get, put } from './parameters.ts';
import { HttpError, type HttpRequest, type HttpRoute } from './server.ts';

export interface SnapshotOptions {
  readonly datacenter: string;
  readonly fsm: Pick<Fsm, 'snapshot' | 'restore' | 'stats' | 'engine'>;
  readonly server: { readonly id: string; readonly address: string };
  readonly wallMs: () => number;
  /** The state was replaced: whoever keeps rows of his own in it puts them back. */
  readonly restored: () => Promise<void>;
}

export function snapshotRoutes(o: SnapshotOptions): readonly HttpRoute[] {
  const here = (request: HttpRequest): void => {
    needManagement(request.authorizer());
    const asked = request.query.get('dc') ?? o.datacenter;
    if (asked !== o.datacenter)
      throw new HttpError(500, `No path to datacenter: a snapshot of ${asked} is made by its own servers`);
  };
  /** A snapshot is large and goes to and from whoever leads; it is not sent on. */
  const leading = async <T>(what: () => Promise<T>): Promise<T> => {
    try {
      return await what();
    } catch (error) {
      if (!isNotLeader(error)) throw error;
      const { leaderAddress } = o.fsm.engine.leadership();
      const whom =
        leaderAddress === undefined ? 'nobody does: try again' : `ask the server at ${leaderAddress}`;
      throw new HttpError(500, `this server does not lead ${o.datacenter}; ${whom}`);
    }
  };
  return [
    get('/v1/snapshot', async (request) => {
      here(request);
      if (!request.query.has('stale')) await leading(() => o.fsm.engine.barrier(request.signal));
      // Nothing may come between the two: the archive says which index its state has.
      const state = o.fsm.snapshot();
      const index = o.fsm.stats().appliedIndex;
      const { term, leader } = o.fsm.engine.leadership();
      const bytes = await writeArchive({ state, index, term, server: o.server, wallMs: o.wallMs() });
      return {
        bytes,
        contentType: 'application/x-gzip',
        meta: { index, knownLeader: leader, lastContactMs: 0 },
      };
    }),
    put('/v1/snapshot', async (request) => {
      here(request);
      const body = await request.body(archiveBytesMax);
      try {
        const { state } = await readArchive(body);
        await leading(() => o.fsm.restore(state));
      } catch (error) {
        if (error instanceof ArchiveError || error instanceof SnapshotError)
          throw new HttpError(500, error.message);
        throw error;
      }
      await o.restored();
      return { text: '' };
    }),
  ];
}
