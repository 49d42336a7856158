/**
 * network.ts: a world of datacenters on one machine, each in a network namespace of its own.
 *
 *   datacenter 1 (namespace)           world (namespace, a router)         datacenter 2 (namespace)
 *   lo: 10.0.0.1, .2, .3 private                                           lo: 10.0.0.1, .2, .3 private
 *   lo: 203.0.113.17, .18 gateways ──── 203.0.113.16/28 │ .32/28 ───────── lo: 203.0.113.33, .34 gateways
 *
 * Private addresses are the same everywhere, and the router knows no way to them: from outside there are gateways only.
 * What leaves a datacenter comes from an address of its uplink on which nobody listens. A third link ties each to this
 * process, for asking it over HTTP; no way leads from there to anywhere.
 * Lives here: namespaces, addresses, and what can go wrong between them. Must not live here: programs.
 */
import { execFileSync } from 'node:child_process';
import { program } from '../lib/peers.ts';

/** Of every datacenter where they overlap. */
const net = (third: number) => ({
  server: `10.0.${third}.1`,
  gateways: [`10.0.${third}.2`, `10.0.${third}.3`] as const,
});

/** Sites 1 to 15 share 203.0.113.0/24, a block for documentation; the links to this process are of a block for benchmarks. */
const sitesMax = 15;
const egress = 14;

/** Worlds of this process: several may stand side by side and know nothing of each other. */
let built = 0;

/** Namespaces of runs that are over: the number is their process. */
const ours = /^fedchaos(\d+)-/;

export class Network implements Disposable {
  readonly #ip = program('FED_PEER_IP');
  readonly #which = ++built;
  readonly #prefix = `fedchaos${process.pid}-${this.#which}`;
  readonly #third: number;
  readonly #sites: readonly string[];
  readonly #overlapping: boolean;
  readonly #last = (): void => this[Symbol.dispose]();
  readonly #cuts = new Map<string, number>();
  readonly #holes = new Map<string, string>();
  #nextCut = 1000;

  /**
   * @param sites names of the datacenters; the first has number 1.
   * @param overlapping whether all have the same private addresses.
   */
  constructor(sites: readonly string[], overlapping = true) {
    this.#overlapping = overlapping;
    if (sites.length > sitesMax) throw new Error(`a world has room for ${sitesMax} datacenters`);
    this.#sites = sites;
    this.#sweep();
    const used = this.#ipText('-4', '-o', 'addr', 'show');
    this.#third = Array.from({ length: 256 }, (_, at) => (process.pid + at) % 256).find(
      (third) => !used.includes(` 198.18.${third}.`),
    ) as number;
    process.once('exit', this.#last);
    try {
      this.#build();
    } catch (cause) {
      this[Symbol.dispose]();
      throw cause;
    }
  }

