/**
 * paced-reader.ts: a process that reads an HTTP resource at a steady pace, whether it was answered or not, and says how long each
 * read took.
 *
 * Whoever asks again only when he was answered asks a slow server less often, and hides how slow it is; and a server that such
 * readers keep busy answers many in one turn, so that whatever disturbs their step costs more than itself. A program of its own, so
 * that it may have its core before others. Lives here: it, and starting it. Must not live here: what goes on meanwhile.
 */
import { fileURLToPath } from 'node:url';
import { openAsked } from './child.ts';
import { HttpReader } from './http-load.ts';
import { type Latencies, percentiles } from './measure.ts';

const program = fileURLToPath(import.meta.url);
/** Used in turn, so that none is closed for its silence. */
const connections = 16;

interface Order {
  /** One read each so many ms. */
  readonly everyMs: number;
  readonly ms: number;
}

export interface PacedReader extends AsyncDisposable {
  readonly pid: number;
  read(order: Order): Promise<Latencies>;
}

export function openPacedReader(url: string): PacedReader {
  const child = openAsked(program, url);
  return {
    pid: child.pid,
    read: async (order) => (await child.ask(order)) as Latencies,
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  };
}

function main(url: URL): void {
  const free: HttpReader[] = [];
  /** All there from the beginning, none of them closed since. */
  const ready = async (): Promise<void> => {
    const alive = free.splice(0).filter((reader) => !reader.closed);
    while (alive.length < connections) alive.push(new HttpReader(url));
    for (const reader of alive) await reader.turn();
    free.push(...alive);
  };
  const read = async (tookMs: number[]): Promise<void> => {
    const began = performance.now();
    const reader = free.shift() ?? new HttpReader(url);
    await reader.turn();
    tookMs.push(performance.now() - began);
    free.push(reader);
  };
  process.on('message', async ({ everyMs, ms }: Order) => {
    await ready();
    const tookMs: number[] = [];
    const count = Math.floor(ms / everyMs);
    const began = performance.now();
    let sent = 0;
    const timer = setInterval(() => {
      for (const due = (performance.now() - began) / everyMs; sent < due && sent < count; sent++)
        void read(tookMs);
      if (tookMs.length < count) return;
      clearInterval(timer);
      process.send?.(percentiles(tookMs));
    }, 1);
  });
}

if (process.argv[1] === program) main(new URL(process.argv[2] as string));
