/**
 * federation-stories.ts: a whole federation with Envoy in it, from the first start to the loss of each part.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { openRpcPool } from '@fed/rpc';
import { type DataPlane, Federation, type FederationState, fedCli } from '@fed/tooling/federation';
import { freePorts } from '@fed/tooling/ports';
import { describe, expect, test } from 'vitest';
import { program } from '../lib/peers.ts';
import { TempFolder } from '../lib/temp-folder.ts';
import { openEcho, pemOf } from './certificates.ts';
import type { Release } from './stories.ts';
import { EnvoyView } from './view.ts';

const formMs = 45_000;
/** A server or gateway that went away has come back, and everybody has found it again. */
const recoverMs = 45_000;

export function federationStories({ variable }: Release): void {
  describe.each(['envoy', 'embedded'] as const)('dc1 Envoy, dc2 embedded, dc3 %s', (third) => {
    test('it forms; members, states and reads in all directions; nothing goes around the gateways', async () => {
      await using f = await open(variable, third);
      f.federation.startAll();
      await f.federation.up();
      await f.federation.until('the federation has formed', formMs, () => f.federation.formed());
      await f.readsEverywhere();
      for (const dc of ['dc1', 'dc2', 'dc3']) {
        const { gossipPort } = await f.federation.get<{
          gossipPort: { packetsIn: number; streamsIn: number };
        }>(dc, '/v1/agent/foreign-connections');
        expect(gossipPort, dc).toMatchObject({ packetsIn: 0, streamsIn: 0 });
      }
      const view = f.view('dc1');
      for (const cluster of ['n1.server.dc1.consul', 'server.dc2.consul', 'server.dc3.consul'])
        expect(await view.count(`cluster\\.${cluster}\\.upstream_cx_total`), cluster).toBeGreaterThan(0);
      await f.noRefusals();
    });
  });

  test('a datacenter added later, a gateway moved: they reach Envoy, and no connection in use is dropped', async () => {
    await using f = await open(variable, 'embedded');
    const { federation } = f;
    for (const dc of ['dc1', 'dc2']) {
      federation.startServer(dc);
      federation.startGateway(dc);
    }
    await federation.until('dc1 reads dc2', formMs, () => f.reads('dc1', 'dc2'));
    await federation.until('dc2 reads dc1', formMs, () => f.reads('dc2', 'dc1'));
    await using line = f.callThrough('dc1', 'dc2');
    await line.call();
    // Our own servers change over to better routes while gateways are found to be well; after that nobody moves.
    await federation.until('dc1 and dc2 know each other’s gateways to be well', formMs, () =>
      f.settled(['dc1', 'dc2']),
    );
    const openGossip = (): Promise<readonly string[]> => f.gossipConnections('dc2', 'dc1');
    await federation.until('gossip from dc1 to dc2', formMs, async () => (await openGossip()).length > 0);
    const gossip = await openGossip();

    federation.startServer('dc3');
    federation.startGateway('dc3');
    await federation.until('dc3 has joined', formMs, () => federation.formed());
    await f.readsEverywhere();
    await line.call();
    expect(line.dials, 'one connection throughout').toBe(1);
    expect(await openGossip(), 'still open').toEqual(expect.arrayContaining([...gossip]));

    const [port] = (await freePorts(1)) as [number];
    await federation.stop('dc3', 'gateway', 'SIGTERM');
    federation.site('dc3').gatewayPort = port;
    federation.startGateway('dc3');
    await federation.until('Envoy knows the new address', recoverMs, async () =>
      (await f.view('dc1').endpoints('server.dc3.consul')).includes(`127.0.0.1:${port}`),
    );
    await federation.until(
      'reads to dc3',
      recoverMs,
      async () => (await f.reads('dc1', 'dc3')) && f.reads('dc3', 'dc1'),
    );
    await line.call();
    expect(line.dials, 'one connection throughout').toBe(1);
    expect(await openGossip(), 'still open').toEqual(expect.arrayContaining([...gossip]));
    await f.noRefusals();
  });

  test('subsets of services in the mesh, native and behind sidecars, are reached through both gateways, either way', async () => {
    await using f = await open(variable, 'embedded', ['dc1', 'dc2']);
    const { federation } = f;
    federation.startAll();
    await federation.until('the federation has formed', formMs, () => federation.formed());
    const { TrustDomain } = await federation.get<{ TrustDomain: string }>('dc1', '/v1/connect/ca/roots');
    await using stack = new AsyncDisposableStack();
    for (const dc of ['dc1', 'dc2'])
      for (const version of ['v1', 'v2']) {
        const pem = pemOf(join(federation.folder, 'tls'), dc, 0);
        const { port } = stack.use(await openEcho(pem, `${dc} ${version}`));
        const common = { Address: '127.0.0.1', Port: port, Meta: { version } };
        const isNative = version === 'v1';
        await federation.put(dc, '/v1/agent/service/register', {
          ...common,
          ...(isNative
            ? { Name: 'web', ID: 'web-v1', Connect: { Native: true } }
            : {
                Name: 'web-sidecar-proxy',
                Kind: 'connect-proxy',
                Proxy: { DestinationServiceName: 'web' },
              }),
        });
      }
    await federation.put('dc2', '/v1/config', {
      Kind: 'service-resolver',
      Name: 'web',
      DefaultSubset: 'v2',
      Subsets: {
        v1: { Filter: 'Service.Meta.version == v1' },
        v2: { Filter: 'Service.Meta.version matches "^v2$"', OnlyPassing: true },
      },
    });
    for (const [from, to] of [
      ['dc1', 'dc2'],
      ['dc2', 'dc1'],
    ] as const)
      for (const [name, wanted] of [
        ['v1.web', `${to} v1`],
        ['v2.web', `${to} v2`],
        ['web', `${to} v2`],
      ] as const)
        await federation.until(`${name} of ${to} from ${from}`, recoverMs, async () => {
          const servername = `${name}.default.${to}.internal.${TrustDomain}`;
          const { gatewayPort } = federation.site(from);
          return (await firstLine(gatewayPort, servername)) === wanted;
        });
    const clusters = await f.view('dc1').endpoints(`v1.web.default.dc1.internal.${TrustDomain}`);
    expect(clusters, 'Envoy has one instance in that subset').toHaveLength(1);
    await f.noRefusals();
  });

  test('the server of Envoy’s datacenter moves to another port; Envoy is killed and started again: both recover', async () => {
    await using f = await open(variable, 'embedded', ['dc1', 'dc2']);
    const { federation } = f;
    federation.startAll();
    await federation.until('the federation has formed', formMs, () => federation.formed());

    const { configFile } = federation.site('dc1');
    const config = JSON.parse(readFileSync(configFile, 'utf8')) as { ports: { server: number } };
    const [server] = (await freePorts(1)) as [number];
    await federation.stop('dc1', 'server', 'SIGTERM');
    writeFileSync(configFile, JSON.stringify({ ...config, ports: { ...config.ports, server } }));
    federation.startServer('dc1');
    await federation.until('Envoy knows the new port', recoverMs, async () =>
      (await f.view('dc1').endpoints('n1.server.dc1.consul')).includes(`127.0.0.1:${server}`),
    );
    await federation.until(
      'all reads',
      recoverMs,
      async () => (await f.reads('dc1', 'dc2')) && f.reads('dc2', 'dc1'),
    );
    await f.noRefusals();

    const gateway = federation.site('dc1').gateway;
    await f.killEnvoy('dc1');
    expect(await gateway?.exited).toBe(128 + 9);
    federation.startGateway('dc1');
    await federation.until(
      'all reads again',
      recoverMs,
      async () => (await f.reads('dc1', 'dc2')) && f.reads('dc2', 'dc1'),
    );
    await f.noRefusals();
  });
}

