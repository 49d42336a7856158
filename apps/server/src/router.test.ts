import { expect, test } from 'vitest';
import { Router } from './router.ts';
import type { ServerMember } from './tags.ts';

const last = { below: (n: number) => n - 1 };

function server(name: string, datacenter: string): ServerMember {
  return {
    name,
    datacenter,
    id: '',
    host: '10.0.0.1',
    port: 8300,
    tls: true,
    federationStates: true,
    build: '1.0.0',
    alone: false,
  };
}

test('router: a datacenter nobody was seen of is unknown', () => {
  expect(new Router(last).route('dc2')).toEqual({ kind: 'unknown' });
});

test('router: a server that failed is asked last', () => {
  const router = new Router(last);
  router.seen(server('a', 'dc2'), true);
  router.seen(server('b', 'dc2'), true);
  router.failed('dc2', 'a');
  expect(router.route('dc2')).toMatchObject({ kind: 'server', server: { name: 'b' } });
  router.failed('dc2', 'b');
  expect(router.route('dc2')).toMatchObject({ kind: 'server', server: { name: 'a' } });
});

test('router: a datacenter whose servers all failed is unreachable, not unknown', () => {
  const router = new Router(last);
  router.seen(server('a', 'dc2'), true);
  router.seen(server('a', 'dc2'), false);
  expect(router.route('dc2')).toMatchObject({ kind: 'unreachable', servers: [{ name: 'a', alive: false }] });
  expect(router.datacenters()).toEqual(['dc2']);
});

test('router: with its last server a datacenter is forgotten', () => {
  const router = new Router(last);
  router.seen(server('a', 'dc2'), true);
  router.gone('dc2', 'a');
  expect(router.datacenters()).toEqual([]);
});

test('router: what a member says anew replaces what it said', () => {
  const router = new Router(last);
  router.seen(server('a', 'dc2'), true);
  router.seen({ ...server('a', 'dc2'), port: 9300 }, true);
  expect(router.servers('dc2')).toHaveLength(1);
  expect(router.servers('dc2')[0]).toMatchObject({ port: 9300 });
});
