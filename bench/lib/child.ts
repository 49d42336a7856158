/** child.ts: a baseline as a child process, known by the port it prints; gone when its block is left. */
import { spawn } from 'node:child_process';
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