/** What an echo server at the end of the way says first; empty when there is none. */
function firstLine(port: number, servername: string): Promise<string> {
  return new Promise((resolve) => {
    // Services of the mesh are named by URI; the name asked for is not in their certificate.
    const socket = connectTls({ host: '127.0.0.1', port, servername, rejectUnauthorized: false });
    socket.once('data', (bytes: Buffer) => {
      resolve(bytes.toString().trim());
      socket.destroy();
    });
    socket.on('error', () => {});
    socket.once('close', () => resolve(''));
  });
}

async function open(
  variable: string,
  third: DataPlane,
  datacenters: readonly string[] = ['dc1', 'dc2', 'dc3'],
): Promise<Scene> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await TempFolder.open());
  const federation = stack.use(
    await Federation.prepare({
      datacenters,
      folder: folder.path,
      dataPlane: { dc1: 'envoy', dc3: third },
      envoyBinary: program(variable),
    }),
  );
  return new Scene(federation, stack.move());
}

class Scene implements AsyncDisposable {
  readonly federation: Federation;
  readonly #stack: AsyncDisposableStack;

  constructor(federation: Federation, stack: AsyncDisposableStack) {
    this.federation = federation;
    this.#stack = stack;
  }

  view(dc: string): EnvoyView {
    return new EnvoyView(this.federation.site(dc).adminUrl);
  }

