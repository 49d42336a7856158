/**
 * SIGHUP and `fed reload` on a real process: what a changed configuration does to connections from then on, what it says of
 * keys that need a restart, and that a configuration with a mistake in it changes nothing.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Federation, fedCli, temporaryFolder } from '@fed/tooling/federation';
import { freePorts } from '@fed/tooling/ports';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Line } from './wire.ts';

const patienceMs = 60_000;
let folder: string;
let federation: Federation;
let file: string;
let original: Record<string, unknown>;
let tls: string;
let httpsPort: number;

beforeAll(async () => {
  folder = temporaryFolder('fed-reload');
  federation = await Federation.prepare({
    datacenters: ['dc1'],
    folder,
    config: {
      verify_incoming: false,
      acl: { enabled: true, default_policy: 'allow', static_tokens: [token('old')] },
    },
  });
  tls = join(folder, 'tls');
  file = federation.site('dc1').configFile;
  original = JSON.parse(readFileSync(file, 'utf8')) as typeof original;
  [httpsPort] = (await freePorts(1)) as [number];
  original['ports'] = { ...(original['ports'] as object), https: httpsPort };
  write({});
  federation.startServer('dc1');
  await federation.until(
    'the server answers',
    patienceMs,
    async () => (await federation.get('dc1', '/v1/status/leader')) !== '',
  );
}, 2 * patienceMs);

afterEach(async () => {
  write({});
  await hangUp();
});

afterAll(async () => {
  await federation?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const token = (secret: string) => ({ secret_id: secret, rules: { operator: 'write' } });
const write = (over: Record<string, unknown>): void =>
  writeFileSync(file, JSON.stringify({ ...original, ...over }));

interface LogLine {
  readonly room: string;
  readonly level: string;
  readonly msg: string;
  readonly key?: string;
}
const log = (): readonly LogLine[] =>
  readFileSync(federation.site('dc1').server?.logFile as string, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as LogLine);

/** SIGHUP; resolves with what the log says of it. */
async function hangUp(): Promise<readonly LogLine[]> {
  const before = log().length;
  process.kill(federation.site('dc1').server?.pid as number, 'SIGHUP');
  let said: readonly LogLine[] = [];
  const over = ({ msg }: LogLine): boolean => /read again$|^reload refused/.test(msg);
  await federation.until('the reload is told', patienceMs, async () => {
    said = log()
      .slice(before)
      .filter(({ room }) => room === 'config');
    return said.some(over);
  });
  return said;
}

const plain = (): Promise<Line> => Line.plain(federation.site('dc1').serverPort);
/** A yamux ping by type byte 4, answered where plain connections are served. */
const ping = Buffer.from('000200010000000000000007', 'hex');
const pong = Buffer.from('000200020000000000000007', 'hex');

test('verify_incoming: for connections from now on; those that are open go on', async () => {
  await using before = await plain();
  before.say(4, ping);
  expect(await before.heard(12)).toEqual(pong);
  write({ verify_incoming: true });
  const said = await hangUp();
  expect(said).toMatchObject([{ level: 'info', taken: ['verify_incoming'], waiting: [] }]);
  await using after = await plain();
  after.say(4, ping);
  await after.ended;
  before.say(ping);
  expect(await before.heard(24)).toEqual(Buffer.concat([pong, pong]));
});

test('limits.rpc_max_conns_per_client: the third from one address is closed, those before are not', async () => {
  write({ limits: { rpc_max_conns_per_client: 2 } });
  await hangUp();
  await federation.until('nobody else is there', patienceMs, async () => {
    const { Gauges } = await federation.get<{ Gauges: readonly { Name: string; Value: number }[] }>(
      'dc1',
      '/v1/agent/metrics',
    );
    return Gauges.some(({ Name, Value }) => Name === 'fed.door.open' && Value === 0);
  });
  await using one = await plain();
  await using two = await plain();
  await using three = await plain();
  await three.ended;
  expect([one.open, two.open]).toEqual([true, true]);
});

test('limits.rpc_handshake_timeout: silence is ended by the new one', async () => {
  write({ limits: { rpc_handshake_timeout: '200ms' } });
  await hangUp();
  await using silent = await plain();
  await silent.ended; // else by the test's own time
});

test('verify_incoming: HTTPS asks for a certificate from now on; who is there already goes on', async () => {
  const ca = readFileSync(join(tls, 'consul-agent-ca.pem'), 'utf8');
  const request = Buffer.from('GET /v1/status/leader HTTP/1.1\r\nHost: a\r\n\r\n');
  await using before = await Line.tls(httpsPort, { ca });
  before.say(request);
  await before.heard(20);
  write({ verify_incoming: true });
  await hangUp();
  await using after = await Line.tls(httpsPort, { ca });
  expect(await after.ended).toBe('ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED');
  const heard = (await before.heard(20)).length;
  before.say(request);
  await before.heard(heard + 20);
});

