/**
 * federation-state.ts: FederationState.*: what each datacenter says of its gateways. Written in the primary only.
 *
 * Source: Consul agent/consul/federation_state_endpoint.go; federation_state_list_mesh_gateways.
 */
import type { Command, FederationState, Fsm } from '@fed/fsm';
import { goTime, goTimeZero, type Value } from '@fed/msgpack';
import { RpcApplicationError } from '@fed/rpc';
import { type Args, asArgs, text } from './args.ts';
import type { Endpoint } from './ask.ts';
import { type BlockingOptions, blocking } from './blocking.ts';
import type { Callers } from './callers.ts';

export interface FederationStateOptions extends BlockingOptions {
  readonly fsm: Pick<Fsm, 'query' | 'engine' | 'apply'>;
  readonly wallMs: () => number;
  readonly callers: Callers;
}

export function federationStateEndpoints(o: FederationStateOptions): Readonly<Record<string, Endpoint>> {
  return {
    'FederationState.Apply': {
      belongs: 'primary',
      answer: async (args, { caller }) => {
        const state = args['State'] ?? null;
        const row = state === null ? {} : asArgs(state);
        if (text(row, 'Datacenter') === '')
          throw new RpcApplicationError('invalid request: missing federation state datacenter');
        const op = text(args, 'Op');
        if (op !== 'upsert' && op !== 'delete')
          throw new RpcApplicationError(`Invalid federation state operation: ${op}`);
        o.callers.mustSpeakFor(text(row, 'Datacenter'), caller, 'the federation state');
        await o.fsm.apply(command(op, stamped(row, o.wallMs())));
        // The original's state machine returns no value for a delete, which reads as false.
        return op === 'upsert';
      },
    },
    'FederationState.Get': {
      belongs: 'target',
      answer: (args, context) =>
        blocking(o, args, context, (store) => {
          const { index, row } = store.federationState(text(args, 'Datacenter'));
          return { index, reply: { State: row ?? null } };
        }),
    },
    'FederationState.List': {
      belongs: 'datacenter',
      answer: (args, context) =>
        blocking(o, args, context, (store) => {
          const { index, rows } = store.federationStates();
          return { index, reply: { States: rows } };
        }),
    },
    'FederationState.ListMeshGateways': {
      belongs: 'datacenter',
      answer: (args, context) =>
        blocking(o, args, context, (store) => {
          const { index, rows } = store.federationStates();
          const nodes: Record<string, Value> = {};
          for (const row of rows)
            if ((row.MeshGateways?.length ?? 0) > 0) nodes[row.Datacenter] = row.MeshGateways;
          return { index, reply: { DatacenterNodes: nodes } };
        }),
    },
  };
}

function command(op: 'upsert' | 'delete', row: FederationState): Command {
  return { type: 'federationState', op, state: row };
}

/**
 * The row as it goes into the log. UpdatedAt is filled here, before the log, so that every replay reads the same; the
 * index the caller claims for the primary is not believed, because only the primary's own log gives it.
 */
function stamped(row: Args, wallMs: number): FederationState {
  const updatedAt = row['UpdatedAt'];
  const isZero = !(updatedAt instanceof Uint8Array) || Buffer.compare(updatedAt, goTimeZero) === 0;
  return {
    ...(row as unknown as FederationState),
    PrimaryModifyIndex: 0,
    UpdatedAt: isZero ? goTime(wallMs) : (updatedAt as Uint8Array),
  };
}
