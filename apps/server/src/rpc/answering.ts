/**
 * answering.ts: the methods as peers see them: every endpoint, behind the same forwarding as our own questions.
 */
import { binaryKeys } from '@fed/fsm';
import type { Value } from '@fed/msgpack';
import { RpcRegistry } from '@fed/rpc';
import type { Ask, Endpoint } from './ask.ts';
import type { Caller } from './callers.ts';

export function answering(endpoints: Readonly<Record<string, Endpoint>>, ask: Ask): RpcRegistry {
  const registry = new RpcRegistry();
  registry.register(
    Object.fromEntries(
      Object.entries(endpoints).map(([method, endpoint]) => [
        method,
        {
          // main hands every connection over with the identity its certificate gave it
          handler: (args, { signal, peer }) =>
            wired(endpoint, ask(method, args, { signal, caller: peer as Caller | undefined })),
          binaryKeys,
          // Peers take a whole datacenter off their lists when this one stays unanswered.
          always: method === 'Status.Ping',
        },
      ]),
    ),
  );
  return registry;
}

function wired({ wire }: Endpoint, reply: Promise<Value>): Promise<Value> {
  const write = wire?.writeReply;
  return write === undefined ? reply : reply.then(write);
}
