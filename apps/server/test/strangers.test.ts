/**
 * Strangers whose certificates are wrong, or their manners, on real processes: one from an address of his own is turned away
 * before TLS, one who comes through a gateway is not, because everybody else comes from that address, too.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { connect as connectPlain } from 'node:net';
import { join } from 'node:path';
import { type ConnectionOptions, connect } from 'node:tls';
import { createCa, createCertificate } from '@fed/pki';
import { Federation, temporaryFolder } from '@fed/tooling/federation';
import { afterAll, beforeAll, expect, test } from 'vitest';

const patienceMs = 60_000;
const times = 30;
let folder: string;
let federation: Federation;
let wrong: ConnectionOptions;
let right: ConnectionOptions;

beforeAll(async () => {
  folder = temporaryFolder('fed-strangers');
  federation = await Federation.prepare({ datacenters: ['dc1', 'dc2'], folder });
  federation.startAll();
  await federation.up(patienceMs);
  await federation.until('the federation has formed', patienceMs, () => federation.formed());
  const tls = (name: string): string => readFileSync(join(folder, 'tls', name), 'utf8');
  const maker = { randomBytes, now: () => Date.now() };
  const stranger = await createCertificate(
    { kind: 'server', datacenter: 'dc1', node: 'n1' },
    await createCa({}, maker),
    maker,
  );
  const ca = tls('consul-agent-ca.pem');
  wrong = { ca, cert: stranger.certificate, key: stranger.key };
  right = { ca, cert: tls('dc1-server-consul-0.pem'), key: tls('dc1-server-consul-0-key.pem') };
}, 2 * patienceMs);

afterAll(async () => {
  await federation?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** Comes, and is gone: with the protocol that was agreed on, or without having been let in. Who has something to say waits for the end. */
async function come(
  port: number,
  who: ConnectionOptions,
  localAddress: string,
  said?: { readonly protocol: string; readonly bytes: Uint8Array },
): Promise<string | undefined> {
  const socket = connect({
    socket: connectPlain({ host: '127.0.0.1', port, localAddress }),
    servername: 'n1.server.dc1.consul',
    ALPNProtocols: [said?.protocol ?? 'consul/rpc-single'],
    checkServerIdentity: () => undefined,
    ...who,
  });
  let agreed: string | undefined;
  socket.on('error', () => {});
  socket.on('secureConnect', () => {
    agreed = socket.alpnProtocol || undefined;
    if (said !== undefined) socket.write(said.bytes);
    else if (who === right) socket.destroy();
  });
  socket.on('end', () => socket.destroy());
  socket.resume();
  await new Promise((resolve) => socket.once('close', resolve));
  return agreed;
}

async function refused(code: string): Promise<number> {
  return await counted('fed.door.refused', code);
}

async function counted(name: string, code: string): Promise<number> {
  interface Metrics {
    readonly Counters: readonly {
      readonly Name: string;
      readonly Labels: { readonly code?: string };
      readonly Sum: number;
    }[];
  }
  const { Counters } = await federation.get<Metrics>('dc1', '/v1/agent/metrics');
  return Counters.find(({ Name, Labels }) => Name === name && Labels.code === code)?.Sum ?? 0;
}

const logLines = (code: string): number =>
  readFileSync(federation.site('dc1').server?.logFile as string, 'utf8')
    .split('\n')
    .filter((line) => line.includes(`"code":"${code}"`)).length;

test('through a gateway: nobody is turned away, and the other datacenter reads on', async () => {
  const { gatewayPort } = federation.site('dc1');
  for (let n = 0; n < times; n++) await come(gatewayPort, wrong, '127.0.0.1');
  expect([await refused('certificate_untrusted'), await refused('too_many_failures')]).toEqual([times, 0]);
  expect(await come(gatewayPort, right, '127.0.0.1')).toBe('consul/rpc-single');
  expect(await federation.get<readonly unknown[]>('dc2', '/v1/catalog/nodes?dc=dc1')).toHaveLength(1);
});

// Other systems have one address of loopback only.
test.runIf(process.platform === 'linux')(
  'from an address of its own: turned away before TLS, told once; its neighbour is served',
  async () => {
    const { serverPort } = federation.site('dc1');
    const before = await refused('certificate_untrusted');
    for (let n = 0; n < times; n++) await come(serverPort, wrong, '127.0.0.9');
    const tried = (await refused('certificate_untrusted')) - before;
    const away = await refused('too_many_failures');
    expect(tried + away).toBe(times);
    expect(tried).toBeGreaterThanOrEqual(10); // and one more each second that this took
    expect(away).toBeGreaterThan(0);
    expect(logLines('too_many_failures')).toBe(1);
    expect(await come(serverPort, right, '127.0.0.10')).toBe('consul/rpc-single');
  },
);

test.runIf(process.platform === 'linux')(
  'so is one with a good certificate who breaks the rules of yamux',
  async () => {
    const { serverPort } = federation.site('dc1');
    const ended = (): Promise<number> => counted('fed.rpc.server.ended', 'peer_protocol');
    const [before, awayBefore] = [await ended(), await refused('too_many_failures')];
    const said = { protocol: 'consul/rpc-multi', bytes: Buffer.alloc(12, 9) };
    for (let n = 0; n < times; n++) await come(serverPort, right, '127.0.0.11', said);
    const tried = (await ended()) - before;
    const away = (await refused('too_many_failures')) - awayBefore;
    expect(tried + away).toBe(times);
    expect(tried).toBeGreaterThanOrEqual(10);
    expect(away).toBeGreaterThan(0);
    expect(await come(serverPort, right, '127.0.0.10')).toBe('consul/rpc-single');
  },
);
