/**
 * The whole story on real processes: three datacenters, one server and one gateway each, built as they are shipped.
 * Waiting is for events (`until` asks until the answer is true), never for time to pass.
 */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { Federation, fedCli, temporaryFolder } from '@fed/tooling/federation';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const datacenters = ['dc1', 'dc2', 'dc3'];
const patienceMs = 60_000;

let folder: string;
let federation: Federation;

beforeAll(async () => {
  folder = temporaryFolder('fed-story');
  federation = await Federation.prepare({ datacenters, folder });
  federation.startAll();
  await federation.up(patienceMs);
  await federation.until('the federation has formed', patienceMs, () => federation.formed());
}, 2 * patienceMs);

afterAll(async () => {
  await federation?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

interface NodeJson {
  readonly Node: string;
  readonly Datacenter: string;
}

const nodesOf = (asked: string, of: string): Promise<readonly NodeJson[]> =>
  federation.get<readonly NodeJson[]>(asked, `/v1/catalog/nodes?dc=${of}`);

const readable = (asked: string, of: string) => async (): Promise<boolean> =>
  (await nodesOf(asked, of)).length === 1;

describe('a federation that has formed', () => {
  for (const from of datacenters)
    for (const of of datacenters)
      test(`the catalog of ${of} is read from ${from}`, async () => {
        expect((await nodesOf(from, of)).map((n) => n.Datacenter)).toEqual([of]);
      });

  test('every datacenter lists all three', async () => {
    for (const dc of datacenters)
      expect([...(await federation.get<readonly string[]>(dc, '/v1/catalog/datacenters'))].sort()).toEqual(
        datacenters,
      );
  });

  test('nothing came from another datacenter without passing a gateway', async () => {
    expect(await federation.directForeignConnections()).toBe(0);
  });

  test('a service registered in one datacenter is found from another, and a blocking query wakes when it comes', async () => {
    const first = await fetch(`${federation.site('dc3').httpUrl}/v1/health/service/web?dc=dc2`);
    const index = first.headers.get('x-consul-index');
    const waiting = fetch(
      `${federation.site('dc3').httpUrl}/v1/health/service/web?dc=dc2&index=${index}&wait=60s`,
    );
    await federation.put('dc2', '/v1/agent/service/register', {
      Name: 'web',
      Port: 80,
      Check: { TTL: '60s' },
    });
    await federation.put('dc2', '/v1/agent/check/pass/service:web');
    const woken = (await (await waiting).json()) as readonly { Service: { Port: number } }[];
    expect(woken.map((row) => row.Service.Port)).toEqual([80]);
  });

  test('a config entry written in a secondary is the primary’s, comes to all, and goes from all', async () => {
    const file = join(folder, 'resolver.hcl');
    writeFileSync(
      file,
      `kind = "service-resolver"
       name = "db"
       default_subset = "v1"
       subsets { v1 { filter = "Service.Meta.version == v1" } }`,
    );
    const fed = (dc: string, ...args: string[]) => {
      const server = ['--http-addr', federation.site(dc).httpUrl];
      return spawnSync(process.execPath, [fedCli, 'config', ...args, ...server], { encoding: 'utf8' });
    };
    expect(fed('dc2', 'write', file)).toMatchObject({
      status: 0,
      stdout: 'Config entry written: service-resolver/db\n',
    });
    for (const dc of datacenters) {
      await federation.until(`${dc} has the entry`, patienceMs, async () => {
        const path = '/v1/config/service-resolver';
        return (await federation.get<readonly unknown[]>(dc, path)).length === 1;
      });
      const shown = fed(dc, 'read', '--kind', 'service-resolver', '--name', 'db');
      expect(JSON.parse(shown.stdout)).toMatchObject({ DefaultSubset: 'v1' });
      expect(fed(dc, 'list', '--kind', 'service-resolver').stdout).toBe('db\n');
    }
    expect(fed('dc1', 'write', '--cas', file)).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('Config entry not updated: service-resolver/db; somebody wrote it'),
    });
    writeFileSync(file, 'kind = "service-resolver"\nnaem = "db"');
    expect(fed('dc1', 'write', file).stderr).toMatch(
      /resolver\.hcl: .*invalid config key "naem"; known there/,
    );
    expect(fed('dc3', 'delete', '--kind', 'service-resolver', '--name', 'db').stdout).toBe(
      'Config entry deleted: service-resolver/db\n',
    );
    for (const dc of datacenters)
      await federation.until(`${dc} has it no more`, patienceMs, async () => {
        const path = '/v1/config/service-resolver';
        return (await federation.get<readonly unknown[]>(dc, path)).length === 0;
      });
  });

  test('a service of the mesh in dc2 is reached from dc1 by its name, through both gateways, TLS end to end', async () => {
    const tls = join(folder, 'tls');
    const read = (name: string): string => readFileSync(join(tls, name), 'utf8');
    const pem = { cert: read('dc2-server-consul-0.pem'), key: read('dc2-server-consul-0-key.pem') };
    const echo = createTlsServer(pem, (socket) => {
      socket.on('error', () => {});
      socket.pipe(socket);
    }).listen(0, '127.0.0.1');
    await once(echo, 'listening');
    await federation.put('dc2', '/v1/agent/service/register', {
      Kind: 'connect-proxy',
      Name: 'mesh-web-sidecar-proxy',
      Address: '127.0.0.1',
      Port: (echo.address() as { port: number }).port,
      Proxy: { DestinationServiceName: 'mesh-web' },
    });
    const { TrustDomain } = await federation.get<{ TrustDomain: string }>('dc1', '/v1/connect/ca/roots');
    const servername = `mesh-web.default.dc2.internal.${TrustDomain}`;
    const ca = read('consul-agent-ca.pem');
    const said = (): Promise<string> =>
      new Promise((resolve) => {
        const { gatewayPort: port } = federation.site('dc1');
        // Services of the mesh are named by URI; that the chain is right is enough here.
        const socket = connectTls({
          host: '127.0.0.1',
          port,
          servername,
          ca,
          checkServerIdentity: () => undefined,
        });
        socket.once('data', (bytes: Buffer) => {
          resolve(bytes.toString());
          socket.destroy();
        });
        socket.on('error', () => {});
        socket.once('close', () => resolve(''));
        socket.write('end to end');
      });
    await federation.until('the service answers', patienceMs, async () => (await said()) === 'end to end');
    await federation.put('dc2', '/v1/agent/service/deregister/mesh-web-sidecar-proxy');
    echo.close();
  });

  test('subsets of a service that is native in the mesh are reached by name, as its resolver in the primary says', async () => {
    const tls = join(folder, 'tls');
    const read = (name: string): string => readFileSync(join(tls, name), 'utf8');
    const pem = { cert: read('dc2-server-consul-0.pem'), key: read('dc2-server-consul-0-key.pem') };
    await using stack = new AsyncDisposableStack();
    for (const version of ['v1', 'v2', 'v2']) {
      const echo = createTlsServer(pem, (socket) => {
        socket.on('error', () => {});
        socket.end(version);
      }).listen(0, '127.0.0.1');
      stack.defer(() => void echo.close());
      await once(echo, 'listening');
      const { port } = echo.address() as { port: number };
      await federation.put('dc2', '/v1/agent/service/register', {
        Name: 'native-web',
        ID: `native-web-${port}`,
        Address: '127.0.0.1',
        Port: port,
        Meta: { version },
        Connect: { Native: true },
      });
      stack.defer(() => federation.put('dc2', `/v1/agent/service/deregister/native-web-${port}`));
    }
    const { TrustDomain } = await federation.get<{ TrustDomain: string }>('dc1', '/v1/connect/ca/roots');
    const answered = (name: string): Promise<string> =>
      new Promise((resolve) => {
        const { gatewayPort: port } = federation.site('dc1');
        const socket = connectTls({
          host: '127.0.0.1',
          port,
          servername: `${name}.default.dc2.internal.${TrustDomain}`,
          ca: read('consul-agent-ca.pem'),
          checkServerIdentity: () => undefined,
        });
        socket.once('data', (bytes: Buffer) => {
          resolve(bytes.toString());
          socket.destroy();
        });
        socket.on('error', () => {});
        socket.once('close', () => resolve(''));
      });
    const leadsTo = (name: string, version: string) => async (): Promise<boolean> => {
      const answers = await Promise.all(Array.from({ length: 6 }, () => answered(name)));
      return answers.every((one) => one === version);
    };
    await federation.until(
      'the service answers',
      patienceMs,
      async () => (await answered('native-web')) !== '',
    );
    expect(await answered('v2.native-web'), 'nobody has spoken of subsets yet').toBe('');
    const resolver = {
      Kind: 'service-resolver',
      Name: 'native-web',
      DefaultSubset: 'v1',
      Subsets: {
        v1: { Filter: 'Service.Meta.version == v1' },
        v2: { Filter: 'Service.Meta.version == v2' },
      },
    };
    await federation.put('dc1', '/v1/config', resolver);
    await federation.until('a subset', patienceMs, leadsTo('v2.native-web', 'v2'));
    await federation.until('the other', patienceMs, leadsTo('v1.native-web', 'v1'));
    await federation.until('the default', patienceMs, leadsTo('native-web', 'v1'));
    await federation.put('dc3', '/v1/config', { ...resolver, DefaultSubset: 'v2' });
    await federation.until('another default', patienceMs, leadsTo('native-web', 'v2'));
  });

  test('an unknown datacenter is refused in the original’s words', async () => {
    const response = await fetch(`${federation.site('dc1').httpUrl}/v1/catalog/nodes?dc=dc9`);
    expect([response.status, await response.text()]).toEqual([500, 'No path to datacenter']);
  });
});

