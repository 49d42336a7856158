/**
 * bare-tls.ts: the client of `tls-reply` and `tls-echo`: on each connection one request at a time, its answer counted and no more.
 */
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';

const request = Buffer.alloc(128, 0x71);

export interface BareTls extends AsyncDisposable {
  turn(): Promise<void>;
}

export async function openBareTls(port: number, connections: number, replyBytes: number): Promise<BareTls> {
  const all = await Promise.all(Array.from({ length: connections }, () => openTls(port)));
  const free = [...all];
  return {
    turn: async () => {
      const socket = free.pop() as TLSSocket;
      await roundTrip(socket, request, replyBytes);
      free.push(socket);
    },
    async [Symbol.asyncDispose]() {
      for (const socket of all) socket.destroy();
    },
  };
}

export async function openTls(port: number): Promise<TLSSocket> {
  const socket = connect({
    socket: connectTcp({ host: '127.0.0.1', port, noDelay: true }),
    rejectUnauthorized: false,
  });
  await once(socket, 'secureConnect');
  return socket;
}

export function roundTrip(socket: TLSSocket, sent: Buffer, bytes: number): Promise<void> {
  return new Promise((resolve) => {
    let left = bytes;
    const heard = (chunk: Buffer): void => {
      left -= chunk.length;
      if (left > 0) return;
      socket.off('data', heard);
      resolve();
    };
    socket.on('data', heard);
    socket.write(sent);
  });
}
