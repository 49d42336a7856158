import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { parseEndpoint } from './endpoint.ts';
import { openEtcdLog } from './open.ts';

describe('endpoint', () => {
  const good: Record<string, readonly [string, boolean]> = {
    'http://127.0.0.1:2379': ['127.0.0.1:2379', false],
    'https://etcd.example:2379/': ['etcd.example:2379', true],
    'etcd-0.etcd:2379': ['etcd-0.etcd:2379', true],
    'http://[::1]:2379': ['[::1]:2379', false],
  };
  for (const [text, [target, tls]] of Object.entries(good))
    test(text, () => assert.deepEqual(parseEndpoint(text, { tls: true }), { text, target, tls }));

  for (const text of [
    '',
    'localhost',
    'ftp://a:1',
    'http://a',
    'http://a:0',
    'http://a:65536',
    'http://a:1/b',
    '::1:2379',
  ])
    test(`none: "${text}"`, () => assert.equal(parseEndpoint(text, { tls: false }), undefined));
});

describe('options that cannot be are refused before anything is opened', () => {
  const options = {
    prefix: '/fed/dc1/',
    endpoints: ['https://127.0.0.1:1'],
    node: 'a',
    address: 'a:8300',
    apply: () => null,
    snapshot: () => [],
    restore: () => {},
  };
  const bad = {
    'no endpoint': { endpoints: [] },
    'an endpoint that is none': { endpoints: ['etcd'] },
    'a prefix that does not end': { prefix: '/fed' },
    'a certificate that is none': { tls: { cert: 'x', key: 'y' } },
  };
  for (const [name, change] of Object.entries(bad))
    test(name, async () => {
      await assert.rejects(openEtcdLog({ ...options, ...change }), RangeError);
    });
});