  async reads(from: string, of: string): Promise<boolean> {
    const nodes = await this.federation.get<readonly { Datacenter: string }[]>(
      from,
      `/v1/catalog/nodes?dc=${of}`,
    );
    return nodes.length === 1 && nodes[0]?.Datacenter === of;
  }

  /** Each of them lists a gateway of each, and no check of these that does not pass. */
  async settled(datacenters: readonly string[]): Promise<boolean> {
    const wells = await Promise.all(
      datacenters.map(async (dc) => {
        const states = await this.federation.get<readonly FederationState[]>(
          dc,
          '/v1/internal/federation-states',
        );
        const gateways = states.flatMap((s) => s.MeshGateways ?? []);
        const checks = gateways.flatMap((g) => g.Checks);
        return gateways.length === datacenters.length && checks.every((c) => c.Status === 'passing');
      }),
    );
    return wells.every((well) => well);
  }

  async readsEverywhere(): Promise<void> {
    const all = [...this.federation.sites.keys()];
    for (const from of all)
      for (const of of all)
        if (from !== of)
          await this.federation.until(`${from} reads ${of}`, recoverMs, () => this.reads(from, of));
  }

  /**
   * Packet gossip from the servers of `of` to the server of `at` that is open now: the ports from which the embedded
   * gateway of `at` has dialled for it. Its other half goes through the gateway of `of`.
   */
  async gossipConnections(at: string, of: string): Promise<readonly string[]> {
    const { connections } = await this.federation.get<{
      connections: readonly {
        datacenter: string;
        protocol: string;
        remoteHost: string;
        remotePort: number;
      }[];
    }>(at, '/v1/agent/foreign-connections');
    const gossip = new Set(
      connections
        .filter((c) => c.datacenter === of && c.protocol === 'consul/wan-gossip/packet')
        .map((c) => `${c.remoteHost}:${c.remotePort}`),
    );
    const relayed = (await (
      await fetch(`${this.federation.site(at).adminUrl}/connections`)
    ).json()) as readonly {
      readonly state: string;
      readonly upstreamLocal?: string;
    }[];
    return relayed
      .filter((c) => c.state === 'open' && gossip.has(c.upstreamLocal ?? ''))
      .map((c) => c.upstreamLocal as string);
  }

  /** Neither Envoy's counters nor our servers' logs know of a refused configuration. */
  async noRefusals(): Promise<void> {
    for (const { datacenter, dataPlane, server } of this.federation.sites.values()) {
      if (dataPlane === 'envoy') expect(await this.view(datacenter).refusals(), datacenter).toBe(0);
      if (server !== undefined) expect(readFileSync(server.logFile, 'utf8')).not.toContain('"code":"nack"');
    }
  }

  /** Kills the Envoy below the gateway of `dc`, not the gateway. */
  async killEnvoy(dc: string): Promise<void> {
    const parent = this.federation.site(dc).gateway?.pid;
    const pid = execFileSync('ps', ['-o', 'pid=', '--ppid', String(parent)], { encoding: 'utf8' });
    process.kill(Number(pid), 'SIGKILL');
  }

  /** Calls from a server of `from` to the one of `to`, through the gateway of `from`, over one connection while it lives. */
  callThrough(from: string, to: string) {
    const tls = join(this.federation.folder, 'tls');
    execFileSync(
      process.execPath,
      [fedCli, 'tls', 'cert', 'create', '--server', '--dc', from, '--node', 'caller'],
      { cwd: tls },
    );
    const { ca, cert, key } = pemOf(tls, from, 1);
    const { gatewayPort } = this.federation.site(from);
    const { nodeName } = this.federation.site(to);
    const servername = `${nodeName}.server.${to}.consul`;
    const counted = { dials: 0 };
    const pool = openRpcPool({
      dial: async () => {
        counted.dials += 1;
        const socket: TLSSocket = connectTls({
          ...{ host: '127.0.0.1', port: gatewayPort, servername, ca, cert, key },
          ALPNProtocols: ['consul/rpc-multi'],
        });
        await new Promise<void>((resolve, reject) => {
          socket.once('secureConnect', resolve);
          socket.once('error', reject);
        });
        return socket;
      },
    });
    const target = { datacenter: to, node: nodeName, address: { host: '127.0.0.1', port: gatewayPort } };
    return {
      get dials() {
        return counted.dials;
      },
      call: async (): Promise<void> =>
        void (await pool.call(target, 'Status.Ping', {}, { timeoutMs: 10_000 })),
      [Symbol.asyncDispose]: () => pool[Symbol.asyncDispose](),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack[Symbol.asyncDispose]();
  }
}