  /** The words to put before a command that is to run in a datacenter. */
  within(site: string): readonly string[] {
    return [this.#ip, 'netns', 'exec', this.#namespace(site)];
  }

  privateAddresses(site: string): ReturnType<typeof net> {
    return net(this.#overlapping ? 0 : this.#number(site));
  }

  /** Where this process asks a datacenter; nobody else can. */
  controlAddress(site: string): string {
    return `198.18.${this.#third}.${4 * this.#number(site) + 2}`;
  }

  /** A public address of a datacenter; 1 to 13. */
  publicAddress(site: string, which: number): string {
    return `203.0.113.${16 * this.#number(site) + which}`;
  }

  /** Gives a datacenter a public address, or takes it away: then it is nobody's, and what is sent there is lost. */
  own(site: string, address: string, has: boolean): void {
    this.#in(site, 'addr', has ? 'add' : 'del', `${address}/32`, 'dev', 'lo');
  }

  /** From now on what `from` sends to `to` is lost without a word; the other direction is not touched. */
  cut(from: string, to: string): void {
    const key = `${from} ${to}`;
    if (this.#cuts.has(key)) return;
    const preference = this.#nextCut++;
    const rule = ['from', this.#block(from), 'to', this.#block(to), 'blackhole'];
    this.#in('world', 'rule', 'add', 'pref', String(preference), ...rule);
    this.#cuts.set(key, preference);
  }

  /** From now on what anybody sends to this one address is lost without a word. */
  swallow(address: string): void {
    const preference = this.#nextCut++;
    this.#in('world', 'rule', 'add', 'pref', String(preference), 'to', address, 'blackhole');
    this.#cuts.set(`to ${address}`, preference);
  }

  /**
   * From now on what is sent to a private address within its own datacenter is lost without a word. The rules that cut
   * others off would answer a sender of the same namespace, so the address moves behind a link that swallows everything.
   */
  swallowWithin(site: string, address: string): void {
    // What leaves by one end is for a neighbour that the other end is not.
    this.#in(site, 'link', 'add', 'hole0', 'type', 'veth', 'peer', 'name', 'hole1');
    for (const end of ['hole0', 'hole1']) this.#in(site, 'link', 'set', end, 'up');
    this.#in(
      site,
      'neigh',
      'add',
      address,
      'lladdr',
      '02:00:00:00:00:01',
      'dev',
      'hole0',
      'nud',
      'permanent',
    );
    this.own(site, address, false);
    this.#in(site, 'route', 'add', `${address}/32`, 'dev', 'hole0');
    this.#holes.set(site, address);
  }

  /** Nothing gets into this datacenter or out of it. */
  isolate(site: string): void {
    for (const other of this.#sites) {
      if (other === site) continue;
      this.cut(site, other);
      this.cut(other, site);
    }
  }

  /** All that was cut, swallowed and isolated is as it was. */
  heal(): void {
    for (const preference of this.#cuts.values())
      this.#in('world', 'rule', 'del', 'pref', String(preference));
    this.#cuts.clear();
    for (const [site, address] of this.#holes) {
      this.#in(site, 'link', 'del', 'hole0'); // with its route
      this.own(site, address, true);
    }
    this.#holes.clear();
  }

  /** Programs in it must have ended: a namespace lives on while somebody is in it. */
  [Symbol.dispose](): void {
    process.off('exit', this.#last);
    for (const name of this.#namespaces()) if (name.startsWith(`${this.#prefix}-`)) this.#remove(name);
  }

  #build(): void {
    const host = (site: string): string => `fc${process.pid % 1e6}w${this.#which}m${this.#number(site)}`;
    this.#run('netns', 'add', this.#namespace('world'));
    this.#in('world', 'link', 'set', 'lo', 'up');
    execFileSync(this.#ip, [
      ...['netns', 'exec', this.#namespace('world')],
      ...['sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward'],
    ]);
    for (const site of this.#sites) {
      const number = this.#number(site);
      const namespace = this.#namespace(site);
      this.#run('netns', 'add', namespace);
      this.#in(site, 'link', 'set', 'lo', 'up');
      const link = [
        'link',
        'add',
        `down${number}`,
        'type',
        'veth',
        'peer',
        'name',
        'up0',
        'netns',
        namespace,
      ];
      this.#in('world', ...link);
      this.#in('world', 'addr', 'add', `169.254.${number}.1/30`, 'dev', `down${number}`);
      this.#in('world', 'link', 'set', `down${number}`, 'up');
      this.#in('world', 'route', 'add', this.#block(site), 'via', `169.254.${number}.2`);
      this.#in(site, 'addr', 'add', `169.254.${number}.2/30`, 'dev', 'up0');
      this.#in(site, 'link', 'set', 'up0', 'up');
      const { server, gateways } = this.privateAddresses(site);
      const inside = [server, ...gateways, this.publicAddress(site, egress)];
      for (const address of inside) this.own(site, address, true);
      const out = ['route', 'add', 'default', 'via', `169.254.${number}.1`];
      this.#in(site, ...out, 'src', this.publicAddress(site, egress));
      this.#run('link', 'add', host(site), 'type', 'veth', 'peer', 'name', 'control0', 'netns', namespace);
      this.#run('addr', 'add', `198.18.${this.#third}.${4 * number + 1}/30`, 'dev', host(site));
      this.#run('link', 'set', host(site), 'up');
      this.#in(site, 'addr', 'add', `${this.controlAddress(site)}/30`, 'dev', 'control0');
      this.#in(site, 'link', 'set', 'control0', 'up');
    }
  }

  /** What a run that was killed has left behind. */
  #sweep(): void {
    for (const name of this.#namespaces()) {
      const pid = Number(ours.exec(name)?.[1] ?? Number.NaN);
      if (Number.isNaN(pid) || isRunning(pid)) continue;
      for (const inside of this.#ipText('netns', 'pids', name).split('\n'))
        if (inside !== '') end(Number(inside));
      this.#remove(name);
    }
  }

  #namespaces(): readonly string[] {
    return this.#ipText('netns', 'list')
      .split('\n')
      .map((line) => line.split(' ')[0] ?? '');
  }

  #remove(namespace: string): void {
    this.#run('netns', 'del', namespace);
  }

  #number(site: string): number {
    const at = this.#sites.indexOf(site);
    if (at < 0) throw new Error(`no datacenter ${site} in this world`);
    return at + 1;
  }

  #block(site: string): string {
    return `203.0.113.${16 * this.#number(site)}/28`;
  }

  #namespace(site: string): string {
    return `${this.#prefix}-${site}`;
  }

  #in(site: string, ...args: readonly string[]): void {
    this.#run('-n', this.#namespace(site), ...args);
  }

  #run(...args: readonly string[]): void {
    this.#ipText(...args);
  }

  #ipText(...args: readonly string[]): string {
    return execFileSync(this.#ip, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // ended meanwhile
  }
}
