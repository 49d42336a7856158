/**
 * A second server of a datacenter that has a log of its own, on real processes: it has no place there, and everybody who
 * could mend it is told why.
 */
import { execFile } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Federation, fedCli, temporaryFolder } from '@fed/tooling/federation';
import { afterAll, beforeAll, expect, test } from 'vitest';

const patienceMs = 60_000;
const why =
  /is a second server of dc1, and this one keeps the log for itself: several servers need one etcd cluster/;

let folder: string;
let federation: Federation;

/** Runs `fed`; what it printed, and its exit code. */
async function fed(...args: string[]): Promise<{ readonly code: number; readonly text: string }> {
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [fedCli, ...args], {
      cwd: join(folder, 'tls'),
    });
    return { code: 0, text: stdout + stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, text: stdout + stderr };
  }
}

/** Lines of a server's log that say why a second server is refused. */
const complaints = (site: string): readonly string[] =>
  readFileSync(join(folder, site, 'server.log'), 'utf8')
    .split('\n')
    .filter((line) => line.includes('"room":"lan"') && line.includes('"level":"error"') && why.test(line));

beforeAll(async () => {
  folder = temporaryFolder('fed-second');
  federation = await Federation.prepare({ datacenters: ['dc1', 'dc2'], folder });
  // What was prepared for dc2 becomes a second server of dc1.
  const first = JSON.parse(readFileSync(federation.site('dc1').configFile, 'utf8'));
  const { configFile } = federation.site('dc2');
  const { primary_gateways: _, ...second } = JSON.parse(readFileSync(configFile, 'utf8'));
  await fed('tls', 'cert', 'create', '--server', '--dc', 'dc1', '--node', 'n2');
  const made = {
    ...second,
    datacenter: 'dc1',
    cert_file: join(folder, 'tls', 'dc1-server-consul-1.pem'),
    key_file: join(folder, 'tls', 'dc1-server-consul-1-key.pem'),
    retry_join: [`127.0.0.1:${first.ports.serf_lan}`],
    retry_interval: '1s',
  };
  writeFileSync(configFile, JSON.stringify(made));
  federation.startServer('dc1');
  federation.startServer('dc2');
  for (const site of ['dc1', 'dc2'])
    await federation.until(`${site} leads itself`, patienceMs, async () =>
      /:/.test(await federation.get<string>(site, '/v1/status/leader')),
    );
}, 2 * patienceMs);

afterAll(async () => {
  await federation?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

test('a configuration that means several servers without a log they share is refused, with what to do', async () => {
  const { configFile } = federation.site('dc1');
  const file = join(folder, 'three.json');
  writeFileSync(
    file,
    JSON.stringify({ ...JSON.parse(readFileSync(configFile, 'utf8')), bootstrap_expect: 3 }),
  );
  const { code, text } = await fed('validate', file);
  expect([code, text]).toEqual([1, expect.stringMatching(/bootstrap_expect is 3, but the embedded engine/)]);
});

test('a wrong engine section ends the server with a sentence that names the key', async () => {
  const { configFile } = federation.site('dc1');
  const file = join(folder, 'etcd.json');
  const engine = { type: 'etcd', endpoints: ['http://127.0.0.1:1'], prefix: 'no-slash' };
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(configFile, 'utf8')), engine }));
  const { code, text } = await fed('server', '--config', file);
  expect([code, text]).toEqual([1, expect.stringMatching(/engine\.prefix 'no-slash' must end in '\/'/)]);
});

test('a second server with a log of its own is refused by both, and each says so once', async () => {
  await federation.until('the second server says why', patienceMs, async () => complaints('dc2').length > 0);
  const { ports } = JSON.parse(readFileSync(federation.site('dc1').configFile, 'utf8'));
  for (let i = 0; i < 3; i++) {
    const { code, text } = await fed(
      'join',
      '--http-addr',
      federation.site('dc2').httpUrl,
      `127.0.0.1:${ports.serf_lan}`,
    );
    expect([code, text]).toEqual([1, expect.stringMatching(why)]);
  }
  expect(complaints('dc2')).toHaveLength(1);
  expect(complaints('dc1').length).toBeLessThan(2);
  for (const site of ['dc1', 'dc2']) {
    expect(await federation.get<unknown[]>(site, '/v1/agent/members')).toHaveLength(1);
    expect(await federation.get<unknown[]>(site, '/v1/catalog/service/consul')).toHaveLength(1);
  }
});
