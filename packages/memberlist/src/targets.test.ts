import { expect, test } from 'vitest';
import { parseTarget, resolveTarget } from './targets.ts';

const never = new AbortController().signal;

test.each([
  ['10.0.0.1', '', '10.0.0.1', 7946],
  ['10.0.0.1:8301', '', '10.0.0.1', 8301],
  ['example.test', '', 'example.test', 7946],
  ['example.test:8302', '', 'example.test', 8302],
  ['::1', '', '::1', 7946],
  ['[::1]', '', '::1', 7946],
  ['[::1]:8301', '', '::1', 8301],
  ['node.dc1/10.0.0.1:8302', 'node.dc1', '10.0.0.1', 8302],
  ['node.dc1/[2001:db8::1]:8302', 'node.dc1', '2001:db8::1', 8302],
  ['node/example.test', 'node', 'example.test', 7946],
])('target %s', (target, name, host, port) => {
  expect(parseTarget(target, 7946)).toEqual({ name, host, port });
});

test.each([
  '',
  '/10.0.0.1',
  'node/',
  ':8301',
  '10.0.0.1:',
  '10.0.0.1:0',
  '10.0.0.1:65536',
  'host:port',
  '[::1',
  '[::1]8301',
  '[10.0.0.1]x',
  'a b',
  'a/b/c',
  '[zz::1]:1',
])("target '%s' cannot be read", (target) => {
  expect(() => parseTarget(target, 7946)).toThrow(expect.objectContaining({ code: 'bad_target' }));
});

test('target: an address is not looked up, a name is, and all its addresses count', async () => {
  const asked: string[] = [];
  const resolve = async (host: string): Promise<readonly string[]> => {
    asked.push(host);
    return ['10.0.0.1', '2001:db8::1'];
  };
  expect(await resolveTarget('n/10.0.0.9:1', 7946, resolve, never)).toEqual([
    { name: 'n', host: '10.0.0.9', port: 1 },
  ]);
  expect(await resolveTarget('n/example.test', 7946, resolve, never)).toEqual([
    { name: 'n', host: '10.0.0.1', port: 7946 },
    { name: 'n', host: '2001:db8::1', port: 7946 },
  ]);
  expect(asked).toEqual(['example.test']);
});

test('target: a name without address says which', async () => {
  const none = async (): Promise<readonly string[]> => [];
  const fails = async (): Promise<readonly string[]> => Promise.reject(new Error('ENOTFOUND'));
  for (const resolve of [none, fails])
    await expect(resolveTarget('example.test', 1, resolve, never)).rejects.toMatchObject({
      code: 'unresolvable',
      message: expect.stringContaining('example.test') as string,
    });
});
