/**
 * stories.ts: what a real Envoy must get along with, told once for every release.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { freePorts } from '@fed/tooling/ports';
import { recommended, snapshotOf } from '@fed/xds';
import { describe, expect, test } from 'vitest';
import { TempFolder } from '../lib/temp-folder.ts';
import { until } from '../lib/until.ts';
import { certificateOf, type Echo, openEcho, type Pem, Visitor } from './certificates.ts';
import { federationStories } from './federation-stories.ts';
import { HandFed } from './hand-fed.ts';
import { type Ports, serverSni, subsetSni, webSni, worldOf } from './worlds.ts';

export interface Release {
  readonly version: string;
  /** Environment variable with the path of its program. */
  readonly variable: string;
}

/** From a new world to the last of Envoy's workers that knows it. */
const newsMs = 20_000;

export function stories(release: Release): void {
  describe(`Envoy ${release.version}`, () => {
    handFedStories(release);
    federationStories(release);
  });
}

function handFedStories({ variable, version }: Release): void {
  test.each([
    ['envoy', 'embedded'],
    ['embedded', 'envoy'],
    ['envoy', 'envoy'],
    ['embedded', 'embedded'],
  ] as const)(
    'service traffic by server name, from dc1 (%s) to dc2 (%s): service, subsets, servers; TLS end to end',
    async (first, second) => {
      await using s = await Scene.open(variable, { dc1: first, dc2: second });
      const names = new Set<string>();
      for (let i = 0; i < 8; i++) {
        using visitor = await s.visit(webSni);
        names.add(visitor.name);
        expect(await visitor.echo('end to end')).toBe('end to end');
      }
      expect([...names].sort()).toEqual(['web v1', 'web v2']);
      for (const subset of ['v1', 'v2']) {
        using visitor = await s.visit(subsetSni(subset));
        expect(visitor.name).toBe(`web ${subset}`);
      }
      using server = await s.visit(serverSni);
      expect(server.name).toBe('n1');
      using any = await s.visit('server.dc2.consul');
      expect(any.name).toBe('n1');
      await expect(s.visit('nobody.example.com')).rejects.toThrow();
      for (const gateway of [s.dc1, s.dc2]) {
        expect(gateway.refusals).toEqual([]);
        const userAgent = gateway === s.dc1 ? first : second;
        expect(gateway.client()).toMatchObject({
          mode: 'delta',
          registered: true,
          userAgent: userAgent === 'envoy' ? 'envoy' : expect.stringContaining('fed'),
        });
      }
    },
  );

  test('what Envoy holds is what we meant: every cluster, endpoint and listener of its dump', async () => {
    await using s = await Scene.open(variable, { dc1: 'envoy', dc2: 'envoy' });
    for (const dc of ['dc1', 'dc2'] as const) {
      const { view } = s[dc];
      const dump = await until('Envoy holds everything', newsMs, async () => {
        const seen = await view.dump();
        return seen.listeners.size === 1 && seen;
      });
      const { resources } = snapshotOf(worldOf(dc, s.ports), recommended);
      const meant = (type: keyof typeof resources): ReadonlyMap<string, unknown> =>
        new Map([...resources[type].values()].map((r) => [r.name, r.message]));
      expect(dump.errors).toEqual([]);
      expect(await view.refusals()).toBe(0);
      expect(bare(dump.clusters)).toEqual(bare(meant('Cluster')));
      expect(bare(dump.listeners)).toEqual(bare(meant('Listener')));
      expect(hosts(dump.endpoints)).toEqual(hosts(meant('ClusterLoadAssignment')));
    }
  });

  test('a changed world reaches Envoy without a dropped connection: endpoint moved, server added and gone', async () => {
    await using s = await Scene.open(variable, { dc1: 'envoy', dc2: 'envoy' });
    await using elsewhere = await openEcho(s.pem, 'n1, moved');
    using held = await s.visit(serverSni);
    using heldService = await s.visit(webSni);
    const { dc2, ports } = s;
    const moved = worldOf('dc2', { ...ports, server: elsewhere.port });

    dc2.tell(moved);
    await until('new connections go to the new address', newsMs, async () => {
      using visitor = await s.visit(serverSni);
      return visitor.name === 'n1, moved';
    });
    expect(await held.echo('still here')).toBe('still here');

    dc2.tell({
      ...moved,
      servers: [...moved.servers, { node: 'n2', host: '127.0.0.1', port: ports.server }],
    });
    await until('a chain for the new server', newsMs, async () => {
      using visitor = await s.visit('n2.server.dc2.consul');
      return visitor.name === 'n1';
    });
    expect(await held.echo('a chain more')).toBe('a chain more');

    dc2.tell(moved);
    await until(
      'the chain is gone',
      newsMs,
      async () => (await dc2.view.endpoints('n2.server.dc2.consul')).length === 0,
    );
    expect(await held.echo('a chain less')).toBe('a chain less');
    expect(await heldService.echo('nor did the service')).toBe('nor did the service');
    expect(dc2.refusals).toEqual([]);
    expect(await dc2.view.refusals()).toBe(0);
    expect(await dc2.view.count('listener_manager.listener_in_place_updated')).toBeGreaterThanOrEqual(2);
  });

  test('our server goes and comes back: Envoy relays on, says what it has, and is sent the difference only', async () => {
    await using s = await Scene.open(variable, { dc1: 'envoy', dc2: 'envoy' });
    using held = await s.visit(serverSni);
    const { dc2, ports } = s;
    const clusters = (await dc2.view.dump()).clusters.size;
    await using elsewhere = await openEcho(s.pem, 'n1, moved');
    await dc2.restartServer(worldOf('dc2', { ...ports, server: elsewhere.port }));
    await until('the difference has arrived', newsMs, async () => {
      using visitor = await s.visit(serverSni);
      return visitor.name === 'n1, moved';
    });
    expect(await held.echo('through it all')).toBe('through it all');
    const { types, responses } = dc2.client() ?? {};
    expect(types?.Cluster).toMatchObject({ held: clusters, nacks: 0 });
    expect(responses, 'one response: the endpoints that changed').toBe(1);
  });

  test.each(['envoy', 'embedded'] as const)(
    'behind a load balancer (%s): both versions of the PROXY protocol, and clients without; it is seen no further on',
    async (dataPlane) => {
      await using s = await Scene.open(variable, { dc1: dataPlane, dc2: 'embedded' });
      const { dc1, ports, pem } = s;
      const world = worldOf('dc1', ports);
      const proxy = { Config: { envoy_gateway_proxy_protocol: true } };
      dc1.tell({ ...world, gateway: { ...world.gateway, Proxy: proxy } });
      const block = Buffer.from(
        '0d0a0d0a000d0a515549540a2111000ccb007109c000020b dc0401bb'.replace(' ', ''),
        'hex',
      );
      const line = Buffer.from('PROXY TCP4 203.0.113.9 192.0.2.11 56324 443\r\n');
      for (const header of [line, block])
        await until('a client behind the balancer is served', newsMs, async () => {
          using visitor = await Visitor.open(ports.gateway.dc1, serverSni, pem.ca, header);
          return (await visitor.echo('end to end')) === 'end to end' && visitor.name === 'n1';
        });
      using without = await s.visit(serverSni);
      expect(without.name).toBe('n1');
      expect(dc1.refusals).toEqual([]);
    },
  );

  test.each([
    ['embedded', 'fed-mesh-gateway'],
    ['envoy', 'envoy'],
  ] as const)(
    'on two cores (%s): one gateway, one stream; a process of ours that is killed is replaced',
    async (dataPlane, userAgent) => {
      await using folder = await TempFolder.open();
      const pem = certificateOf(folder.path, 'dc2', 'n1');
      await using n1 = await openEcho(pem, 'n1');
      const [dc1, dc2, adminPort] = (await freePorts(3)) as [number, number, number];
      const world = worldOf('dc2', { gateway: { dc1, dc2 }, server: n1.port, web: {} });
      const flags = ['--concurrency', '2'];
      await using gateway = await HandFed.open({
        id: 'gateway-dc2',
        dataPlane,
        variable,
        adminPort,
        world,
        flags,
      });
      expect(gateway.client()).toMatchObject({ userAgent, lastError: undefined });
      const visits = async (): Promise<void> => {
        const all = await Promise.all(Array.from({ length: 20 }, () => Visitor.open(dc2, serverSni, pem.ca)));
        for (const visitor of all) {
          expect(await visitor.echo('one of many')).toBe('one of many');
          visitor[Symbol.dispose]();
        }
      };
      await visits();
      if (dataPlane === 'envoy') return;
      const workers = async (): Promise<ReadonlySet<number>> => {
        const list = (await (await fetch(`http://127.0.0.1:${adminPort}/connections`)).json()) as {
          worker: number;
        }[];
        return new Set(list.map(({ worker }) => worker));
      };
      expect([...(await workers())].sort()).toEqual([0, 1]);
      const ended = gateway.child.says(/a worker ended \(SIGKILL\)/, newsMs);
      const [worker] = execFileSync('ps', ['-o', 'pid=', '--ppid', String(gateway.child.pid)], {
        encoding: 'utf8',
      })
        .trim()
        .split('\n');
      process.kill(Number(worker), 'SIGKILL');
      await ended;
      await visits();
      await until('both relay again', newsMs, async () => {
        await visits();
        return (await workers()).size === 2;
      });
      expect(gateway.child.running).toBe(true);
    },
  );

  test('state of the world: Envoy takes everything, each change, a server that restarts; what it holds is what we meant', async () => {
    await using folder = await TempFolder.open();
    const pem = certificateOf(folder.path, 'dc2', 'n1');
    await using n1 = await openEcho(pem, 'n1');
    await using elsewhere = await openEcho(pem, 'n1, moved');
    const [dc1, dc2, adminPort] = (await freePorts(3)) as [number, number, number];
    const ports = { gateway: { dc1, dc2 }, server: n1.port, web: { v1: n1.port, v2: elsewhere.port } };
    const world = worldOf('dc2', ports);
    const [id, dataPlane] = ['gateway-dc2', 'envoy'] as const;
    const stateOfTheWorld = { folder: folder.path };
    await using gateway = await HandFed.open({ id, dataPlane, variable, adminPort, world, stateOfTheWorld });
    const visit = (): Promise<Visitor> => Visitor.open(dc2, serverSni, pem.ca);
    await until('Envoy listens', newsMs, () => listens(dc2));
    expect(gateway.client()).toMatchObject({ mode: 'sotw', userAgent: 'envoy', lastError: undefined });
    using held = await visit();

    const { resources } = snapshotOf(world, recommended);
    const dump = await gateway.view.dump();
    const meant = (type: keyof typeof resources): ReadonlyMap<string, unknown> =>
      new Map([...resources[type].values()].map((r) => [r.name, r.message]));
    expect(bare(dump.clusters)).toEqual(bare(meant('Cluster')));
    expect(bare(dump.listeners)).toEqual(bare(meant('Listener')));
    expect(hosts(dump.endpoints)).toEqual(hosts(meant('ClusterLoadAssignment')));

    const moved = worldOf('dc2', { ...ports, server: elsewhere.port });
    gateway.tell(moved);
    await until('new connections go to the new address', newsMs, async () => {
      using visitor = await visit();
      return visitor.name === 'n1, moved';
    });
    const n2 = { node: 'n2', host: '127.0.0.1', port: n1.port };
    gateway.tell({ ...moved, servers: [...moved.servers, n2] });
    await until('a chain for the new server', newsMs, async () => {
      using visitor = await Visitor.open(dc2, 'n2.server.dc2.consul', pem.ca);
      return visitor.name === 'n1';
    });
    await gateway.restartServer(moved);
    await until('the new server is gone, and its cluster', newsMs, async () => {
      const { clusters } = await gateway.view.dump();
      return !clusters.has('n2.server.dc2.consul');
    });
    expect(await held.echo('through it all')).toBe('through it all');
    expect(gateway.refusals).toEqual([]);
    expect(await gateway.view.refusals()).toBe(0);
  });

  test('xDS over TLS: by the server’s certificate Envoy is configured; by another name it is not', async () => {
    await using folder = await TempFolder.open();
    const pem = certificateOf(folder.path, 'dc2', 'n1');
    const caFile = join(folder.path, 'consul-agent-ca.pem');
    const [dc1, dc2, adminPort, otherPort] = (await freePorts(4)) as [number, number, number, number];
    const world = worldOf('dc2', { gateway: { dc1, dc2 }, server: 1, web: {} });
    const base = { id: 'gateway-dc2', dataPlane: 'envoy', variable, token: 'secret' } as const;
    const tls = { ...pem, caFile, serverName: 'server.dc2.consul' };
    await using gateway = await HandFed.open({ ...base, adminPort, world, tls });
    expect(await listens(dc2)).toBe(true);
    expect(gateway.refusals).toEqual([]);
    await using misled = await HandFed.open({
      ...base,
      adminPort: otherPort,
      tls: { ...tls, serverName: 'server.dc1.consul' },
    });
    await until('Envoy refuses the certificate', newsMs, async () => {
      const refused = 'cluster.local_agent.ssl.fail_verify_san';
      return (
        (await misled.view.ready().catch(() => false)) === false && (await misled.view.count(refused)) > 0
      );
    });
    expect(misled.client()).toBeUndefined();
  });

  test('a gateway that is not registered: Envoy waits without listening; as soon as it is, Envoy listens', async () => {
    await using folder = await TempFolder.open();
    await using server = await openEcho(certificateOf(folder.path, 'dc2', 'n1'), 'n1');
    const [dc1, dc2, adminPort] = (await freePorts(3)) as [number, number, number];
    await using gateway = await HandFed.open({ id: 'gateway-dc2', dataPlane: 'envoy', variable, adminPort });
    await until('the stream is there', newsMs, () => gateway.client()?.registered === false);
    expect(await gateway.view.ready()).toBe(false);
    expect(await listens(dc2)).toBe(false);
    gateway.tell(worldOf('dc2', { gateway: { dc1, dc2 }, server: server.port, web: {} }));
    await gateway.listening();
    expect(await listens(dc2)).toBe(true);
    expect(await gateway.view.ready()).toBe(true);
  });

  test('the process: version in the log, no secret left on disk, ended by the end of its Envoy, with its status', async () => {
    await using s = await Scene.open(variable, { dc1: 'envoy', dc2: 'embedded' });
    const { child, view } = s.dc1;
    expect(child.log.join('\n')).toContain(`"version":"${version}"`);
    const { configPath } = await view.commandLine();
    expect(configPath).toMatch(/bootstrap\.json$/);
    expect(existsSync(dirname(configPath))).toBe(false);
    process.kill(envoyPid(child.log), 'SIGKILL');
    expect(await child.exited).toBe(128 + 9);
  });

  test('asked to end, it drains: no new connections, the open one goes on until its own end', async () => {
    await using s = await Scene.open(variable, { dc1: 'embedded', dc2: 'envoy' }, { drainTime: '60s' });
    const held = await s.visit(serverSni);
    process.kill(envoyParent(s.dc2.child.log), 'SIGTERM');
    await until('the port is closed', newsMs, async () => !(await listens(s.ports.gateway.dc2)));
    expect(await held.echo('while draining')).toBe('while draining');
    expect(s.dc2.child.running).toBe(true);
    held[Symbol.dispose]();
    expect(await s.dc2.child.exited).toBe(0);
  });

  test('port taken by somebody else: Envoy refuses the listener by name, the server hears why, the rest goes on', async () => {
    const [port] = (await freePorts(1)) as [number];
    await using folder = await TempFolder.open();
    const pem = certificateOf(folder.path, 'dc2', 'n1');
    await using taken = await openEcho(pem, 'taken');
    await using server = await openEcho(pem, 'n1');
    const ports = { gateway: { dc1: port, dc2: taken.port }, server: server.port, web: {} };
    const [adminPort] = (await freePorts(1)) as [number];
    const free = (await freePorts(1))[0] as number;
    await using gateway = await HandFed.open({
      id: 'gateway-dc2',
      dataPlane: 'envoy',
      variable,
      adminPort,
      world: worldOf('dc2', { ...ports, gateway: { dc1: port, dc2: free } }),
    });
    gateway.tell(worldOf('dc2', ports));
    await until('the refusal', newsMs, () => gateway.refusals.length > 0);
    expect(gateway.refusals[0]).toMatch(new RegExp(`${taken.port}`));
    gateway.tell(worldOf('dc2', { ...ports, gateway: { dc1: port, dc2: free } }));
    await until('it listens as before', newsMs, () => listens(free));
  });
}

