/**
 * asking.ts: a read over HTTP as one RPC: parameters in, rows and the meta headers out.
 *
 * Because every read is an RPC through `ask`, `?dc=`, tokens, filters and waiting work on all of them alike.
 * Source: Consul agent/http.go (parse, parseSource, parseMetaFilter, setMeta).
 */
import type { Value } from '@fed/msgpack';
import { type Args, asArgs } from '../rpc/args.ts';
import type { Ask } from '../rpc/ask.ts';
import { FailedRead, type HttpRequest, type QueryMeta, queryOptions } from './server.ts';

export interface AskingOptions {
  readonly datacenter: string;
  readonly nodeName: string;
  readonly ask: Ask;
}

export interface Answered {
  readonly value: Args;
  readonly meta: QueryMeta;
}

export interface Asking {
  /** The answer as it is. */
  call(request: HttpRequest, method: string, extra?: Args): Promise<Value>;
  /** The answer of a read, with its index. */
  read(request: HttpRequest, method: string, extra?: Args): Promise<Answered>;
  /** The same for endpoints that tell which reading they used. */
  consistently(request: HttpRequest, method: string, extra?: Args): Promise<Answered>;
}

const nanosPerMs = 1e6;

export function asking(o: AskingOptions): Asking {
  // What is wrong with the parameters is thrown here, before anything is asked.
  const call = (request: HttpRequest, method: string, extra: Args = {}): Promise<Value> => {
    const { query, token, signal } = request;
    const options = queryOptions(query);
    const near = query.get('near');
    return o.ask(
      method,
      {
        Datacenter: query.get('dc') ?? o.datacenter,
        AllowStale: options.stale,
        MaxStaleDuration: options.maxStaleMs * nanosPerMs,
        RequireConsistent: options.consistent,
        MinQueryIndex: options.minIndex,
        MaxQueryTime: options.waitMs * nanosPerMs,
        Filter: query.get('filter') ?? '',
        NodeMetaFilters: nodeMeta(query),
        Token: token,
        ...(near === null ? {} : { Source: source(near) }),
        ...extra,
      },
      { signal },
    );
  };
  /** `_agent` is this node; another name is taken as it is. */
  const source = (near: string): Args => ({
    Datacenter: o.datacenter,
    Ip: '',
    Node: near === '_agent' ? o.nodeName : near,
    Segment: '',
  });
  const read = async (request: HttpRequest, method: string, extra: Args = {}): Promise<Answered> => {
    const first = answerOf(await answered(call(request, method, extra)));
    const { stale, maxStaleMs } = queryOptions(request.query);
    if (!stale || maxStaleMs === 0 || first.meta.lastContactMs <= maxStaleMs) return first;
    // Older than the client can live with: the leader is asked instead.
    return answerOf(
      await answered(call(request, method, { ...extra, AllowStale: false, MaxStaleDuration: 0 })),
    );
  };
  return {
    call,
    read,
    consistently: async (request, method, extra) => {
      const { value, meta } = await read(request, method, extra);
      return { value, meta: { ...meta, consistency: queryOptions(request.query).consistency } };
    },
  };
}

function answerOf(reply: Value): Answered {
  const value = asArgs(reply);
  const meta = {
    index: Number(value['Index'] ?? 1),
    knownLeader: value['KnownLeader'] === true,
    lastContactMs: Number(value['LastContact'] ?? 0) / nanosPerMs,
  };
  return { value, meta };
}

async function answered(answer: Promise<Value>): Promise<Value> {
  try {
    return await answer;
  } catch (cause) {
    throw new FailedRead('the read failed', { cause });
  }
}

/** `?node-meta=key:value`, any number of times. */
function nodeMeta(query: URLSearchParams): Record<string, string> {
  const out: Record<string, string> = {};
  for (const pair of query.getAll('node-meta')) {
    const at = pair.indexOf(':');
    out[at < 0 ? pair : pair.slice(0, at)] = at < 0 ? '' : pair.slice(at + 1);
  }
  return out;
}