describe('an operator', () => {
  const fed = (datacenter: string, ...words: string[]) =>
    spawnSync(process.execPath, [fedCli, ...words, '--http-addr', federation.site(datacenter).httpUrl], {
      encoding: 'utf8',
    });

  test('sees a line per datacenter, and which directions work', async () => {
    await federation.until('both directions have worked', patienceMs, async () =>
      /dc1 \(primary\) +local +both .*\n(.*\n)*dc3 +local +both /.test(
        fed('dc2', 'info', '--federation').stdout,
      ),
    );
    expect(fed('dc2', 'explain', 'dc3').stdout).toMatch(
      /^dc3: mode local\n(.*\n)* {2}works in both directions/,
    );
  });

  test('reads metrics as Prometheus does', async () => {
    const response = await fetch(`${federation.site('dc2').httpUrl}/v1/agent/metrics?format=prometheus`);
    const text = await response.text();
    expect(text).toMatch(/^# TYPE fed_wanfed_dial counter$/m);
    expect(text).toMatch(/^fed_locator_mode\{datacenter="dc1"\} 3$/m);
    expect(text).toMatch(/^fed_leader_replication_federation_state_fetch_count \d+$/m);
    const series = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    expect(new Set(series.map((line) => line.replace(/ \S+$/, ''))).size).toBe(series.length);
  });

  test('is kept from draining the last gateway of a datacenter', () => {
    const refused = fed('dc3', 'gateway', 'drain', 'mesh-gateway');
    expect(refused.status).toBe(1);
    expect(refused.stderr).toMatch(/the last healthy gateway of dc3: without it dc1, dc2 cannot reach dc3/);
  });

  test(
    'is kept from deleting the record of a datacenter that lives; if forced to, it is written again',
    async () => {
      const refused = fed('dc1', 'federation-state', 'delete', 'dc3');
      expect([refused.status, refused.stderr]).toEqual([
        1,
        expect.stringMatching(/1 server\(s\) of dc3 are alive/),
      ]);
      const before = await updatedAt('dc3');
      expect(fed('dc1', 'federation-state', 'delete', 'dc3', '--force').stdout).toMatch(/dc3 is deleted/);
      await federation.until('it is there again', patienceMs, async () => {
        const now = await updatedAt('dc3');
        return now !== undefined && now !== before;
      });
      await federation.until('all is as before', patienceMs, () => federation.formed());
    },
    2 * patienceMs,
  );

  const updatedAt = async (datacenter: string): Promise<string | undefined> => {
    const response = await fetch(
      `${federation.site('dc1').httpUrl}/v1/internal/federation-state/${datacenter}`,
    );
    if (!response.ok) return undefined;
    return ((await response.json()) as { State: { UpdatedAt: string } }).State.UpdatedAt;
  };
});

describe('a gateway that dies', () => {
  test(
    'its datacenter becomes unreachable with an error that names the hop, and heals when it is back',
    async () => {
      await federation.stop('dc2', 'gateway', 'SIGKILL');
      let told = '';
      await federation.until('dc3 cannot read dc2 and says why', patienceMs, async () => {
        const response = await fetch(`${federation.site('dc3').httpUrl}/v1/catalog/nodes?dc=dc2`);
        told = await response.text();
        return response.status === 500 && told.includes('remote_gateway');
      });
      expect(told).toContain('dc2');
      expect((await nodesOf('dc3', 'dc1')).length).toBe(1);

      federation.startGateway('dc2');
      await federation.until('dc3 reads dc2 again', patienceMs, readable('dc3', 'dc2'));
      await federation.until('dc2 reads dc3 again', patienceMs, readable('dc2', 'dc3'));
      await federation.until('all is as before', patienceMs, () => federation.formed());
    },
    4 * patienceMs,
  );
});

describe('a server that is killed', () => {
  test(
    'it comes back with every acknowledged write, and the federation heals',
    async () => {
      for (let i = 0; i < 20; i++)
        await federation.put('dc2', '/v1/agent/service/register', { Name: `kept-${i}`, Port: 1000 + i });
      await federation.stop('dc2', 'server', 'SIGKILL');
      federation.startServer('dc2');
      await federation.until(
        'dc2 answers',
        patienceMs,
        async () => (await federation.get('dc2', '/v1/status/leader')) !== '',
      );
      const services = Object.keys(
        await federation.get<Record<string, unknown>>('dc2', '/v1/catalog/services'),
      );
      expect(services).toEqual(expect.arrayContaining(Array.from({ length: 20 }, (_, i) => `kept-${i}`)));
      await federation.until('all is as before', patienceMs, () => federation.formed());
      await federation.until('dc3 reads dc2 again', patienceMs, readable('dc3', 'dc2'));
    },
    4 * patienceMs,
  );

  test(
    'the primary too',
    async () => {
      await federation.stop('dc1', 'server', 'SIGKILL');
      expect((await nodesOf('dc2', 'dc3')).length).toBe(1);
      federation.startServer('dc1');
      await federation.until('all is as before', patienceMs, () => federation.formed());
      for (const dc of ['dc2', 'dc3'])
        await federation.until(`${dc} reads dc1`, patienceMs, readable(dc, 'dc1'));
    },
    4 * patienceMs,
  );
});

describe('strangers at the server port', () => {
  const closedAfter = (bytes: Uint8Array): Promise<void> =>
    new Promise((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port: federation.site('dc1').serverPort });
      socket.once('connect', () => socket.write(bytes));
      socket.on('data', () => {});
      socket.once('error', (error: NodeJS.ErrnoException) =>
        error.code === 'ECONNRESET' ? resolve() : reject(error),
      );
      socket.once('close', () => resolve());
    });

  test.for([
    ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['a plain RPC where TLS is demanded', Buffer.from([0x04])],
    ['an unknown type byte', Buffer.from([0x09, 0x00])],
    ['random bytes', Buffer.from('a3b1c4d2e5f60718293a4b5c6d7e8f90', 'hex')],
  ] as const)('%s is turned away, and the server goes on', async ([, bytes]) => {
    await closedAfter(bytes);
    expect((await nodesOf('dc1', 'dc2')).length).toBe(1);
  });
});

test(
  'stopping: SIGTERM ends every program cleanly',
  async () => {
    const programs = federation.programs();
    await federation[Symbol.asyncDispose]();
    for (const program of programs)
      expect(await program.exited, `${program.name}:\n${program.tail()}`).toBe(0);
  },
  patienceMs,
);
