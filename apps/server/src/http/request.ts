/**
 * request.ts: what a request holds: parameters, token, the blocking and consistency options, its body, bounded.
 *
 * Lives here: reading. Must not live here: routes, replies. Source: Consul agent/http.go (parseWait, parseConsistency,
 * parseToken), lib/json.go for the words about a body that cannot be read.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Authorizer } from '../acl/rules.ts';
import { parseDuration } from '../config/duration.ts';
import { HttpError } from './reply.ts';

/** Largest request body taken, in bytes (1 MiB). Registrations are a few hundred. */
const bodyBytesMax = 1024 * 1024;

/** Of a body written bit by bit: what waits for a slow client at most, in bytes (1 MiB). */
const unreadBytesMax = 1024 * 1024;

export interface HttpRequest {
  readonly params: Readonly<Record<string, string | undefined>>;
  readonly query: URLSearchParams;
  /** The secret the request carries, '' without one. */
  readonly token: string;
  /** Whether a page in somebody's browser may have made him send this. */
  readonly fromBrowser: boolean;
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal;
  /** What the sender may do. Throws AccessError when his token is unknown. */
  authorizer(): Authorizer;
  /** The body as JSON; an empty one is undefined. Throws HttpError 400. */
  json(): Promise<unknown>;
  /** The body as it is. Throws HttpError 413. */
  body(bytesMax: number): Promise<Buffer>;
  /**
   * A body written bit by bit: the status and headers go out at once. Returns when the client has gone. For one who reads too
   * slowly pieces are left out, and he is told how many.
   */
  stream(contentType: string, write: (put: (text: string) => void) => Disposable): Promise<void>;
}

export function requestOf(o: {
  readonly incoming: IncomingMessage;
  readonly response: ServerResponse;
  readonly url: URL;
  readonly params: HttpRequest['params'];
  readonly signal: AbortSignal;
  readonly authorizer: (secret: string) => Authorizer;
}): HttpRequest {
  const { incoming, response, url, params, signal } = o;
  const token = tokenOf(incoming, url.searchParams);
  return {
    params,
    query: url.searchParams,
    token,
    fromBrowser: ['origin', 'referer', 'sec-fetch-site'].some((name) => incoming.headers[name] !== undefined),
    signal,
    authorizer: () => o.authorizer(token),
    json: () => readJson(incoming),
    body: (bytesMax) => readBody(incoming, bytesMax),
    stream: async (contentType, write) => {
      response.writeHead(200, { 'Content-Type': contentType });
      response.flushHeaders();
      let leftOut = 0;
      using _writing = write((text) => {
        if (response.writableLength > unreadBytesMax) {
          leftOut++;
          return;
        }
        if (leftOut > 0) response.write(`(${leftOut} left out: the client reads too slowly)\n`);
        leftOut = 0;
        response.write(text);
      });
      await new Promise<void>((resolve) => {
        if (signal.aborted) resolve();
        else signal.addEventListener('abort', () => resolve(), { once: true });
      });
    },
  };
}

/** The query wins over the header, and the header of our own over the general one, as in the original. */
function tokenOf({ headers }: IncomingMessage, query: URLSearchParams): string {
  const own = headers['x-consul-token'];
  const bearer = /^bearer\s+(\S+)\s*$/i.exec(headers.authorization ?? '')?.[1];
  return query.get('token') || (Array.isArray(own) ? own[0] : own) || bearer || '';
}

export interface QueryOptions {
  readonly minIndex: number;
  readonly waitMs: number;
  readonly stale: boolean;
  readonly consistent: boolean;
  readonly consistency: 'leader' | 'stale' | 'consistent';
  readonly maxStaleMs: number;
}

/** Undefined if it is no duration; most reads have none, and nothing is to be parsed. */
function milliseconds(duration: string | null): number | undefined {
  return duration === null || duration === '' ? 0 : parseDuration(duration);
}

/** The blocking and consistency parameters every read takes. Throws HttpError 400 with the original's texts. */
export function queryOptions(query: URLSearchParams): QueryOptions {
  const index = query.get('index') || '0';
  // Beyond what a 64 bit counter can hold it is no index; beyond what we can count exactly it is one that never comes.
  if (index !== '0' && (!/^\d{1,20}$/.test(index) || BigInt(index) >= 2n ** 64n))
    throw new HttpError(400, 'Invalid index');
  const waitMs = milliseconds(query.get('wait'));
  if (waitMs === undefined) throw new HttpError(400, 'Invalid wait time');
  const staleness = query.get('max_stale');
  const maxStaleMs = milliseconds(staleness);
  if (maxStaleMs === undefined)
    throw new HttpError(400, `Invalid max_stale value ${JSON.stringify(staleness)}`);
  const stale = query.has('stale') || maxStaleMs > 0;
  const consistent = query.has('consistent');
  if (stale && consistent)
    throw new HttpError(400, 'Cannot specify ?stale with ?consistent, conflicting semantics.');
  return {
    minIndex: Math.min(Number(index), Number.MAX_SAFE_INTEGER),
    waitMs: Math.max(0, waitMs),
    stale,
    consistent,
    consistency: stale ? 'stale' : consistent ? 'consistent' : 'leader',
    maxStaleMs,
  };
}

async function readBody(incoming: IncomingMessage, bytesMax: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > bytesMax) throw new HttpError(413, `Request body too large, max size: ${bytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function readJson(incoming: IncomingMessage): Promise<unknown> {
  const text = (await readBody(incoming, bodyBytesMax)).toString('utf8').trim();
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    const said = (error as Error).message;
    const at = /at position (\d+)/.exec(said)?.[1];
    const early = /Unexpected end|Unterminated/.test(said) || Number(at) === text.length;
    const odd = /^Unexpected token '(.+?)', /s.exec(said)?.[1];
    const go = odd === undefined ? said : `invalid character '${odd}' looking for beginning of value`;
    throw new HttpError(400, `Request decode failed: ${early ? 'unexpected EOF' : go}`);
  }
}
