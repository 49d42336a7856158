/** Gateways of this datacenter over both xDS ports: certificates, tokens, and what people are told of them. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { TlsIdentity, type TlsMaterial } from '@fed/alpn-mux';
import { createMemoryFs, embeddedLog, type Fsm, newRegisterRequest, openFsm } from '@fed/fsm';
import { createCa, createCertificate } from '@fed/pki';
import { openXdsClient, openXdsServer, type RelayConfig, type XdsClientOptions } from '@fed/xds';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Access } from './acl/access.ts';
import { readRules } from './acl/rules.ts';
import { clientsTable, dumpTable } from './commands/xds-commands.ts';
import { type GatewayPlane, openGatewayPlane } from './gateway-plane.ts';
import { createApi, listen } from './http/server.ts';
import { xdsRoutes } from './http/xds.ts';
import { systemWorld } from './world.ts';

const { clock } = systemWorld();
const host = '127.0.0.1';
let stack: AsyncDisposableStack;
let fsm: Fsm;
beforeEach(async () => {
  stack = new AsyncDisposableStack();
  const engine = embeddedLog({ dir: '/data', fs: createMemoryFs() });
  fsm = stack.use(await openFsm({ engine, clock, rng: { below: () => 0 } }));
  const Meta = { 'consul-wan-federation': '1' };
  const Service = {
    ID: 'gw',
    Service: 'mesh-gateway',
    Kind: 'mesh-gateway',
    Address: host,
    Port: 8443,
    Meta,
  };
  await fsm.apply({ type: 'register', request: newRegisterRequest({ Node: 'n1', Address: host, Service }) });
  const consul = { ID: 'consul', Service: 'consul', Port: 8300 };
  await fsm.apply({
    type: 'register',
    request: newRegisterRequest({ Node: 'n1', Address: host, Service: consul }),
  });
});
afterEach(async () => await stack.disposeAsync());

/** A server's certificate by a new authority. */
async function material(): Promise<TlsMaterial> {
  const maker = { randomBytes, now: Date.now };
  const ca = await createCa({}, maker);
  const own = await createCertificate({ kind: 'server', datacenter: 'dc1', node: 'n1' }, ca, maker);
  return { ca: [ca.certificate], cert: own.certificate, key: own.key };
}

const rules = (policy: 'read' | 'write') => readRules({ service: { 'mesh-gateway': { policy } } });
const withTokens = new Access({
  enabled: true,
  defaultPolicy: 'deny',
  defaultSecret: undefined,
  tokens: [
    { secret: 'may', accessor: 'a', rules: rules('write') },
    { secret: 'may-not', accessor: 'b', rules: rules('read') },
  ],
});
const withoutTokens = new Access({
  enabled: false,
  defaultPolicy: 'allow',
  defaultSecret: undefined,
  tokens: [],
});

async function open(o: {
  readonly tls: TlsIdentity;
  readonly access?: Access;
  readonly grpc?: number;
  readonly grpcTls?: number;
  readonly verifyIncoming?: boolean;
}): Promise<GatewayPlane> {
  const { tls, access = withoutTokens, grpc = 0, grpcTls = 0, verifyIncoming = false } = o;
  const plane = await openGatewayPlane({
    config: {
      datacenter: 'dc1',
      domain: 'consul',
      nodeName: 'n1',
      grpc: { host, port: grpc },
      grpcTls: { host, port: grpcTls, verifyIncoming },
    },
    fsm,
    access,
    tls,
    clock,
    open: openXdsServer,
    log: () => {},
  });
  return stack.use(plane);
}

/** The first configuration, or why there is none. */
function gateway(port: number, o: Partial<XdsClientOptions> = {}): Promise<RelayConfig | string> {
  return new Promise((resolve) => {
    const client = openXdsClient({
      target: `${host}:${port}`,
      nodeId: 'gw',
      cluster: 'mesh-gateway',
      onConfig: (config) => void resolve(config),
      log: ({ code, text }) => {
        if (code === 'stream_lost') resolve(text);
      },
      ...o,
    });
    stack.use(client);
  });
}

const configured = { listeners: [{ bind: { host, port: 8443 } }] };

test('in plain text and over TLS, by any authority but the servers’ own refused', async () => {
  const first = await material();
  const { ports } = await open({ tls: new TlsIdentity(first) });
  expect(await gateway(ports.plain)).toMatchObject(configured);
  const credentials = { ca: first.ca[0] as string, serverName: 'server.dc1.consul' };
  expect(await gateway(ports.tls, { credentials })).toMatchObject(configured);
  expect(await gateway(ports.tls, { credentials: { ca: (await material()).ca[0] as string } })).toMatch(
    /certificate/,
  );
});

