/**
 * free-ports.ts: ports for programs that cannot pick their own, free for TCP and UDP alike.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';

/** `count` different ports that were free on 127.0.0.1 a moment ago. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const held: (Server | Socket)[] = [];
  const ports: number[] = [];
  try {
    for (let tries = 0; ports.length < count; tries += 1) {
      if (tries > 20 * count) throw new Error(`no ${count} free ports on 127.0.0.1`);
      const tcp = createServer().listen(0, '127.0.0.1');
      held.push(tcp);
      await once(tcp, 'listening');
      const { port } = tcp.address() as AddressInfo;
      const udp = createSocket('udp4');
      held.push(udp);
      const taken = await new Promise<boolean>((resolve) => {
        udp.once('error', () => resolve(true));
        udp.bind({ port, address: '127.0.0.1', exclusive: true }, () => resolve(false));
      });
      if (!taken) ports.push(port);
    }
    return ports;
  } finally {
    for (const one of held) one.close();
  }
}
