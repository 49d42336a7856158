/**
 * own-node.ts: keeps this server's node in the catalog saying what its configuration says: id, addresses, meta.
 *
 * The leader knows of a member only what gossip tells; the rest every server writes itself, whenever it finds its row
 * otherwise.
 * Lives here: when. Must not live here: how it is written (agent/own-writes.ts), service and check of the server (reconcile.ts).
 * Source: Consul agent/local/state.go (updateSyncState, syncNodeInfo).
 */
import type { Fsm, NodeRow } from '@fed/fsm';
import { backoffMs } from '@fed/replication';
import type { OwnWrite } from '../agent/own-writes.ts';
import { registerCommand } from '../agent/requests.ts';
import type { World } from '../world.ts';

export interface OwnNodeOptions {
  readonly self: NodeRow;
  readonly fsm: Pick<Fsm, 'watch'>;
  readonly write: OwnWrite;
  readonly failed: (error: unknown, waitMs: number) => void;
  readonly clock: World['clock'];
  readonly rng: World['rng'];
}

/** Between two writes that both succeeded: somebody else may hold another opinion of our row ... */
const spacingMs = 15_000;
/** ... but the first few follow soon: a leader that learns of us at the same time may write over what we wrote. */
const soonMs = 1_000;
const soonMax = 3;
const retry = { minMs: 1_000, maxMs: 60_000 };

/** Disposing waits for the write under way. */
export function openOwnNode(o: OwnNodeOptions): AsyncDisposable {
  let wrong = false;
  let writing: Promise<void> | undefined;
  let timer: Disposable | undefined;
  let failures = 0;
  let written = 0;
  const stop = new AbortController();
  const wait = (ms: number): void => {
    timer = o.clock.at(o.clock.now() + ms, () => {
      timer = undefined;
      go();
    });
  };
  const write = async (): Promise<void> => {
    try {
      await o.write(registerCommand(o.self, {}), stop.signal);
      failures = 0;
      written++;
      wait(written < soonMax ? soonMs : spacingMs);
    } catch (error) {
      failures++;
      const waitMs = backoffMs(failures, retry, o.rng);
      if (!stop.signal.aborted) o.failed(error, waitMs);
      wait(waitMs);
    }
    writing = undefined;
    if (stop.signal.aborted) timer?.[Symbol.dispose]();
  };
  const go = (): void => {
    if (stop.signal.aborted || !wrong || writing !== undefined || timer !== undefined) return;
    writing = write();
  };
  const watching = o.fsm.watch(
    (store) => store.node(o.self.Node).row,
    (row) => {
      wrong = row === undefined || !saysTheSame(row, o.self);
      go();
    },
  );
  return {
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('this server is stopping'));
      watching[Symbol.dispose]();
      timer?.[Symbol.dispose]();
      await writing;
    },
  };
}

function saysTheSame(a: NodeRow, b: NodeRow): boolean {
  const text = ({ ID, Address, Meta, TaggedAddresses }: NodeRow): string =>
    JSON.stringify([ID.toLowerCase(), Address, sorted(Meta), sorted(TaggedAddresses)]);
  return text(a) === text(b);
}

const sorted = (map: NodeRow['Meta']): unknown => Object.entries(map ?? {}).sort();
