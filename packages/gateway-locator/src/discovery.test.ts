import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { settled, VirtualClock } from '@fed/tooling/virtual-clock';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AddressError, renderHostPort } from './address.ts';
import { type Discovery, type EntryReport, openDiscovery } from './discovery.ts';
import { parseEntry } from './source.ts';
import { systemReadText, systemResolve } from './system.ts';

let clock: VirtualClock;
/** What DNS and files say; an Error rejects, a missing key never answers. */
let names: Record<string, readonly string[] | Error>;
let services: Record<string, readonly { name: string; port: number }[]>;
let files: Record<string, string | Error>;
let asked: string[];
let heard: string[];
let reports: string[];
let discovery: Discovery | undefined;

beforeEach(() => {
  clock = new VirtualClock();
  names = {};
  services = {};
  files = {};
  asked = [];
  heard = [];
  reports = [];
});
afterEach(async () => {
  await discovery?.[Symbol.asyncDispose]();
  await settled();
  expect(clock.armed).toBe(0);
});

describe('discovery: entries', () => {
  test('discovery: literals are there before it has returned, and cost nothing more', async () => {
    open('10.0.0.2', '10.0.0.1:443', '[2001:db8::1]');
    expect(heard).toEqual(['10.0.0.1:443 10.0.0.2:8443 [2001:db8::1]:8443']);
    await clock.advance(1_000_000);
    expect(asked).toEqual([]);
  });

  test('discovery: a name stands for all its addresses, IPv4 and IPv6', async () => {
    names = { 'gw.example.com': ['10.0.0.1', '2001:db8::1'] };
    open('gw.example.com:443');
    await settled();
    expect(heard).toEqual(['10.0.0.1:443 [2001:db8::1]:443']);
  });

  test('discovery: an SRV name stands for all addresses of its targets, at their ports', async () => {
    services = {
      '_gw._tcp.example.com': [
        { name: 'a', port: 1 },
        { name: 'b', port: 2 },
      ],
    };
    names = { a: ['10.0.0.1', '10.0.0.2'], b: ['10.0.0.3'] };
    open('srv+_gw._tcp.example.com');
    await settled();
    expect(heard).toEqual(['10.0.0.1:1 10.0.0.2:1 10.0.0.3:2']);
  });

  test('discovery: a file holds entries, one per line; a line that cannot be read is told, the others count', async () => {
    names = { gw: ['10.0.0.9'] };
    files = { '/gateways': '# ours\n10.0.0.1:443 # first\n\n bad host\r\ngw\nfile:/other\n' };
    open('file:/gateways');
    await settled();
    expect(heard).toEqual(['10.0.0.1:443 10.0.0.9:8443']);
    expect(reports).toEqual([expect.stringMatching(/^"file:\/gateways" 2 \[bad_host\] "bad host"/)]);
  });

  const bad = ['provider=aws secret_access_key=s3cr3t', 'gw:0', 'srv+', 'srv+10.0.0.1', 'file:', ''];
  for (const entry of bad) {
    test(`discovery: "${entry}" is refused when opened, by name and without secrets`, () => {
      expect(() => open('10.0.0.1', entry)).toThrow(AddressError);
      expect(() => open('10.0.0.1', entry)).not.toThrow(/s3cr3t/);
    });
  }

  test('discovery: entries are told apart', () => {
    expect(['10.0.0.1', '::1', 'gw', 'srv+gw', 'file:x'].map((e) => parseEntry(e).kind)).toEqual([
      'literal',
      'literal',
      'name',
      'srv',
      'file',
    ]);
  });
});

