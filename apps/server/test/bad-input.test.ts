/**
 * What an operator may get wrong and nobody can see before it runs, on real processes: it is told once, in words that name the
 * remedy, and stands in the status until it is mended. (What can be seen before is refused at the start: config.test.ts.)
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Federation, fedCli, temporaryFolder } from '@fed/tooling/federation';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { FederationView } from '../src/status/federation-view.ts';

const patienceMs = 90_000;
let folder: string;
let federation: Federation;

/** dc1 and dc2 are right; dc3 to dc5 are what this is about. */
beforeAll(async () => {
  folder = temporaryFolder('fed-bad-input');
  federation = await Federation.prepare({ datacenters: ['dc1', 'dc2', 'dc3', 'dc4', 'dc5'], folder });
  const httpOfPrimary = federation.site('dc1').httpUrl.replace('http://', '');
  change('dc3', { primary_gateways: [httpOfPrimary, `file:${join(folder, 'no-such-file')}`] });
  change('dc4', {
    primary_datacenter: 'dc2',
    primary_gateways: [`127.0.0.1:${federation.site('dc2').gatewayPort}`],
  });
  const tls = join(folder, 'tls');
  const certificate = ['tls', 'cert', 'create', '--server', '--dc', 'dc2', '--node', 'n5'];
  execFileSync(process.execPath, [fedCli, ...certificate], { cwd: tls });
  change('dc5', {
    datacenter: 'dc2',
    cert_file: join(tls, 'dc2-server-consul-1.pem'),
    key_file: join(tls, 'dc2-server-consul-1-key.pem'),
  });
  federation.startAll();
  await federation.up(patienceMs);
}, 2 * patienceMs);

afterAll(async () => {
  await federation?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

function change(datacenter: string, keys: Readonly<Record<string, unknown>>): void {
  const { configFile } = federation.site(datacenter);
  const config = JSON.parse(readFileSync(configFile, 'utf8')) as object;
  writeFileSync(configFile, JSON.stringify({ ...config, ...keys }));
}

/** The words of this trouble, as soon as this server has it. */
async function trouble(datacenter: string, code: string): Promise<string> {
  let text: string | undefined;
  await federation.until(`${datacenter} has ${code}`, patienceMs, async () => {
    const { troubles } = await federation.get<FederationView>(datacenter, '/v1/agent/federation');
    text = troubles.find((each) => each.code === code)?.text;
    return text !== undefined;
  });
  return text as string;
}

const timesLogged = (datacenter: string, words: RegExp): number =>
  readFileSync(join(folder, datacenter, 'server.log'), 'utf8')
    .split('\n')
    .filter((line) => line.includes('"room":"status"') && words.test(line)).length;

test('an entry of primary_gateways that leads to no address', { timeout: patienceMs }, async () => {
  expect(await trouble('dc3', 'primary_gateway_unresolved')).toMatch(
    /no-such-file" leads to no address .*ENOENT/,
  );
  expect(timesLogged('dc3', /leads to no address/)).toBe(1);
});

test('an address where something else answers', { timeout: patienceMs }, async () => {
  expect(await trouble('dc3', 'primary_gateway_wrong')).toMatch(
    /^127\.0\.0\.1:\d+ answers, and is no way to a server of dc1 \(tls_failed\): .* name a mesh gateway of dc1 instead/,
  );
  expect(timesLogged('dc3', /is no way to a server of dc1/)).toBe(1);
});

test('a secondary that names another secondary as its primary', { timeout: patienceMs }, async () => {
  expect(await trouble('dc4', 'wrong_primary')).toMatch(/primary_datacenter/);
});

test('two datacenters of one name: both are told, and the record does not change hands for ever', {
  timeout: 2 * patienceMs,
}, async () => {
  expect(await trouble('dc2', 'datacenter_name_taken')).toMatch(
    /^n5\.dc2 .* two datacenters are called dc2; give one of them another name$/,
  );
  expect(await trouble('dc5', 'datacenter_name_taken')).toMatch(/^n2\.dc2 /);
  await Promise.any([trouble('dc2', 'foreign_writer'), trouble('dc5', 'foreign_writer')]);
});
