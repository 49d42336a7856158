/**
 * handshakes.ts: connections that are made, verified on both sides, and closed, as fast as they go.
 */
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { connect } from 'node:tls';
import { cpuSeconds } from './cpu.ts';
import type { Credentials } from './credentials.ts';
import { type Latencies, rate } from './measure.ts';

const workers = 16;
const idleSeconds = 2;

export interface Handshakes extends Latencies {
  readonly perSecond: number;
  /** Of the accepting process, less what it uses when nobody comes; clients are not counted. */
  readonly perCpuSecond: number;
}

export async function handshakes(
  to: { readonly port: number; readonly pid: number },
  { identity }: Credentials,
  seconds: number,
): Promise<Handshakes> {
  const turn = async (): Promise<void> => {
    const socket = connect({
      host: '127.0.0.1',
      port: to.port,
      secureContext: identity.context,
      servername: 'server.dc1.consul',
      ALPNProtocols: ['consul/rpc-multi'],
      checkServerIdentity: () => undefined,
    });
    await once(socket, 'secureConnect');
    const closed = once(socket, 'close');
    socket.end();
    socket.resume();
    await closed;
  };
  const idlePerSecond = await idle(to.pid);
  await rate(1, workers, turn);
  const before = cpuSeconds(to.pid);
  const began = performance.now();
  const measured = await rate(seconds, workers, turn);
  const lasted = (performance.now() - began) / 1000;
  const used = cpuSeconds(to.pid) - before - idlePerSecond * lasted;
  return { ...measured, perCpuSecond: Math.round((measured.perSecond * lasted) / used) };
}

/** CPU seconds a second. */
async function idle(pid: number): Promise<number> {
  const before = cpuSeconds(pid);
  await pause(idleSeconds * 1000);
  return (cpuSeconds(pid) - before) / idleSeconds;
}
