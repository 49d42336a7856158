/**
 * own-writes.ts: how this server's own rows get into the catalog: into the log if it leads, else through whoever does.
 *
 * What was written by way of another server is waited for until it is here, too: whoever registers a service at this server
 * and asks it for its services finds it.
 * Source: Consul agent/local/state.go, which writes through Catalog.Register with the agent's token.
 */
import type { Command, Fsm } from '@fed/fsm';
import type { Value } from '@fed/msgpack';
import { asArgs, integer } from '../rpc/args.ts';
import type { Ask } from '../rpc/ask.ts';
import { isNotLeader } from '../rpc/at-home.ts';

export interface OwnWritesOptions {
  readonly datacenter: string;
  /** This server's node. */
  readonly node: string;
  readonly fsm: Pick<Fsm, 'apply' | 'query' | 'engine'>;
  readonly ask: Ask;
  /** What another server is asked with; it knows nothing of this process. */
  readonly secret: () => string;
  /** How long what another server wrote may take to arrive here. */
  readonly arriveMsMax: number;
}

/** Resolves once it is durable and visible here. For registrations and deregistrations. */
export type OwnWrite = (command: Command, signal?: AbortSignal) => Promise<void>;

export function ownWrites(o: OwnWritesOptions): OwnWrite {
  return async (command, signal = new AbortController().signal) => {
    const Token = o.secret();
    if (o.fsm.engine.leadership().leader)
      try {
        await o.fsm.apply(command);
        return;
      } catch (error) {
        // Nothing was kept: the next leader is asked instead.
        if (!isNotLeader(error)) throw error;
      }
    if (command.type !== 'register' && command.type !== 'deregister')
      throw new Error(`a ${command.type} is not written on behalf of a node`);
    const context = { signal };
    const method = command.type === 'register' ? 'Catalog.Register' : 'Catalog.Deregister';
    await o.ask(method, { ...asArgs(command.request as unknown as Value), Token }, context);
    const seen = await o.ask(
      'Internal.NodeInfo',
      { Datacenter: o.datacenter, Node: o.node, AllowStale: false, Token },
      context,
    );
    const written = integer(asArgs(seen), 'Index');
    // A query waits for more than it is told, and this one is content with as much.
    await o.fsm.query({ minIndex: written, waitMs: o.arriveMsMax, signal }, (store) => ({
      index: store.index('nodes', 'services', 'checks') + 1,
      value: undefined,
    }));
  };
}
