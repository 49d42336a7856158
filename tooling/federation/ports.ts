/**
 * ports.ts: free ports of this machine, for TCP and UDP alike, so that a second copy can run beside the first.
 */
import { createSocket } from 'node:dgram';
import { type AddressInfo, createServer } from 'node:net';

/** `count` different ports that were free for TCP and UDP on 127.0.0.1 a moment ago. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const held: (() => Promise<void>)[] = [];
  const ports: number[] = [];
  try {
    for (let tries = 0; ports.length < count; tries++) {
      if (tries > count * 20) throw new Error(`no ${count} free ports on 127.0.0.1`);
      const tcp = createServer();
      await new Promise<void>((resolve, reject) => tcp.once('error', reject).listen(0, '127.0.0.1', resolve));
      const { port } = tcp.address() as AddressInfo;
      held.push(() => new Promise((resolve) => tcp.close(() => resolve())));
      const udp = createSocket('udp4');
      const free = await new Promise<boolean>((resolve) => {
        udp.once('error', () => resolve(false));
        udp.bind(port, '127.0.0.1', () => resolve(true));
      });
      if (!free) continue;
      held.push(() => new Promise((resolve) => udp.close(() => resolve())));
      ports.push(port);
    }
    return ports;
  } finally {
    await Promise.all(held.map((release) => release()));
  }
}
