/**
 * handshakes.ts: what it costs a process to take a connection: made, verified on both sides, and closed, as fast as they come.
 *
 * Lives here: the client, and taking turns between those who are compared. Must not live here: who they are.
 */
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { connect } from 'node:tls';
import { threadSeconds } from './cpu.ts';
import type { Credentials } from './credentials.ts';
import { byTurns, type Latencies, percentiles } from './measure.ts';
import { dice, type Ratio, resampled, shown } from './paired.ts';

const workers = 16;
/** By number, not by time: a busy machine makes few in a second, and what is compared then is how well it was compiled. */
const warmConnections = 6_000;
/** Few, so that a machine that changes its mood does so for all. */
const turnConnections = 20;
const idleSeconds = 4;

export interface Accepting {
  readonly port: number;
  readonly pid: number;
}

interface Turn {
  readonly tookMs: readonly number[];
  /** CPU seconds of the accepting process, less what it uses when nobody comes; clients are not counted. */
  readonly used: number;
}

export interface Handshakes extends Latencies {
  readonly who: string;
  /** Over all turns. */
  readonly perCpuSecond: number;
  /** To the first of those compared. */
  readonly ratio: Ratio;
}

/**
 * They take turns, there and back again, and what all turns of each used is compared: garbage is collected once in a thousand
 * connections, and belongs to them. The first is what the others are measured by. Several processes of each: how the memory
 * of one happens to be laid out is worth a twentieth.
 */
export async function compareHandshakes(
  those: Readonly<Record<string, readonly Accepting[]>>,
  credentials: Credentials,
  turns: number,
): Promise<readonly Handshakes[]> {
  const all = await Promise.all(
    Object.entries(those).map(async ([who, to]) => ({
      who,
      to: await Promise.all(to.map(async (one) => ({ ...one, idle: await idle(one.pid) }))),
      took: [] as Turn[],
    })),
  );
  for (const one of all.flatMap(({ to }) => to)) await connections(warmConnections, one.port, credentials);
  await byTurns(all, turns, async ({ to, took }) => {
    const each: Turn[] = [];
    for (const one of to) each.push(await measured(one, one.idle, credentials));
    took.push({
      tookMs: each.flatMap(({ tookMs }) => tookMs),
      used: each.reduce((sum, { used }) => sum + used, 0),
    });
  });
  const measure = all[0]?.took ?? [];
  const perConnection = (took: readonly Turn[], drawn: Iterable<number>): number => {
    let [used, connections] = [0, 0];
    for (const turn of drawn) {
      used += took[turn]?.used ?? 0;
      connections += took[turn]?.tookMs.length ?? 0;
    }
    return used / connections;
  };
  return all.map(({ who, took }) => ({
    who,
    ...percentiles(took.flatMap(({ tookMs }) => tookMs)),
    perCpuSecond: Math.round(1 / perConnection(took, took.keys())),
    ratio: resampled(turns, (drawn) => perConnection(measure, drawn) / perConnection(took, drawn), dice(1)),
  }));
}

async function measured(to: Accepting, idlePerSecond: number, credentials: Credentials): Promise<Turn> {
  const before = threadSeconds(to.pid);
  const began = performance.now();
  const tookMs = await connections(turnConnections, to.port, credentials);
  const lasted = (performance.now() - began) / 1000;
  return { tookMs, used: threadSeconds(to.pid) - before - idlePerSecond * lasted };
}

async function connections(count: number, port: number, credentials: Credentials): Promise<number[]> {
  const tookMs: number[] = [];
  let left = count;
  const work = async (): Promise<void> => {
    while (left-- > 0) {
      const began = performance.now();
      await handshake(port, credentials);
      tookMs.push(performance.now() - began);
    }
  };
  await Promise.all(Array.from({ length: workers }, work));
  return tookMs;
}

async function handshake(port: number, { identity }: Credentials): Promise<void> {
  const socket = connect({
    host: '127.0.0.1',
    port,
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
}

/** CPU seconds a second. */
async function idle(pid: number): Promise<number> {
  const before = threadSeconds(pid);
  await pause(idleSeconds * 1000);
  return (threadSeconds(pid) - before) / idleSeconds;
}

export function handshakeRows(all: readonly Handshakes[]): readonly (readonly string[])[] {
  return [
    ['handshakes', 'per CPU-second', 'ratio (95 %)', 'p50 ms', 'p99 ms'],
    ...all.map((h) => [h.who, String(h.perCpuSecond), shown(h.ratio), `${h.p50Ms}`, `${h.p99Ms}`]),
  ];
}
