/**
 * ports.ts: free ports of this machine, for TCP and UDP alike, so that a second copy can run beside the first.
 *
 * They lie below the range systems take ports for outgoing connections from (32768 on Linux, 49152 elsewhere): there, any
 * connection made meanwhile may take one before its server does. Whoever takes ports from a block keeps the block's first
 * port bound as long as it lives, so that two programs looking at the same time never get the same.
 */
import { createSocket } from 'node:dgram';
import { createServer, type Server } from 'node:net';

const host = '127.0.0.1';
const firstPort = 10_240;
const blockPorts = 64;
const blocks = (32_768 - firstPort) / blockPorts;

/** Ports of the block that was opened last and have not been given away. */
let left: number[] = [];

/** `count` different ports that were free for TCP and UDP on 127.0.0.1 a moment ago. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const ports: number[] = [];
  for (let tries = 0; ports.length < count; tries++) {
    if (tries > count * 20) throw new Error(`no ${count} free ports on ${host}`);
    const port = left.pop() ?? (await openBlock());
    if (port !== undefined && (await isFree(port))) ports.push(port);
  }
  return ports;
}

/** Takes a block nobody has, and gives a port of it; undefined if somebody has that one. */
async function openBlock(): Promise<number | undefined> {
  const guard = firstPort + Math.floor(Math.random() * blocks) * blockPorts;
  const held = await listening(guard);
  if (held === undefined) return undefined;
  held.unref();
  left = Array.from({ length: blockPorts - 1 }, (_, at) => guard + blockPorts - 1 - at);
  return left.pop();
}

async function isFree(port: number): Promise<boolean> {
  const tcp = await listening(port);
  if (tcp === undefined) return false;
  const udp = createSocket('udp4');
  const free = await new Promise<boolean>((resolve) => {
    udp.once('error', () => resolve(false));
    udp.bind(port, host, () => resolve(true));
  });
  await Promise.all([
    new Promise<void>((resolve) => tcp.close(() => resolve())),
    free ? new Promise<void>((resolve) => udp.close(() => resolve())) : undefined,
  ]);
  return free;
}

function listening(port: number): Promise<Server | undefined> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(undefined));
    server.listen(port, host, () => resolve(server));
  });
}
