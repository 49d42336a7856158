/** child.ts: programs of ours as child processes, known by the port they print or asked by messages; gone when their block is left. */
import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const flags = ['--conditions=@fed/source', '--disable-warning=ExperimentalWarning'];
const program = fileURLToPath(new URL('./baselines.ts', import.meta.url));

export interface Baseline extends AsyncDisposable {
  readonly port: number;
  readonly pid: number;
}

export async function openBaseline(...args: readonly string[]): Promise<Baseline> {
  const child = spawn(process.execPath, [...flags, program, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return {
    port: Number(line.toString()),
    pid: child.pid as number,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

export interface Asked extends AsyncDisposable {
  readonly pid: number;
  /** Its next message is the answer, so one thing is asked at a time. Throws if it ends first. */
  ask(message: object): Promise<unknown>;
}

/** It says nothing before it is asked. */
export function openAsked(program: string, ...args: readonly string[]): Asked {
  const child = fork(program, args, { execArgv: process.execArgv });
  const gone = once(child, 'exit').then(() => 'gone' as const);
  return {
    pid: child.pid as number,
    ask: async (message) => {
      const answer = once(child, 'message');
      child.send(message);
      const heard = await Promise.race([answer, gone]);
      if (heard === 'gone') throw new Error(`${program} has ended`);
      return heard[0];
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await gone;
    },
  };
}