/** Two gateways with a TLS service web and a server n1 behind the second. */
class Scene implements AsyncDisposable {
  readonly dc1: HandFed;
  readonly dc2: HandFed;
  readonly pem: Pem;
  readonly ports: Ports;
  readonly #stack: AsyncDisposableStack;

  private constructor(o: {
    dc1: HandFed;
    dc2: HandFed;
    pem: Pem;
    ports: Ports;
    stack: AsyncDisposableStack;
  }) {
    this.dc1 = o.dc1;
    this.dc2 = o.dc2;
    this.pem = o.pem;
    this.ports = o.ports;
    this.#stack = o.stack;
  }

  static async open(
    variable: string,
    dataPlane: Readonly<Record<'dc1' | 'dc2', 'embedded' | 'envoy'>>,
    o: { readonly drainTime?: string } = {},
  ): Promise<Scene> {
    await using stack = new AsyncDisposableStack();
    const folder = stack.use(await TempFolder.open());
    const pem = certificateOf(folder.path, 'dc2', 'n1');
    const echo = async (name: string): Promise<Echo> => stack.use(await openEcho(pem, name));
    const [n1, v1, v2] = [await echo('n1'), await echo('web v1'), await echo('web v2')];
    const [g1, g2, a1, a2] = (await freePorts(4)) as [number, number, number, number];
    const ports = { gateway: { dc1: g1, dc2: g2 }, server: n1.port, web: { v1: v1.port, v2: v2.port } };
    const open = async (dc: 'dc1' | 'dc2', adminPort: number): Promise<HandFed> =>
      stack.use(
        await HandFed.open({
          ...{ id: `gateway-${dc}`, dataPlane: dataPlane[dc], variable, adminPort },
          ...{ world: worldOf(dc, ports), token: 'secret', drainTime: o.drainTime ?? '0s' },
        }),
      );
    const [dc1, dc2] = await Promise.all([open('dc1', a1), open('dc2', a2)]);
    return new Scene({ dc1, dc2, pem, ports, stack: stack.move() });
  }

