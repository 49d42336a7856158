/**
 * attacker.ts: a process that visits a server port as strangers do, so many a second, for as long as it is told.
 *
 * The program and how to start it. Must not live here: what is measured meanwhile.
 */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { openAsked } from './child.ts';
import { type DoorCredentials, doorAt } from './door-credentials.ts';
import { holdIdle } from './idle.ts';
import { strangersAt } from './strangers.ts';

/** So many idle connections with a certificate, in all; those that are more are closed. */
interface Hold {
  readonly hold: number;
}

interface Order {
  readonly stranger: number;
  readonly from: string;
  readonly perSecond: number;
  readonly ms: number;
}

export interface Attacker extends AsyncDisposable {
  readonly pid: number;
  /** How many came. They may not be over yet. */
  attack(order: Order): Promise<number>;
  /** Resolves with how many are open. */
  hold(count: number): Promise<number>;
}

const program = fileURLToPath(import.meta.url);
const tickMs = 10;

export async function openAttacker(port: number, credentials: DoorCredentials): Promise<Attacker> {
  const child = openAsked(program);
  const asked = async (message: object): Promise<number> => Number(await child.ask(message));
  await asked({ port, credentials });
  return {
    pid: child.pid,
    attack: asked,
    hold: (hold) => asked({ hold }),
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  };
}

async function main(): Promise<void> {
  const [{ port, credentials }] = (await once(process, 'message')) as [
    { readonly port: number; readonly credentials: DoorCredentials },
  ];
  const door = doorAt(port, credentials);
  const strangers = await strangersAt(door);
  const held: Socket[] = [];
  process.on('message', async (message: Order | Hold) => {
    if ('hold' in message) {
      for (const socket of held.splice(message.hold)) socket.destroy();
      held.push(...(await holdIdle('TLS', door, message.hold - held.length)));
      process.send?.(held.filter((socket) => !socket.destroyed).length);
      return;
    }
    const { stranger, from, perSecond, ms } = message;
    const began = performance.now();
    let came = 0;
    for (let passed = 0; passed < ms; passed = performance.now() - began) {
      for (; came < (passed / 1000) * perSecond; came++) void strangers[stranger]?.come(from).catch(() => {});
      await pause(tickMs);
    }
    process.send?.(came);
  });
  process.send?.(0);
}

if (process.argv[1] === program) await main();
