/**
 * idle.ts: connections that do nothing, from many addresses, so that the limit for each stays as it is.
 */
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { alpn } from '@fed/alpn-mux';
import type { Door } from './strangers.ts';

const host = '127.0.0.1';
export const idleAddresses = Array.from({ length: 100 }, (_, n) => `127.0.0.${n + 2}`);
/** Few at a time, so that a slow machine makes each within the port's deadline. */
const atOnce = 20;

export async function holdIdle(
  kind: 'plain' | 'TLS',
  door: Pick<Door, 'port' | 'own'>,
  count: number,
): Promise<readonly Socket[]> {
  const held: Socket[] = [];
  while (held.length < count) {
    const from = idleAddresses.slice(held.length % idleAddresses.length).slice(0, atOnce);
    held.push(...(await Promise.all(from.map((address) => connection(kind, address, door)))));
  }
  return held;
}

async function connection(
  kind: 'plain' | 'TLS',
  localAddress: string,
  door: Pick<Door, 'port' | 'own'>,
): Promise<Socket> {
  const raw = connectTcp({ host, port: door.port, localAddress }).on('error', () => {});
  if (kind === 'plain') {
    await once(raw, 'connect');
    return raw;
  }
  const socket = connectTls({
    socket: raw,
    secureContext: door.own,
    servername: 'server.dc1.consul',
    ALPNProtocols: [alpn.rpcSingle], // yamux would ask for a sign of life every 30 s
    checkServerIdentity: () => undefined,
  }).on('error', () => {});
  await once(socket, 'secureConnect');
  return socket;
}
