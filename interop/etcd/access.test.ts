/** An etcd that lets in only who has a certificate of its authority, and knows a user and its password. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { EtcdLogError, type EtcdLogOptions, openEtcdLog } from '@fed/fsm/etcd';
import { fedCli } from '@fed/tooling/federation';
import { test } from 'vitest';
import { TempFolder } from '../lib/temp-folder.ts';
import { type ClusterTls, EtcdCluster } from './cluster.ts';

test('TLS both ways, user and password; who lacks one of them is told which', {
  timeout: 90_000,
}, async () => {
  await using folder = await TempFolder.open();
  const tls = certificates(folder.path);
  await using cluster = await EtcdCluster.open(1, tls);
  await addUser(cluster, 'fed', 'secret', '/fed/dc1/');

  const access = {
    endpoints: cluster.endpoints,
    tls: { ca: readFileSync(tls.ca), cert: readFileSync(tls.cert), key: readFileSync(tls.key) },
    username: 'fed',
    password: 'secret',
  };
  const words: string[] = [];
  {
    await using engine = await open(access, words);
    await leading(engine);
    assert.deepEqual(await engine.append(Buffer.from('hello')), { index: 1, result: 1 });
    await engine.barrier();
    await engine.compact();
  }
  assert.deepEqual(words, ['hello']);

  const code = async (o: Partial<EtcdLogOptions>): Promise<unknown> => {
    const error = await open({ ...access, openTimeoutMs: 3_000, ...o }, []).catch((cause: unknown) => cause);
    assert.ok(error instanceof EtcdLogError, String(error));
    return error.code;
  };
  assert.equal(await code({ password: 'wrong' }), 'log_denied');
  assert.equal(await code({ prefix: '/elsewhere/' }), 'log_denied');
  assert.equal(await code({ tls: { ca: access.tls.ca } }), 'log_unavailable');
  assert.equal(await code({ tls: { cert: access.tls.cert, key: access.tls.key } }), 'log_unavailable');
});

function open(o: Partial<EtcdLogOptions> & Pick<EtcdLogOptions, 'endpoints'>, words: string[]) {
  return openEtcdLog({
    prefix: '/fed/dc1/',
    node: 'n1',
    address: 'n1.example:8300',
    apply: (_index, word) => words.push(Buffer.from(word).toString()),
    snapshot: () => words.map((word) => Buffer.from(word)),
    restore: () => {},
    ...o,
  });
}

async function leading(engine: Awaited<ReturnType<typeof open>>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  using _listening = engine.onLeadership(({ leader }) => {
    if (leader) resolve();
  });
  if (engine.leadership().leader) resolve();
  await promise;
}

function certificates(folder: string): ClusterTls {
  const fed = (...args: string[]): unknown =>
    execFileSync(process.execPath, [fedCli, 'tls', ...args], { cwd: folder, stdio: 'ignore' });
  fed('ca', 'create');
  fed('cert', 'create', '--server', '--dc', 'dc1', '--node', 'n1');
  return {
    ca: join(folder, 'consul-agent-ca.pem'),
    cert: join(folder, 'dc1-server-consul-0.pem'),
    key: join(folder, 'dc1-server-consul-0-key.pem'),
  };
}

/** Access control on, with root, and a user who may do everything below `prefix`. */
async function addUser(cluster: EtcdCluster, name: string, password: string, prefix: string): Promise<void> {
  const ask = (path: string, body: object): Promise<unknown> =>
    cluster.ask(cluster.members[0]!, `/v3/auth/${path}`, body);
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  const end = prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1);
  await ask('user/add', { name: 'root', password: 'root' });
  await ask('role/add', { name: 'root' });
  await ask('user/grant', { user: 'root', role: 'root' });
  await ask('user/add', { name, password });
  await ask('role/add', { name: 'servers' });
  const perm = { permType: 'READWRITE', key: base64(prefix), range_end: base64(end) };
  await ask('role/grant', { name: 'servers', perm });
  await ask('user/grant', { user: name, role: 'servers' });
  await ask('enable', {});
}
