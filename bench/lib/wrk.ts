/**
 * wrk.ts: many readers of one HTTP resource, made by wrk: written in C, so that what is slow is the server, and nobody's garbage.
 *
 * Lives here: starting it, reading what it prints. Must not live here: what is measured.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { pin, prefer } from './cpu.ts';
import type { Latencies } from './measure.ts';

export interface Readings extends Latencies {
  readonly perSecond: number;
}

/** `connections` readers, each of whom asks again as soon as he is answered; on this core, before others there if we may. */
export async function readFor(
  url: string,
  o: { readonly connections: number; readonly seconds: number; readonly core: number },
): Promise<Readings> {
  const program = process.env['WRK_BIN'] ?? 'wrk';
  const args = ['-t1', `-c${o.connections}`, `-d${o.seconds}`, '--latency', url];
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  if (child.pid !== undefined) {
    pin(child.pid, o.core);
    prefer(child.pid, 'before');
  }
  let said = '';
  child.stdout.on('data', (bytes: Buffer) => {
    said += bytes.toString();
  });
  const [code] = (await once(child, 'close')) as [number | null];
  const failed = /Non-2xx or 3xx responses: (\d+)/.exec(said)?.[1];
  if (code !== 0 || failed !== undefined) throw new Error(`${program} ${args.join(' ')}: ${said}`);
  return {
    p50Ms: milliseconds(said, '50%'),
    p99Ms: milliseconds(said, '99%'),
    perSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(said)?.[1]),
  };
}

const unitMs: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1000 };

function milliseconds(said: string, which: string): number {
  const [, number, unit] = new RegExp(`${which}\\s+([\\d.]+)(us|ms|s)`).exec(said) ?? [];
  return Number(number) * (unitMs[unit ?? ''] ?? Number.NaN);
}
