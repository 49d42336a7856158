/**
 * dc-reads.ts: the federation in which reads across datacenters are measured, and the same reads over HTTP.
 *
 * Two datacenters, both of our servers or both of Consul's, with our gateways between them in either case, and the same
 * services in the first. Lives here: that. Must not live here: tables.
 */
import { type Kind, Mixed, type Site } from '../../interop/consul/mixed.ts';
import { cpuSeconds } from './cpu.ts';
import { HttpReader } from './http-load.ts';
import { type Latencies, rate } from './measure.ts';

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
  readonly perSecond: number;
  /** Of both servers; gateways and readers are not counted. */
  readonly perCpuSecond: number;
  readonly bytes: number;
  /** Answered with an error, within the seconds measured. */
  readonly failed: number;
}

export async function httpReads(mixed: Mixed, size: Size, readers: number, seconds: number): Promise<Reads> {
  const [dc1, dc2] = mixed.sites as [Site, Site];
  const url = new URL(`${dc2.http}/v1/health/service/${sizes[size]}?passing&dc=dc1`);
  const free = Array.from({ length: readers }, () => new HttpReader(url));
  try {
    let bytes = 0;
    let failed = 0;
    const turn = async (): Promise<void> => {
      const reader = free.pop() as HttpReader;
      const answer = await reader.turn();
      if (answer.status === 200) bytes = answer.bytes;
      else failed++;
      free.push(reader);
    };
    await rate(1, readers, turn);
    const used = (): number =>
      [dc1, dc2].reduce((sum, { server }) => sum + cpuSeconds(server?.pid as number), 0);
    const before = used();
    const began = performance.now();
    failed = 0;
    const measured = await rate(seconds, readers, turn);
    const turns = (measured.perSecond * (performance.now() - began)) / 1000;
    return { ...measured, perCpuSecond: Math.round(turns / (used() - before)), bytes, failed };
  } finally {
    for (const reader of free) reader[Symbol.dispose]();
  }
}