  /** A connection into dc1's gateway. */
  async visit(servername: string): Promise<Visitor> {
    return await Visitor.open(this.ports.gateway.dc1, servername, this.pem.ca);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack[Symbol.asyncDispose]();
  }
}

/** From its own log lines: [time][thread][level][main], and the main thread has the number of the process. */
function envoyPid(log: readonly string[]): number {
  const [, pid] =
    log.map((line) => /^\[[^\]]+\]\[(\d+)\]\[\w+\]\[main\]/.exec(line)).find((m) => m !== null) ?? [];
  return Number(pid);
}

/** The process that started it. */
function envoyParent(log: readonly string[]): number {
  const status = readFileSync(`/proc/${envoyPid(log)}/status`, 'utf8');
  return Number(/^PPid:\s+(\d+)/m.exec(status)?.[1]);
}

/** Resources by name, without the outer type, which a dump of a listener or cluster has and a resource does not need. */
function bare(resources: ReadonlyMap<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    [...resources].map(([name, resource]) => {
      const { '@type': _type, ...fields } = resource as Record<string, unknown>;
      return [name, fields];
    }),
  );
}

interface Assignment {
  readonly endpoints?: readonly {
    readonly lbEndpoints?: readonly {
      readonly endpoint: {
        readonly address: { readonly socketAddress: { address: string; portValue: number } };
      };
      readonly healthStatus?: string;
      readonly loadBalancingWeight?: number;
    }[];
  }[];
}

/** Envoy dumps endpoints as it has understood them: with its defaults, and healthy where nothing was said. */
function hosts(assignments: ReadonlyMap<string, unknown>): Record<string, readonly string[]> {
  return Object.fromEntries(
    [...assignments].map(([name, assignment]) => [
      name,
      ((assignment as Assignment).endpoints ?? [])
        .flatMap((locality) => locality.lbEndpoints ?? [])
        .map(({ endpoint, healthStatus = 'HEALTHY', loadBalancingWeight = 1 }) => {
          const { address, portValue } = endpoint.address.socketAddress;
          return `${address}:${portValue} ${healthStatus} ${loadBalancingWeight}`;
        })
        .sort(),
    ]),
  );
}

async function listens(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
