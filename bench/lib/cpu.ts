/**
 * cpu.ts: what a process has used so far, and where it runs. Linux.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism, constants, setPriority } from 'node:os';

const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

/** User and system time of all its threads, in seconds; resolution 10 ms. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const [utime, stime] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13)
    .map(Number);
  return ((utime ?? 0) + (stime ?? 0)) / ticksPerSecond;
}

/** The same of the threads it has now, to the microsecond: for short windows. A thread that ends takes its time with it. */
export function threadSeconds(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  const ns = threads.map((thread) =>
    Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]),
  );
  return ns.reduce((sum, each) => sum + each, 0) / 1e9;
}

export function rssKiB(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

/** All its threads, or the main one, on this core, if the machine has more than one and taskset. Whether it was done. */
export function pin(pid: number, core: number, threads: 'all' | 'main' = 'all'): boolean {
  if (availableParallelism() < 2) return false;
  const args = [...(threads === 'all' ? ['-a'] : []), '-p', '-c', String(core), String(pid)];
  return spawnSync('taskset', args, { stdio: 'ignore' }).status === 0;
}

/**
 * Its main thread runs before all others that want the same core, or all of its threads after them. Whether it was done: only root may
 * go before others. By niceness alone it does not: whoever runs keeps the core until his slice of some 3 ms is over.
 */
export function prefer(pid: number, to: 'before' | 'after'): boolean {
  if (to === 'before')
    return spawnSync('chrt', ['-f', '-p', '50', String(pid)], { stdio: 'ignore' }).status === 0;
  for (const thread of readdirSync(`/proc/${pid}/task`))
    setPriority(Number(thread), constants.priority.PRIORITY_LOW);
  return true;
}

/** Raises, if it may, how many files we and our children may have open; answers how many that is now. */
export function openFilesMax(wanted: number): number {
  spawnSync('prlimit', ['--pid', String(process.pid), `--nofile=${wanted}:${wanted}`], { stdio: 'ignore' });
  return Number(/^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]);
}
