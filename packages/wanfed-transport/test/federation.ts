/**
 * federation.ts: the world around one WAN transport in a test: a home transport that only remembers, a dial
 * port whose every call the test answers by hand, and the far end of each connection.
 */
import { Duplex, duplexPair } from 'node:stream';
import type { Dial, DialRequest, HostPort, Inbound, Transport } from '../src/ports.ts';

export class HomeRecorder implements Transport {
  readonly advertise: HostPort = { host: '10.1.0.1', port: 8302 };
  readonly sent: { readonly name: string; readonly packet: Uint8Array }[] = [];
  readonly dialed: string[] = [];
  inbound: Inbound | undefined;
  closed = 0;

  sendPacket(to: { readonly name: string }, packet: Uint8Array): void {
    this.sent.push({ name: to.name, packet });
  }
  async dialStream(to: { readonly name: string }): Promise<Duplex> {
    this.dialed.push(to.name);
    return duplexPair()[0];
  }
  listen(inbound: Inbound): void {
    this.inbound = inbound;
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.closed++;
  }
}

export interface Attempt {
  readonly request: DialRequest;
  /** Hands over a fresh connection, through this gateway if one is named; returns its far end. */
  accept(gateway?: string): FarEnd;
  /** Hands over this very connection. */
  give(stream: Duplex): void;
  refuse(cause: Error): void;
}

export interface FarEnd {
  readonly stream: Duplex;
  /** Every chunk that arrived: one per write of the near end. */
  readonly chunks: readonly Buffer[];
  readonly ended: () => boolean;
}

export function farEndOf(stream: Duplex): FarEnd {
  const chunks: Buffer[] = [];
  let ended = false;
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('end', () => {
    ended = true;
  });
  stream.on('error', () => {});
  return { stream, chunks, ended: () => ended };
}

export function dialPort(): { readonly dial: Dial; readonly attempts: readonly Attempt[] } {
  const attempts: Attempt[] = [];
  const dial: Dial = (request) =>
    new Promise((resolve, reject) => {
      attempts.push({
        request,
        accept: (gateway) => {
          const [near, far] = duplexPair();
          if (gateway !== undefined) Object.assign(near, { remoteAddress: gateway, remotePort: 8443 });
          resolve(near);
          return farEndOf(far);
        },
        give: resolve,
        refuse: reject,
      });
    });
  return { dial, attempts };
}

/** Takes writes and never says it is done with them. */
export class StuckStream extends Duplex {
  override _read(): void {}
  override _write(): void {}
}
