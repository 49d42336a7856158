/**
 * reply.ts: how an answer looks on the wire: status, headers, JSON, compression, and which error becomes which status.
 *
 * Lives here: what every reply shares. Must not live here: routes, requests. Source: Consul agent/http.go.
 */
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { goJson, type JsonValue } from '@fed/fsm';
import { UnansweredError } from '../abroad.ts';
import type { RowList } from './row-texts.ts';

export interface QueryMeta {
  readonly index: number;
  readonly knownLeader: boolean;
  readonly lastContactMs: number;
  /** Which reading was asked for, where the endpoint tells. */
  readonly consistency?: 'leader' | 'stale' | 'consistent';
}

export interface HttpReply {
  readonly status?: number;
  /** Something of our own, as plain JSON. */
  readonly json?: unknown;
  /** Rows and the like, printed as Go prints them. */
  readonly go?: JsonValue;
  /** The same for a list of rows from the store. */
  readonly rows?: RowList;
  readonly text?: string;
  readonly bytes?: Uint8Array;
  readonly contentType?: string;
  readonly meta?: QueryMeta;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Ends a request with this status and text. */
export class HttpError extends Error {
  override readonly name = 'HttpError';
  readonly code = 'http';
  readonly status: number;

  constructor(status: number, text: string) {
    super(text);
    this.status = status;
  }
}

/** A read that failed: clients that wait for an index are told to begin anew. */
export class FailedRead extends Error {
  override readonly name = 'FailedRead';
  readonly code = 'failed_read';
}

/** Below this a compressed body is hardly smaller; the original draws the line at the same place, in bytes. */
const gzipBytesMin = 1400;
const compress = promisify(gzip);

export async function sendReply(
  incoming: IncomingMessage,
  response: ServerResponse,
  query: URLSearchParams,
  reply: HttpReply,
  defaultPolicy: string,
): Promise<void> {
  if (response.headersSent || response.destroyed) return;
  response.statusCode = reply.status ?? 200;
  response.setHeader('Vary', 'Accept-Encoding');
  response.setHeader('X-Consul-Default-Acl-Policy', defaultPolicy);
  if (reply.meta !== undefined) setMeta(response, reply.meta);
  for (const [name, value] of Object.entries(reply.headers ?? {}))
    response.setHeader(name, headerText(value));
  const { body, contentType } = rendered(reply, query);
  if (contentType !== undefined) response.setHeader('Content-Type', contentType);
  // A body we did not read must not be taken for the next request.
  if (!incoming.complete) response.setHeader('Connection', 'close');
  // Bytes of another kind are compressed already.
  const text = typeof body === 'string' || reply.rows !== undefined;
  if (!text || Buffer.byteLength(body) < gzipBytesMin || !acceptsGzip(incoming)) {
    // Node writes headers in the encoding of a text that goes out with them, and in their own before bytes.
    response.end(reply.headers === undefined ? body : Buffer.from(body));
    return;
  }
  response.setHeader('Content-Encoding', 'gzip');
  response.end(await compress(body, { level: 1 }));
}

/** Some headers say a name that the client chose. As in Go: UTF-8 as its bytes, and a blank for what would end the line. */
function headerText(value: string): string {
  return Buffer.from(value.replace(/\p{Cc}/gu, ' '), 'utf8').toString('latin1');
}

const problemType = 'application/problem+json';

/**
 * Our own errors carry their status; what other servers say is recognised by their words, which are their protocol. The body
 * is that text, as the original's; whoever accepts `application/problem+json` gets it with the facts apart (RFC 9457).
 */
export function errorReply(error: unknown, accept = ''): HttpReply {
  const { meta, status, cause } = judged(error);
  const text = cause instanceof Error ? cause.message : String(cause);
  const unanswered = cause instanceof UnansweredError ? cause : undefined;
  const headers = unanswered?.hop === undefined ? {} : { 'X-Fed-Hop': unanswered.hop };
  const rest = { status, headers, ...(meta && { meta }) };
  if (!accept.includes(problemType)) return { ...rest, text };
  const title = STATUS_CODES[status] ?? '';
  const facts = unanswered && {
    datacenter: unanswered.datacenter,
    hop: unanswered.hop ?? null,
    attempts: unanswered.attempts,
  };
  return {
    ...rest,
    json: { type: 'about:blank', title, status, detail: text, ...facts },
    contentType: problemType,
  };
}

function judged(error: unknown): {
  readonly status: number;
  readonly cause: unknown;
  readonly meta?: QueryMeta;
} {
  if (error instanceof HttpError) return { status: error.status, cause: error };
  if (error instanceof FailedRead)
    return { ...judged(error.cause), meta: { index: 1, knownLeader: false, lastContactMs: 0 } };
  const text = error instanceof Error ? error.message : String(error);
  return { status: /Permission denied|ACL not found/.test(text) ? 403 : 500, cause: error };
}

function setMeta(response: ServerResponse, meta: QueryMeta): void {
  response.setHeader('X-Consul-Index', String(meta.index));
  response.setHeader('X-Consul-Knownleader', String(meta.knownLeader));
  response.setHeader('X-Consul-Lastcontact', String(Math.round(meta.lastContactMs)));
  if (meta.consistency !== undefined) response.setHeader('X-Consul-Effective-Consistency', meta.consistency);
}

function rendered(
  reply: HttpReply,
  query: URLSearchParams,
): { readonly body: string | Uint8Array; readonly contentType: string | undefined } {
  const pretty = query.has('pretty');
  const json = 'application/json';
  const ending = pretty ? '\n' : '';
  if (reply.json !== undefined)
    return {
      body: JSON.stringify(reply.json, undefined, pretty ? 4 : undefined) + ending,
      contentType: reply.contentType ?? json,
    };
  if (reply.rows !== undefined)
    return {
      body: pretty ? goJson(reply.rows.pretty(), { pretty }) + ending : reply.rows.bytes(),
      contentType: json,
    };
  if (reply.go !== undefined) return { body: goJson(reply.go, { pretty }) + ending, contentType: json };
  const body = reply.bytes ?? reply.text ?? '';
  // What is empty is of no type, as in the original.
  const plain = body.length === 0 ? undefined : 'text/plain; charset=utf-8';
  return { body, contentType: reply.contentType ?? plain };
}

function acceptsGzip({ headers, method }: IncomingMessage): boolean {
  if (method === 'HEAD') return false;
  return (headers['accept-encoding'] ?? '')
    .toString()
    .split(',')
    .some((offer) => /^\s*(?:gzip|\*)\s*(?:;\s*q=(?!0(?:\.0*)?\s*$).*)?$/.test(offer));
}
