/**
 * handshakes.ts: what it costs a process to take a connection: made, verified on both sides, and closed, as fast as they come.
 *
 * Lives here: the client, and taking turns between those who are compared. Must not live here: who they are.
 */
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { connect } from 'node:tls';
import { cpuSeconds } from './cpu.ts';
import type { Credentials } from './credentials.ts';
import { type Latencies, percentiles, round } from './measure.ts';

const workers = 16;
/** By number, not by time: a busy machine makes few in a second, and what is compared then is how well it was compiled. */
const warmConnections = 1_500;
const turnConnections = 200;
const idleSeconds = 4;

export interface Accepting {
  readonly port: number;
  readonly pid: number;
}

interface Turn extends Latencies {
  /** Of the accepting process, less what it uses when nobody comes; clients are not counted. */
  readonly perCpuSecond: number;
}

/** Least, middle, most. */
export type Spread = readonly [min: number, median: number, max: number];

export interface Handshakes {
  readonly who: string;
  readonly perCpuSecond: Spread;
  /** To the first of those compared, within the same turn. */
  readonly ratio: Spread;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/**
 * They take turns of a few hundred connections, there and back again: a machine that grows slower or faster meanwhile does so for all. The
 * first is what the others are measured by.
 */
export async function compareHandshakes(
  those: Readonly<Record<string, Accepting>>,
  credentials: Credentials,
  turns: number,
): Promise<readonly Handshakes[]> {
  const all = await Promise.all(
    Object.entries(those).map(async ([who, to]) => ({
      who,
      to,
      idle: await idle(to.pid),
      took: [] as Turn[],
    })),
  );
  for (const { to } of all) await connections(warmConnections, to.port, credentials);
  for (let turn = 0; turn < turns; turn++)
    for (const one of turn % 2 === 0 ? all : all.toReversed())
      one.took.push(await measured(one.to, one.idle, credentials));
  const measure = all[0]?.took ?? [];
  return all.map(({ who, took }) => ({
    who,
    perCpuSecond: spread(took.map((t) => t.perCpuSecond)),
    ratio: spread(took.map((t, turn) => round(t.perCpuSecond / (measure[turn]?.perCpuSecond ?? 0)))),
    p50Ms: spread(took.map((t) => t.p50Ms))[1],
    p99Ms: spread(took.map((t) => t.p99Ms))[1],
  }));
}

async function measured(to: Accepting, idlePerSecond: number, credentials: Credentials): Promise<Turn> {
  const before = cpuSeconds(to.pid);
  const began = performance.now();
  const tookMs = await connections(turnConnections, to.port, credentials);
  const lasted = (performance.now() - began) / 1000;
  const used = cpuSeconds(to.pid) - before - idlePerSecond * lasted;
  return { ...percentiles(tookMs), perCpuSecond: Math.round(turnConnections / used) };
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
  const before = cpuSeconds(pid);
  await pause(idleSeconds * 1000);
  return (cpuSeconds(pid) - before) / idleSeconds;
}

function spread(numbers: readonly number[]): Spread {
  const sorted = numbers.toSorted((a, b) => a - b);
  const at = (n: number): number => sorted[n] ?? 0;
  return [at(0), at(sorted.length >> 1), at(sorted.length - 1)];
}

export function handshakeRows(all: readonly Handshakes[]): readonly (readonly string[])[] {
  const text = ([min, median, max]: Spread): string => `${median} (${min} to ${max})`;
  return [
    ['handshakes', 'per CPU-second', 'ratio', 'p50 ms', 'p99 ms'],
    ...all.map((h) => [h.who, text(h.perCpuSecond), text(h.ratio), `${h.p50Ms}`, `${h.p99Ms}`]),
  ];
}
