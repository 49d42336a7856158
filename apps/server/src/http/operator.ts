/**
 * operator.ts: what an operator asks about the servers of a datacenter: who is one, who leads, how they fare.
 *
 * Source: Consul agent/operator_endpoint.go; api.ServerHealth for the order of fields.
 */
import { goDuration } from '@fed/fsm';
import { goTimeToRfc3339, type Value } from '@fed/msgpack';
import { type Args, asArgs, flag, integer, list, text } from '../rpc/args.ts';
import type { Ask } from '../rpc/ask.ts';
import { serfStatuses } from '../rpc/operator.ts';
import { get } from './parameters.ts';
import { type HttpRequest, type HttpRoute, queryOptions } from './server.ts';

export interface OperatorOptions {
  readonly datacenter: string;
  readonly ask: Ask;
}

export function operatorRoutes(o: OperatorOptions): readonly HttpRoute[] {
  const ask = async ({ query, token, signal }: HttpRequest, method: string): Promise<Args> =>
    asArgs(
      await o.ask(
        method,
        {
          Datacenter: query.get('dc') ?? o.datacenter,
          AllowStale: queryOptions(query).stale,
          Token: token,
        },
        { signal },
      ),
    );
  return [
    get('/v1/operator/raft/configuration', async (request) => {
      const reply = await ask(request, 'Operator.RaftGetConfiguration');
      return {
        json: { Servers: list(reply, 'Servers').map(serverJson), Index: integer(reply, 'Index') },
      };
    }),
    get('/v1/operator/autopilot/health', async (request) => {
      const reply = await ask(request, 'Operator.ServerHealth');
      const healthy = flag(reply, 'Healthy');
      return {
        status: healthy ? 200 : 429,
        json: {
          Healthy: healthy,
          FailureTolerance: integer(reply, 'FailureTolerance'),
          Servers: list(reply, 'Servers').map(healthJson),
        },
      };
    }),
  ];
}

function serverJson(row: Value): unknown {
  const server = asArgs(row);
  return {
    ID: text(server, 'ID'),
    Node: text(server, 'Node'),
    Address: text(server, 'Address'),
    Leader: flag(server, 'Leader'),
    ProtocolVersion: text(server, 'ProtocolVersion'),
    Voter: flag(server, 'Voter'),
    // Not every server tells.
    ...(server['LastIndex'] === undefined ? {} : { LastIndex: integer(server, 'LastIndex') }),
  };
}

function healthJson(row: Value): unknown {
  const server = asArgs(row);
  const lastContact = integer(server, 'LastContact');
  return {
    ID: text(server, 'ID'),
    Name: text(server, 'Name'),
    Address: text(server, 'Address'),
    SerfStatus: serfStatuses[integer(server, 'SerfStatus')] ?? 'none',
    Version: text(server, 'Version'),
    Leader: flag(server, 'Leader'),
    LastContact: lastContact < 0 ? 'never' : goDuration(lastContact),
    LastTerm: integer(server, 'LastTerm'),
    LastIndex: integer(server, 'LastIndex'),
    Healthy: flag(server, 'Healthy'),
    Voter: flag(server, 'Voter'),
    StableSince: goTimeToRfc3339(bytes(server['StableSince'])),
  };
}

/** A binary time from another server: text, where its bytes happen to be that. */
function bytes(value: Value | undefined): Uint8Array {
  return value instanceof Uint8Array ? value : Buffer.from(String(value ?? ''), 'utf8');
}
