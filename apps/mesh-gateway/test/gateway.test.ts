/** The whole program against a real ADS server and an HTTP agent: from the first registration to the end of the drain. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type Socket } from 'node:net';
import { json } from 'node:stream/consumers';
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { freePorts } from '@fed/tooling/ports';
import { type GatewayRegistration, type GatewayWorld, openXdsServer } from '@fed/xds';
import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import { parseCommandLine } from '../src/command-line.ts';
import { readConfig } from '../src/config.ts';
import { main } from '../src/main.ts';
import type { RegistrationBody } from '../src/registration.ts';
import { systemWorld } from '../src/world.ts';

const stack = { current: new AsyncDisposableStack() };
afterEach(async () => {
  await stack.current.disposeAsync();
  stack.current = new AsyncDisposableStack();
});
const pem = (name: string): string =>
  readFileSync(new URL(`./fixtures/${name}.pem`, import.meta.url), 'utf8');

/** A state somebody waits for: resolves once `is` holds, looked at on every change. */
class Watched<T> {
  readonly #looks = new Set<() => void>();
  value: T;
  constructor(value: T) {
    this.value = value;
  }
  set(value: T): void {
    this.value = value;
    for (const look of this.#looks) look();
  }
  async until(is: (value: T) => boolean): Promise<T> {
    if (!is(this.value)) {
      await new Promise<void>((resolve) => {
        const look = (): void => {
          if (!is(this.value)) return;
          this.#looks.delete(look);
          resolve();
        };
        this.#looks.add(look);
      });
    }
    return this.value;
  }
}

type Services = Watched<ReadonlyMap<string, RegistrationBody>>;

/** Agent, ADS server and one server n1 of dc1 behind TLS. Two of one datacenter have one catalog. */
async function datacenter(services: Services = new Watched(new Map()), node = 'n1') {
  const forgotten: unknown[] = [];
  const echo = createTlsServer({ cert: pem('n1-dc1'), key: pem('n1-dc1-key') }, (tls) => {
    tls.on('error', () => {});
    tls.pipe(tls);
  });
  const open = new Set<Socket>();
  echo.on('connection', (s) => open.add(s));
  echo.listen(0, '127.0.0.1');
  await once(echo, 'listening');
  stack.current.defer(() => {
    echo.close();
    for (const s of open) s.destroy();
  });
  const { port } = echo.address() as { port: number };
  const worldOf = (body: RegistrationBody): GatewayWorld => ({
    datacenter: 'dc1',
    domain: 'consul',
    gateway: {
      ID: body.ID,
      Service: body.Name,
      Address: body.Address ?? '',
      Port: body.Port,
      Meta: body.Meta ?? {},
      TaggedAddresses: body.TaggedAddresses,
      Proxy: { Config: body.Proxy?.Config ?? {} },
    } as unknown as GatewayRegistration,
    servers: [{ node: 'n1', host: '127.0.0.1', port }],
    federationStates: [],
  });
  const xds = await openXdsServer({
    bind: { host: '127.0.0.1', port: 0 },
    coalesceMs: 0,
    watchGateway: (node, onWorld) => {
      let watching = true;
      const tell = async (): Promise<void> => {
        const map = await services.until((all) => all.has(node.id));
        if (watching) onWorld(worldOf(map.get(node.id) as RegistrationBody));
      };
      void tell();
      return {
        [Symbol.dispose]: () => {
          watching = false;
        },
      };
    },
  });
  stack.current.use(xds);
  const http = createHttpServer(async (q, r) => {
    const path = (q.url ?? '').split('?')[0] ?? '';
    const id = path.split('/').at(-1) ?? '';
    if (path === '/v1/agent/self') {
      r.end(JSON.stringify({ Config: { NodeName: node }, xDS: { Port: xds.address.port } }));
    } else if (path === '/v1/catalog/deregister') {
      forgotten.push(await json(q));
      r.end('true');
    } else if (path === '/v1/agent/service/register') {
      const body = (await json(q)) as RegistrationBody;
      services.set(new Map(services.value).set(body.ID, body));
      r.end();
    } else if (path.startsWith('/v1/agent/service/deregister/')) {
      services.set(new Map([...services.value].filter(([key]) => key !== id)));
      r.end();
    } else {
      const body = services.value.get(id);
      r.statusCode = body === undefined ? 404 : 200;
      r.end(JSON.stringify(body ?? {}));
    }
  }).listen(0, '127.0.0.1');
  await once(http, 'listening');
  stack.current.defer(() => {
    http.closeAllConnections();
    http.close();
  });
  return {
    services,
    forgotten,
    clients: () => xds.clients(),
    httpAddr: `127.0.0.1:${(http.address() as { port: number }).port}`,
    /** Gone like a server that was killed. */
    die: async () => {
      http.closeAllConnections();
      http.close();
      await xds[Symbol.asyncDispose]();
    },
  };
}

function start(flags: string, log = pino({ level: 'silent' })) {
  const printed = new Watched<string[]>([]);
  const stop = new AbortController();
  const world = { ...systemWorld(), print: (line: string) => printed.set([...printed.value, line]) };
  const config = readConfig(parseCommandLine(flags.split(' '), { exitOverride: true }), {});
  const running = main(config, world, log, stop.signal);
  stack.current.defer(async () => {
    stop.abort();
    await running.catch(() => {});
  });
  return {
    running,
    stop,
    announcement: async () => {
      const [line = ''] = await Promise.race([
        printed.until((lines) => lines.length > 0),
        running.then(() => []),
      ]);
      return line;
    },
  };
}
function through(port: number): TLSSocket {
  const tls = connectTls({ host: '127.0.0.1', port, servername: 'n1.server.dc1.consul', ca: pem('ca') });
  stack.current.defer(() => void tls.destroy());
  tls.on('error', () => {});
  return tls;
}

test.each(['', ' -concurrency 2'])(
  'a gateway%s: registered with a real port, configured over xDS, relaying, visible, drained, deregistered',
  async (flags) => {
    const { services, httpAddr } = await datacenter();
    const gateway = start(
      `-expose-servers -http-addr ${httpAddr} -address 127.0.0.1:0 -admin-bind 127.0.0.1:0 -deregister-on-exit${flags}`,
    );
    const line = await gateway.announcement();
    const [, port, admin] =
      /^mesh gateway mesh-gateway listening on 127\.0\.0\.1:(\d+), admin on (http:\/\/127\.0\.0\.1:\d+)$/.exec(
        line,
      ) ?? [];
    expect(services.value.get('mesh-gateway')).toMatchObject({
      Port: Number(port),
      Meta: { 'consul-wan-federation': '1' },
      Check: { TCP: `127.0.0.1:${port}` },
    });
    const tls = through(Number(port));
    tls.write('end to end');
    expect(String((await once(tls, 'data'))[0])).toBe('end to end');

    const get = async (path: string): Promise<string> => (await fetch(`${admin}${path}`)).text();
    expect(await get('/ready')).toBe('LIVE\n');
    expect(JSON.parse(await get('/connections'))).toMatchObject([
      { state: 'open', sni: 'n1.server.dc1.consul', cluster: 'n1.server.dc1.consul' },
    ]);
    const metrics = await get('/metrics');
    expect(metrics).toContain('\nenvoy_control_plane_connected_state 1\n');
    expect(metrics).toContain(
      'envoy_cluster_upstream_cx_active{envoy_cluster_name="n1.server.dc1.consul"} 1',
    );

    gateway.stop.abort();
    await services.until((all) => all.size === 0);
    tls.write('still');
    expect(String((await once(tls, 'data'))[0])).toBe('still');
    tls.end();
    await gateway.running;
  },
);

test('a gateway: somebody else registered it; one that cannot begin says why and leaves nothing open', async () => {
  const { services, httpAddr } = await datacenter();
  const blocker = createServer().listen(0, '127.0.0.1');
  await once(blocker, 'listening');
  stack.current.defer(() => void blocker.close());
  const taken = (blocker.address() as { port: number }).port;
  const failing = start(`--http-addr ${httpAddr} --address 127.0.0.1:0 --admin-bind 127.0.0.1:${taken}`);
  await expect(failing.running).rejects.toMatchObject({ code: 'bind_failed' });
  await expect(start('--address 192.0.2.1:0').running).rejects.toMatchObject({
    code: 'address_not_bindable',
    flag: 'address',
  });

  const [port] = (await freePorts(1)) as [number];
  const gateway = start(`--no-register --proxy-id edge --http-addr ${httpAddr} --admin-bind 127.0.0.1:0`);
  services.set(new Map([['edge', registration('edge', port)]]));
  expect(await gateway.announcement()).toContain(`mesh gateway edge listening on 127.0.0.1:${port},`);
  const tls = through(port);
  tls.write('x');
  expect(String((await once(tls, 'data'))[0])).toBe('x');
  gateway.stop.abort();
  tls.end();
  await gateway.running;
  expect(services.value.has('edge')).toBe(true);
});

/** What a gateway says, line by line. */
function journal() {
  const lines = new Watched<readonly { readonly msg: string }[]>([]);
  const write = (line: string): void => lines.set([...lines.value, JSON.parse(line) as { msg: string }]);
  const says = (words: RegExp) => lines.until((all) => all.some(({ msg }) => words.test(msg)));
  return { says, log: pino({ level: 'info' }, { write }) };
}

test.each([
  ['registered by itself', ''],
  ['registered by somebody else', ' --no-register'],
])(
  'a gateway %s, whose server dies, goes on with the next one; who talks through it notices nothing',
  async (_who, flag) => {
    const first = await datacenter();
    const second = await datacenter(first.services, 'n2');
    const { says, log } = journal();
    const [port] = (await freePorts(1)) as [number];
    if (flag !== '') first.services.set(new Map([['mesh-gateway', registration('mesh-gateway', port)]]));
    const gateway = start(
      `--http-addr ${first.httpAddr},${second.httpAddr}${flag || ` --expose-servers --address 127.0.0.1:${port}`} --admin-bind 127.0.0.1:0`,
      log,
    );
    await gateway.announcement();
    const tls = through(port);
    tls.write('before');
    expect(String((await once(tls, 'data'))[0])).toBe('before');
    expect(first.clients()).toHaveLength(1);

    await first.die();
    await says(/configuration comes from here now/);
    if (flag === '') {
      await says(/registered at the next one/);
      await expect.poll(() => second.forgotten).toEqual([{ Node: 'n1', ServiceID: 'mesh-gateway' }]);
    }
    await expect.poll(() => second.clients().map(({ registered }) => registered)).toEqual([true]);
    tls.write('after');
    expect(String((await once(tls, 'data'))[0])).toBe('after');
    const later = through(port);
    later.write('new');
    expect(String((await once(later, 'data'))[0])).toBe('new');
    gateway.stop.abort();
    tls.end();
    later.end();
    await gateway.running;
  },
);

test('two gateways under one id: each says so, names the other’s address and the way out', async () => {
  const { services, httpAddr } = await datacenter();
  const both = [journal(), journal()] as const;
  const [mine, other] = both;
  const flags = `--http-addr ${httpAddr} --address 127.0.0.1:0 --admin-bind 127.0.0.1:0`;
  const old = start(flags, mine.log);
  await old.announcement();
  const before = services.value.get('mesh-gateway')?.Port;
  start(flags, other.log);
  const told = await other.says(/has this instance at another address.*--proxy-id/);
  expect(told.at(-1)).toBeDefined();
  await services.until((all) => all.get('mesh-gateway')?.Port !== before);
  const after = services.value.get('mesh-gateway')?.Port;
  await mine.says(
    new RegExp(`another gateway, at 127\\.0\\.0\\.1:${after}, has registered under our id.*--proxy-id`),
  );
}, 20_000);

function registration(ID: string, Port: number): RegistrationBody {
  return {
    Kind: 'mesh-gateway',
    ID,
    Name: ID,
    Address: '127.0.0.1',
    Port,
    TaggedAddresses: {},
    Meta: { 'consul-wan-federation': '1' },
    Check: { Name: '', TCP: '', Interval: '', DeregisterCriticalServiceAfter: '' },
  };
}
