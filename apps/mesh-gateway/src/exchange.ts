/**
 * exchange.ts: one HTTP request and its whole answer.
 *
 * Each has a connection of its own: an answer never depends on what became of an earlier one. (Node's `fetch` pools by
 * origin; under load, a request begun while the pool of a server that had just stopped was being closed was seen never to
 * settle, and with it a stop of the gateway.)
 * Lives here: bytes out, text in, both bounded. Must not live here: deadlines, what an answer means.
 */
import { request as requestPlain } from 'node:http';
import { request as requestTls } from 'node:https';

/** Of an answer, in bytes; the longest we ask for is Envoy's statistics. */
const answerBytesMax = 8 * 1024 * 1024;

export interface ExchangeRequest {
  readonly method: 'GET' | 'PUT' | 'POST';
  readonly signal: AbortSignal;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface ExchangeAnswer {
  readonly status: number;
  readonly text: string;
}

/** Rejects with what the network said, with the signal's reason, or because the answer is too long. */
export type Exchange = (url: string, request: ExchangeRequest) => Promise<ExchangeAnswer>;

export const exchange: Exchange = async (url, { method, signal, headers = {}, body }) => {
  signal.throwIfAborted();
  const request = url.startsWith('https:') ? requestTls : requestPlain;
  return await new Promise((resolve, reject) => {
    const sent = request(url, { method, headers, agent: false });
    const fail = (cause: unknown): void => {
      signal.removeEventListener('abort', giveUp);
      sent.destroy();
      reject(cause);
    };
    const giveUp = (): void => fail(signal.reason);
    signal.addEventListener('abort', giveUp, { once: true });
    sent.on('error', fail); // may come again after we gave up
    sent.once('response', (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        bytes += chunk.length;
        if (bytes > answerBytesMax) fail(new Error(`an answer of more than ${answerBytesMax} bytes`));
      });
      response.on('error', fail);
      response.once('end', () => {
        signal.removeEventListener('abort', giveUp);
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') });
      });
    });
    sent.end(body);
  });
};
