/**
 * SIGHUP on a real gateway: the authority of the xDS server changes, and the gateway is told by a signal, not by a restart.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Federation, gatewayCli, temporaryFolder } from '@fed/tooling/federation';
import { freePorts } from '@fed/tooling/ports';
import { expect, test } from 'vitest';

const patienceMs = 60_000;
const otherAuthority = new URL('fixtures/ca.pem', import.meta.url);

test('SIGHUP: an authority that is right at last lets the gateway in; a file without one changes nothing', {
  timeout: 2 * patienceMs,
}, async () => {
  const folder = temporaryFolder('fed-gateway-reload');
  await using closing = new AsyncDisposableStack();
  closing.defer(() => rmSync(folder, { recursive: true, force: true }));
  const federation = closing.use(await Federation.prepare({ datacenters: ['dc1'], folder }));
  const site = federation.site('dc1');
  const [grpcTls, admin] = (await freePorts(2)) as [number, number];
  const config = JSON.parse(readFileSync(site.configFile, 'utf8')) as { ports: object };
  writeFileSync(
    site.configFile,
    JSON.stringify({ ...config, ports: { ...config.ports, grpc_tls: grpcTls } }),
  );
  federation.startServer('dc1');
  await federation.until(
    'the server answers',
    patienceMs,
    async () => (await federation.get('dc1', '/v1/status/leader')) !== '',
  );

  const authority = join(folder, 'authority.pem');
  copyFileSync(otherAuthority, authority);
  const gateway = spawn(
    process.execPath,
    [
      gatewayCli,
      ...['--expose-servers', '--http-addr', site.httpUrl, '--grpc-ca-file', authority],
      ...['--grpc-addr', `https://127.0.0.1:${grpcTls}`, '--tls-server-name', 'server.dc1.consul'],
      ...['--address', `127.0.0.1:${site.gatewayPort}`, '--admin-bind', `127.0.0.1:${admin}`],
      ...['--drain-time', '0s'],
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  closing.defer(async () => {
    gateway.kill('SIGKILL');
    await once(gateway, 'exit');
  });
  const lines = createInterface({ input: gateway.stderr })[Symbol.asyncIterator]();
  const said = async (words: RegExp): Promise<string> => {
    for (;;) {
      const { value, done } = await lines.next();
      if (done === true) throw new Error(`the gateway ended before it said ${words}`);
      if (words.test(value)) return value;
    }
  };
  await said(/stream_lost|stream_failed|"code":"[a-z_]+".*certificate/);

  writeFileSync(authority, 'nothing');
  gateway.kill('SIGHUP');
  expect(await said(/reload refused/)).toContain('is no certificate in PEM');

  copyFileSync(join(folder, 'tls', 'consul-agent-ca.pem'), authority);
  gateway.kill('SIGHUP');
  expect(await said(/read again/)).toContain('flags and environment are read at the start only');
  await said(/configuration applied/);
});