test('a new certificate of the server is the one gateways see from then on', async () => {
  const [before, after] = [await material(), await material()];
  const tls = new TlsIdentity(before);
  const { ports } = await open({ tls, grpc: -1 });
  expect(ports.plain).toBe(-1);
  tls.replace(after);
  const credentials = { ca: after.ca[0] as string, serverName: 'server.dc1.consul' };
  expect(await gateway(ports.tls, { credentials })).toMatchObject(configured);
});

test('tokens: who may write the gateway’s service is told; the others hear why not', async () => {
  const { ports } = await open({ tls: new TlsIdentity(await material()), access: withTokens, grpcTls: -1 });
  expect(ports.tls).toBe(-1);
  expect(await gateway(ports.plain, { token: 'may' })).toMatchObject(configured);
  expect(await gateway(ports.plain, { token: 'nobody-knows-me' })).toMatch(
    /unauthenticated: the token is not known/,
  );
  expect(await gateway(ports.plain, { token: 'may-not' })).toMatch(
    /permission_denied: the token may not write service mesh-gateway/,
  );
  expect(await gateway(ports.plain)).toMatch(/permission_denied/);
});

test('no port, no gateways; a port that is taken is the operator’s, by its key', async () => {
  const tls = new TlsIdentity(await material());
  const nowhere = await open({ tls, grpc: -1, grpcTls: -1 });
  expect([nowhere.ports, nowhere.clients(), nowhere.holdings()]).toEqual([{ plain: -1, tls: -1 }, [], []]);
  const server = createServer().listen(0, host);
  await once(server, 'listening');
  stack.defer(() => void server.close());
  const { port } = server.address() as { port: number };
  await expect(open({ tls, grpc: port })).rejects.toMatchObject({
    problems: [expect.stringMatching(`^ports.grpc: ${host}:${port} is in use`)],
  });
  await expect(open({ tls, grpcTls: port })).rejects.toMatchObject({
    problems: [expect.stringMatching(`^ports.grpc_tls: ${host}:${port} is in use`)],
  });
});

test('people see each gateway, what it has, and what it refused', async () => {
  const plane = await open({ tls: new TlsIdentity(await material()) });
  const refusal = { resource: `default:${host}:8443`, field: 'address', reason: 'EADDRINUSE' };
  void gateway(plane.ports.plain, { onConfig: () => [refusal] });
  const api = createApi({ routes: xdsRoutes({ nodeName: 'n1', gateways: plane, now: () => clock.now() }) });
  const http = stack.use(await listen({ bind: { host, port: 0 }, serve: api }));
  const get = async (path: string): Promise<unknown> =>
    (await fetch(`http://${host}:${http.address.port}/v1/agent/xds/${path}`)).json();
  await new Promise<void>((resolve) => {
    const look = async (): Promise<void> => {
      const [one] = (await get('clients')) as readonly { readonly lastError?: string }[];
      if (one?.lastError !== undefined) resolve();
      else setImmediate(() => void look());
    };
    void look();
  });
  const clients = (await get('clients')) as Parameters<typeof clientsTable>[0];
  expect(clients).toMatchObject([
    {
      nodeId: 'gw',
      userAgent: 'fed-mesh-gateway',
      registered: true,
      types: { Cluster: { held: 2, subscribed: 'all', nacks: 0 }, Listener: { held: 0, nacks: 1 } },
      lastError: `Listener refused: default:${host}:8443: address: EADDRINUSE`,
    },
  ]);
  expect(clientsTable(clients)).toMatch(/^gw +fed-mesh-gateway +.* settled +Listener refused/m);

  const dump = (await get('dump?gateway=gw')) as Parameters<typeof dumpTable>[0];
  const rows = dumpTable(dump)
    .split('\n')
    .map((line) => line.split(/ {2,}/).slice(0, 4).join(' '));
  expect(rows.sort()).toEqual([
    'Gateway Type Name State',
    'gw Cluster n1.server.dc1.consul held',
    'gw Cluster server.dc1.consul held',
    'gw ClusterLoadAssignment n1.server.dc1.consul held',
    'gw ClusterLoadAssignment server.dc1.consul held',
    `gw Listener default:${host}:8443 refused`,
  ]);
  expect(dump).toMatchObject([
    { resources: { Cluster: [{ resource: { name: 'n1.server.dc1.consul', type: 'EDS' } }, {}] } },
  ]);
  expect((await fetch(`http://${host}:${http.address.port}/v1/agent/xds/dump?gateway=x`)).status).toBe(404);
});
