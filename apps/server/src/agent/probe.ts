/**
 * probe.ts: runs one TCP or HTTP check over the network, within its time and with a bounded memory.
 *
 * Source: Consul agent/checks/check.go (CheckTCP, CheckHTTP).
 */
import { type IncomingMessage, request } from 'node:http';
import { request as requestTls } from 'node:https';
import { connect } from 'node:net';
import type { CheckRow } from '@fed/fsm';
import type { Verdict } from './checks.ts';

/** Of what a service answers this much is shown, in bytes. */
const outputBytesMax = 4096;
const redirectsMax = 10;

/** Settles within the timeout: a check that cannot be run is critical. 2xx passes, 429 warns. */
export async function probeNetwork(
  check: CheckRow,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Verdict> {
  const { TCP, HTTP, Method } = check.Definition;
  if (TCP !== '') return probeTcp(TCP, timeoutMs, signal);
  const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  const method = Method || 'GET';
  try {
    const response = await fetchOnce(check, new URL(HTTP), method, limit, redirectsMax);
    const body = await beginning(response);
    const status = response.statusCode ?? 0;
    return {
      status: status >= 200 && status < 300 ? 'passing' : status === 429 ? 'warning' : 'critical',
      output: `HTTP ${method} ${HTTP}: ${status} ${response.statusMessage ?? ''} Output: ${body}`,
    };
  } catch (error) {
    const why = limit.aborted && !signal.aborted ? 'context deadline exceeded' : (error as Error).message;
    return { status: 'critical', output: `${method} "${HTTP}": ${why}` };
  }
}

function fetchOnce(
  check: CheckRow,
  url: URL,
  method: string,
  signal: AbortSignal,
  redirectsLeft: number,
): Promise<IncomingMessage> {
  const { Header, Body, TLSSkipVerify } = check.Definition;
  const headers: Record<string, string | string[]> = { 'User-Agent': 'Consul Health Check' };
  for (const [name, values] of Object.entries(Header ?? {})) headers[name] = [...(values ?? [])];
  return new Promise((resolve, reject) => {
    const options = { method, headers, signal, agent: false } as const;
    const sent =
      url.protocol === 'https:'
        ? requestTls(url, { ...options, rejectUnauthorized: !TLSSkipVerify })
        : request(url, options);
    sent.on('error', reject);
    sent.once('response', (response) => {
      const { location } = response.headers;
      const moved = location !== undefined && [301, 302, 303, 307, 308].includes(response.statusCode ?? 0);
      if (!moved) return resolve(response);
      response.destroy();
      const next = URL.parse(location, url.href);
      if (next === null || redirectsLeft === 0)
        return reject(new Error(`redirected to '${location}' and no further`));
      fetchOnce(check, next, method, signal, redirectsLeft - 1).then(resolve, reject);
    });
    sent.end(typeof Body === 'string' ? Body : Buffer.from(Body));
  });
}

async function beginning(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    size += chunk.length;
    if (size >= outputBytesMax) break; // leaving the loop closes the connection
  }
  return Buffer.concat(chunks).subarray(0, outputBytesMax).toString('utf8');
}

function probeTcp(address: string, timeoutMs: number, signal: AbortSignal): Promise<Verdict> {
  const at = address.lastIndexOf(':');
  const host = address.slice(0, at).replace(/^\[|\]$/g, '');
  const port = Number(address.slice(at + 1));
  if (at < 0 || !Number.isInteger(port) || port < 1 || port > 65_535)
    return Promise.resolve({ status: 'critical', output: `dial tcp: address ${address}: no host:port` });
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (verdict: Verdict): void => {
      socket.destroy();
      signal.removeEventListener('abort', cancelled);
      resolve(verdict);
    };
    const cancelled = (): void => end({ status: 'critical', output: 'check cancelled' });
    signal.addEventListener('abort', cancelled, { once: true });
    socket.setTimeout(timeoutMs, () =>
      end({ status: 'critical', output: `dial tcp ${address}: i/o timeout` }),
    );
    socket.once('connect', () => end({ status: 'passing', output: `TCP connect ${address}: Success` }));
    socket.on('error', (error: NodeJS.ErrnoException) =>
      end({ status: 'critical', output: `dial tcp ${address}: connect: ${error.code ?? error.message}` }),
    );
  });
}