test('log_level: a level that leaves out what a reload has to say', async () => {
  const told = (): number => log().filter(({ msg }) => msg.endsWith('read again')).length;
  const before = told();
  write({ log_level: 'warn' });
  await federation.put('dc1', '/v1/agent/reload');
  expect(told()).toBe(before);
});

test('acl.static_tokens: one that is gone is unknown, a new one is known', async () => {
  const asked = async (secret: string): Promise<number> =>
    (await fetch(`${federation.site('dc1').httpUrl}/v1/operator/keyring?token=${secret}`)).status;
  expect([await asked('old'), await asked('new')]).toEqual([200, 403]);
  write({ acl: { ...(original['acl'] as object), static_tokens: [token('new')] } });
  await hangUp();
  expect([await asked('old'), await asked('new')]).toEqual([403, 200]);
});

test('a certificate of another authority: shown to whoever comes from now on', async () => {
  const other = join(folder, 'other');
  execFileSync('mkdir', ['-p', other]);
  for (const args of [
    ['ca', 'create'],
    ['cert', 'create', '--server', '--dc', 'dc1', '--node', 'n1'],
  ])
    execFileSync(process.execPath, [fedCli, 'tls', ...args], { cwd: other });
  write({
    ca_file: join(other, 'consul-agent-ca.pem'),
    cert_file: join(other, 'dc1-server-consul-0.pem'),
    key_file: join(other, 'dc1-server-consul-0-key.pem'),
  });
  await hangUp();
  const ca = readFileSync(join(other, 'consul-agent-ca.pem'), 'utf8');
  const cert = readFileSync(join(other, 'dc1-server-consul-0.pem'), 'utf8');
  const key = readFileSync(join(other, 'dc1-server-consul-0-key.pem'), 'utf8');
  await using line = await Line.tls(federation.site('dc1').serverPort, {
    ca,
    cert,
    key,
    servername: 'server.dc1.consul',
    ALPNProtocols: ['consul/rpc-multi'],
  });
  expect(line.socket.authorized).toBe(true);
});

test('a key that needs a restart is named and keeps its value; the others are taken over', async () => {
  write({ node_meta: { rack: '7' }, limits: { rpc_max_conns_per_client: 50 } });
  const said = await hangUp();
  expect(said).toMatchObject([
    { level: 'warn', key: 'node_meta', msg: expect.stringMatching(/^node_meta: .*restart this server/) },
    { level: 'info', taken: ['limits.rpc_max_conns_per_client'], waiting: ['node_meta'] },
  ]);
  const self = await federation.get<{ readonly Meta: Record<string, string> }>('dc1', '/v1/agent/self');
  expect(self.Meta).toEqual({});
});

test.each([
  ['a key nobody knows', { limits: { rpc_max_conns: 3 } }, "invalid config key 'limits.rpc_max_conns'"],
  [
    'a value of the wrong kind',
    { limits: { rpc_handshake_timeout: 'soon' } },
    'limits.rpc_handshake_timeout',
  ],
  ['a rule that is broken', { node_name: 'a.b' }, "node_name 'a.b'"],
  ['a certificate that is not there', { cert_file: '/nowhere.pem' }, '/nowhere.pem'],
])('refused as a whole: %s', async (_what, mistake, words) => {
  write({ verify_incoming: true, ...mistake });
  const [line, ...others] = await hangUp();
  expect(line).toMatchObject({ level: 'error', msg: expect.stringContaining(words) });
  expect(others).toEqual([]);
  await using still = await plain();
  still.say(4, ping);
  expect(await still.heard(12)).toEqual(pong);
  const answer = await fetch(`${federation.site('dc1').httpUrl}/v1/agent/reload`, { method: 'PUT' });
  expect([answer.status, await answer.text()]).toEqual([500, expect.stringContaining(words)]);
});

test('fed reload: says what changed, what needs a restart, and what is wrong', () => {
  const reload = () => {
    const args = ['reload', '--http-addr', federation.site('dc1').httpUrl];
    const { status, stdout, stderr } = spawnSync(process.execPath, [fedCli, ...args], { encoding: 'utf8' });
    return { status, stdout, stderr };
  };
  write({ verify_server_datacenter: false, data_dir: tls });
  expect(reload()).toEqual({
    status: 0,
    stdout: 'Configuration reload triggered\nchanged: verify_server_datacenter\nneeds a restart: data_dir\n',
    stderr: '',
  });
  write({ log_level: 'loud' });
  const refused = reload();
  expect(refused.status).toBe(1);
  expect(refused.stderr).toMatch(/'log_level'/);
});
