/**
 * dc-reads.ts: the federation in which reads across datacenters are measured, and the same reads over HTTP, by turns.
 *
 * Two datacenters, both of our servers or both of Consul's, with our gateways between them in either case, and the same
 * services in the first. Lives here: that. Must not live here: tables.
 */
import { type Kind, Mixed, type Site } from '../../interop/consul/mixed.ts';
import { cpuSeconds } from './cpu.ts';
import { HttpReader } from './http-load.ts';
import { byTurns, type Latencies, percentiles, turns } from './measure.ts';
import { type Block, block, dice, pooled, type Ratio, ratio, resampled } from './paired.ts';

/** `small`: three instances with a check each. `large`: an answer of about 1 MiB. */
export const sizes = { small: 'web', large: 'big' } as const;
export type Size = keyof typeof sizes;

const formMs = 90_000;
const largeInstances = 128;
const metaKeys = 16;

export async function openPair(kind: Kind): Promise<Mixed> {
  const mixed = await Mixed.start([kind, kind]);
  const [dc1, dc2] = mixed.sites as [Site, Site];
  await mixed.until('dc2 reads dc1', formMs, async () => {
    await mixed.get(dc2, '/v1/catalog/nodes?dc=dc1');
    return ((await mixed.get(dc1, '/v1/status/leader')) as string) !== '';
  });
  for (let n = 0; n < 3; n++) await register(dc1, sizes.small, n, {});
  const text = 'x'.repeat(500);
  const meta = Object.fromEntries(Array.from({ length: metaKeys }, (_, n) => [`key-${n}`, text]));
  for (let n = 0; n < largeInstances; n++) await register(dc1, sizes.large, n, meta);
  return mixed;
}

async function register(at: Site, name: string, n: number, meta: Record<string, string>): Promise<void> {
  const Node = `${name}-${n}`;
  const body = JSON.stringify({
    Node,
    Address: '192.0.2.1',
    Service: { ID: Node, Service: name, Port: 80, Tags: ['a'], Meta: meta },
    Checks: [{ Node, CheckID: `service:${Node}`, Name: 'alive', Status: 'passing', ServiceID: Node }],
  });
  const answer = await fetch(`${at.http}/v1/catalog/register`, { method: 'PUT', body });
  if (!answer.ok) throw new Error(`${at.http}: ${answer.status} ${await answer.text()}`);
}

export interface Reads extends Latencies {
  readonly who: string;
  readonly size: Size;
  readonly readers: number;
  readonly perSecond: number;
  /** Of both servers; gateways and readers are not counted. */
  readonly perCpuSecond: number;
  readonly bytes: number;
  /** Answered with an error, within the turns measured. */
  readonly failed: number;
  /** The first of those compared to this one: reads per CPU-second. */
  readonly perCpuRatio: Ratio;
  /** The first of those compared to this one: p99 of all turns together. */
  readonly p99Ratio: Ratio;
}

interface Taken {
  readonly tookMs: readonly number[];
  readonly lastedSeconds: number;
  readonly usedSeconds: number;
}

/**
 * Reads of dc1 by clients of dc2, in federations which take turns: what the machine does meanwhile, it does to all. Before that
 * each is asked for `warmSeconds`, without being measured.
 */
export async function compareReads(
  those: Readonly<Record<string, Mixed>>,
  o: {
    readonly size: Size;
    readonly readers: number;
    readonly turns: number;
    readonly seconds: number;
    readonly warmSeconds: number;
  },
): Promise<readonly Reads[]> {
  using open = new DisposableStack();
  const all = Object.entries(those).map(([who, mixed]) => ({
    who,
    readers: open.use(new Readers(mixed, o.size, o.readers)),
    took: [] as Taken[],
  }));
  for (const { readers } of all) await readers.read(o.warmSeconds);
  for (const { readers } of all) readers.failed = 0;
  await byTurns(all, o.turns, async (one) => {
    one.took.push(await one.readers.read(o.seconds));
  });
  const first = all[0]?.took ?? [];
  const perCpu = (took: readonly Taken[]): number => reads(took) / total(took, 'usedSeconds');
  const blocks = (took: readonly Taken[]): Block[] => took.map(({ tookMs }) => block(tookMs));
  return all.map(({ who, readers, took }) => ({
    who,
    size: o.size,
    readers: o.readers,
    ...percentiles(took.flatMap(({ tookMs }) => tookMs)),
    perSecond: Math.round(reads(took) / total(took, 'lastedSeconds')),
    perCpuSecond: Math.round(perCpu(took)),
    bytes: readers.bytes,
    failed: readers.failed,
    perCpuRatio: resampled(
      o.turns,
      (drawn) => perCpu(drawn.map((n) => first[n] as Taken)) / perCpu(drawn.map((n) => took[n] as Taken)),
      dice(1),
    ),
    p99Ratio: ratio(blocks(first), blocks(took), pooled(0.99), dice(1)),
  }));
}

function reads(took: readonly Taken[]): number {
  return took.reduce((sum, { tookMs }) => sum + tookMs.length, 0);
}

function total(took: readonly Taken[], what: 'lastedSeconds' | 'usedSeconds'): number {
  return took.reduce((sum, one) => sum + one[what], 0);
}

/** Connections of their own, which ask one question for ever. */
class Readers implements Disposable {
  bytes = 0;
  failed = 0;
  readonly #pids: readonly number[];
  readonly #free: HttpReader[];

  constructor(mixed: Mixed, size: Size, count: number) {
    const [dc1, dc2] = mixed.sites as [Site, Site];
    const url = new URL(`${dc2.http}/v1/health/service/${sizes[size]}?passing&dc=dc1`);
    this.#pids = [dc1, dc2].map(({ server }) => server?.pid as number);
    this.#free = Array.from({ length: count }, () => new HttpReader(url));
  }

  async read(seconds: number): Promise<Taken> {
    const before = this.#cpuSeconds();
    const { tookMs, lastedSeconds } = await turns(seconds, this.#free.length, () => this.#turn());
    return { tookMs, lastedSeconds, usedSeconds: this.#cpuSeconds() - before };
  }

  async #turn(): Promise<void> {
    const reader = this.#free.pop() as HttpReader;
    const answer = await reader.turn();
    if (answer.status === 200) this.bytes = answer.bytes;
    else this.failed++;
    this.#free.push(reader);
  }

  #cpuSeconds(): number {
    return this.#pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
  }

  [Symbol.dispose](): void {
    for (const reader of this.#free) reader[Symbol.dispose]();
  }
}