describe('discovery: for ever', () => {
  test('discovery: asks again every interval, and tells only changes', async () => {
    names = { gw: ['10.0.0.1'] };
    open('gw');
    await clock.advance(29_999);
    expect(asked).toEqual(['gw']);
    await clock.advance(1);
    expect(asked).toEqual(['gw', 'gw']);
    names = { gw: ['10.0.0.2'] };
    await clock.advance(30_000);
    expect(heard).toEqual(['10.0.0.1:8443', '10.0.0.2:8443']);
  });

  test('discovery: servers do not ask in step', async () => {
    names = { gw: ['10.0.0.1'] };
    open('gw', { below: (n: number) => n - 1 });
    await clock.advance(27_000);
    expect(asked).toHaveLength(2);
  });

  test('discovery: an entry that fails keeps its last addresses, is told once, and is asked sooner', async () => {
    names = { gw: ['10.0.0.1'] };
    open('gw');
    await settled();
    names = { gw: new Error('SERVFAIL') };
    await clock.advance(30_000);
    await clock.advance(1_000);
    await clock.advance(2_000);
    expect(asked).toHaveLength(4);
    expect(heard).toEqual(['10.0.0.1:8443']);
    names = { gw: ['10.0.0.1'] };
    await clock.advance(4_000);
    expect(reports).toEqual(['"gw" 1 SERVFAIL', '"gw" 1 ok']);
    await clock.advance(29_999);
    expect(asked).toHaveLength(5);
  });

  test('discovery: no address at all is a failure too', async () => {
    names = { gw: [] };
    open('gw');
    await settled();
    expect(reports).toEqual(['"gw" 0 the name has no address']);
    names = { gw: ['10.0.0.1'] };
    await clock.advance(1_000);
    expect(heard).toEqual(['10.0.0.1:8443']);
  });

  test('discovery: entries do not wait for each other; one that hangs fails after 5 s', async () => {
    names = { gw: ['10.0.0.1'] };
    open('hangs', 'gw');
    await settled();
    expect(heard).toEqual(['10.0.0.1:8443']);
    await clock.advance(5_000);
    expect(reports).toEqual(['"hangs" 0 no answer within 5000 ms']);
    expect(asked).toHaveLength(2);
    await clock.advance(1_000);
    expect(asked).toHaveLength(4);
  });

  test('discovery: refresh asks now, but not twice at a time', async () => {
    names = { gw: ['10.0.0.1'] };
    open('gw');
    discovery!.refresh();
    await settled();
    expect(asked).toHaveLength(1);
    names = { gw: ['10.0.0.2'] };
    discovery!.refresh();
    await settled();
    expect(heard).toEqual(['10.0.0.1:8443', '10.0.0.2:8443']);
  });

  test('discovery: other entries take over, one that stays keeps what it knew, a bad one changes nothing', async () => {
    names = { gw: ['10.0.0.1'], old: ['10.0.0.5'] };
    open('gw', 'old');
    await settled();
    names = { gw: new Error('SERVFAIL') };
    expect(() => discovery!.replace(['10.0.0.9', 'gw:x'])).toThrow(AddressError);
    expect(discovery!.current().map(renderHostPort)).toEqual(['10.0.0.1:8443', '10.0.0.5:8443']);
    discovery!.replace(['10.0.0.9', 'gw']);
    await settled();
    expect(heard.at(-1)).toBe('10.0.0.1:8443 10.0.0.9:8443');
    expect(discovery!.status().map(({ entry }) => entry)).toEqual(['"10.0.0.9"', '"gw"']);
  });

  test('discovery: an answer that comes after closing is not heard', async () => {
    names = { gw: ['10.0.0.1'] };
    open('gw');
    await discovery![Symbol.asyncDispose]();
    await settled();
    expect(heard).toEqual([]);
  });

  test('discovery: what others can make us keep is bounded', async () => {
    names = { gw: Array.from({ length: 1_000 }, (_, n) => `10.0.${n >> 8}.${n & 255}`) };
    open('gw', 'gw:1', 'gw:2', 'gw:3', 'gw:4', 'gw:5');
    await settled();
    expect(discovery!.current()).toHaveLength(256);
    expect(discovery!.status()[0]!.addresses).toHaveLength(64);
  });
});

describe('discovery: the machine’s own', () => {
  test('discovery: localhost resolves, a file is read', async () => {
    expect(await systemResolve.addresses('localhost', AbortSignal.abort())).toContain('127.0.0.1');
    const dir = await mkdtemp(join(tmpdir(), 'discovery-'));
    try {
      await writeFile(join(dir, 'gateways'), 'gw.example.com\n');
      expect(await systemReadText(join(dir, 'gateways'), AbortSignal.abort())).toBe('gw.example.com\n');
    } finally {
      await rm(dir, { recursive: true });
    }
  });
});

// ---- fixtures ----

function open(...args: (string | { below(n: number): number })[]): void {
  const entries = args.filter((arg) => typeof arg === 'string');
  const rng = args.find((arg) => typeof arg === 'object') ?? { below: () => 0 };
  discovery = openDiscovery({
    entries,
    clock,
    rng,
    resolve: {
      addresses: (host) => answer(host, names[host]),
      services: (name) => answer(name, services[name]),
    },
    readText: (path) => answer(path, files[path]),
    onAddresses: (addresses) => heard.push(addresses.map(renderHostPort).join(' ')),
    onEntry: (report) => reports.push(show(report)),
  });
}

function answer<T>(question: string, value: T | Error | undefined): Promise<T> {
  asked.push(question);
  if (value === undefined) return new Promise(() => {});
  return value instanceof Error ? Promise.reject(value) : Promise.resolve(value);
}

function show({ entry, addresses, cause }: EntryReport): string {
  return `${entry} ${addresses.length} ${cause instanceof Error ? cause.message : 'ok'}`;
}
