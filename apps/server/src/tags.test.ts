import { expect, test } from 'vitest';
import { readServer, serverTags } from './tags.ts';

const own = { datacenter: 'dc2', nodeId: 'id', serverPort: 8300, build: '1.9.8:fed', tls: true };
const tags = serverTags({ ...own, acls: false });
const member = { name: 'n2.dc2', host: '10.0.0.2', tags };

test('tags: what Consul’s servers demand of a WAN member is there', () => {
  expect(tags).toEqual({
    acls: '0',
    bootstrap: '1',
    build: '1.9.8:fed',
    dc: 'dc2',
    ft_fs: '1',
    ft_si: '1',
    id: 'id',
    port: '8300',
    raft_vsn: '3',
    role: 'consul',
    segment: '',
    use_tls: '1',
    vsn: '2',
    vsn_max: '3',
    vsn_min: '2',
  });
});

test('tags: access control is announced', () => {
  expect(serverTags({ ...own, acls: true })['acls']).toBe('1');
});

test('tags: our own are read as a server, under its short name', () => {
  expect(readServer(member)).toMatchObject({
    name: 'n2',
    datacenter: 'dc2',
    port: 8300,
    tls: true,
    federationStates: true,
  });
});

for (const [what, over, reason] of [
  ['another role', { role: 'node' }, /role/],
  ['no port', { port: '' }, /port/],
  ['a build that is no version', { build: 'x' }, /build/],
  ['a broken vsn', { vsn: 'two' }, /vsn/],
  ['a feature flag that is no number', { ft_xx: 'yes' }, /ft_xx/],
  ['a broken expect', { expect: 'many' }, /expect/],
] as const)
  test(`tags: a member with ${what} is no server`, () => {
    expect(readServer({ ...member, tags: { ...tags, ...over } })).toMatch(reason);
  });
