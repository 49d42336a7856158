/**
 * The gossip keys over real HTTP, on two real pools of one member each. Answers as recorded from Consul 1.10.1, but for what
 * single members say of their rings, which are our own words.
 */
import { Keyring, openUdpTcpTransport } from '@fed/memberlist';
import { openSerf, type Serf } from '@fed/serf';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Access } from '../acl/access.ts';
import { guarding } from '../acl/guard.ts';
import { readRules } from '../acl/rules.ts';
import { createAsk } from '../rpc/ask.ts';
import { keyringEndpoints } from '../rpc/keyring.ts';
import { keyringRoutes } from './keyring.ts';
import { type HttpServer, openHttp } from './server.ts';

const [first, second] = [1, 2].map((n) => new Uint8Array(32).fill(n)) as [Uint8Array, Uint8Array];
const [firstText, secondText] = [first, second].map((key) => Buffer.from(key).toString('base64')) as [
  string,
  string,
];
let pools: { wan: Serf; lan: Serf };
let server: HttpServer;
let others: string[];

async function pool(name: string, keyring: Keyring): Promise<Serf> {
  const transport = await openUdpTcpTransport({ host: '127.0.0.1', port: 0 });
  return openSerf({ name, tags: {}, transport, keyring });
}

async function open(o: { readonly encrypted: boolean; readonly access?: Access }): Promise<void> {
  const ring = (): Keyring => (o.encrypted ? new Keyring([], first) : new Keyring());
  pools = { wan: await pool('n1.dc1', ring()), lan: await pool('n1', ring()) };
  others = [];
  const access =
    o.access ?? new Access({ enabled: false, defaultPolicy: 'allow', tokens: [], defaultSecret: undefined });
  const endpoints = keyringEndpoints({ datacenter: 'dc1', lan: () => pools.lan, wan: () => pools.wan });
  const ask = createAsk({
    datacenter: 'dc1',
    primary: 'dc1',
    endpoints: guarding(endpoints, access),
    abroad: (to) => Promise.reject(new Error(`no way to ${to}`)),
  });
  server = await openHttp({
    bind: { host: '127.0.0.1', port: 0 },
    authorizer: (secret) => access.authorizer(secret),
    routes: keyringRoutes({ datacenter: 'dc1', ask, datacenters: () => ['dc1', ...others] }),
  });
}

async function close(): Promise<void> {
  await server[Symbol.asyncDispose]();
  await pools.wan[Symbol.asyncDispose]();
  await pools.lan[Symbol.asyncDispose]();
}

beforeEach(() => open({ encrypted: true }));
afterEach(close);

async function ask(method: string, query = '', key?: string, token = ''): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${server.address.port}/v1/operator/keyring${query}`, {
    method,
    headers: { 'X-Consul-Token': token },
    ...(key === undefined ? {} : { body: key.startsWith('{') ? key : JSON.stringify({ Key: key }) }),
  });
  return `${response.status} ${await response.text()}`;
}

const shown = (WAN: boolean, keys: Record<string, number>, primary: string) =>
  JSON.stringify({
    WAN,
    Datacenter: 'dc1',
    Segment: '',
    Keys: keys,
    PrimaryKeys: { [primary]: 1 },
    NumNodes: 1,
  });

describe('keyring', () => {
  test('a key is installed, used, and the old one removed, in both pools', async () => {
    const lists = (keys: Record<string, number>, primary: string): string =>
      `200 [${shown(true, keys, primary)},${shown(false, keys, primary)}]`;
    expect(await ask('GET')).toBe(lists({ [firstText]: 1 }, firstText));
    expect(await ask('POST', '', secondText)).toBe('200 ');
    expect(await ask('GET')).toBe(lists({ [firstText]: 1, [secondText]: 1 }, firstText));
    expect(await ask('PUT', '?relay-factor=2', secondText)).toBe('200 ');
    expect(await ask('DELETE', '', firstText)).toBe('200 ');
    expect(await ask('GET')).toBe(lists({ [secondText]: 1 }, secondText));
    expect(pools.wan.keyring?.keys()).toEqual([second]);
    expect(await ask('GET', '?local-only=true')).toBe(
      `200 [${shown(false, { [secondText]: 1 }, secondText)}]`,
    );
  });

  for (const [method, query, key, text] of [
    [
      'DELETE',
      '',
      firstText,
      '500 4 errors occurred:\n\t* WAN error: 1/1 nodes reported failure\n\t* n1.dc1: [primary_in_use] the primary cannot be removed: use another key first\n\t* dc1 (LAN) error: 1/1 nodes reported failure\n\t* n1: [primary_in_use] the primary cannot be removed: use another key first\n\n',
    ],
    [
      'PUT',
      '',
      secondText,
      '500 4 errors occurred:\n\t* WAN error: 1/1 nodes reported failure\n\t* n1.dc1: [key_unknown] only a key of the ring can be used: add it first\n\t* dc1 (LAN) error: 1/1 nodes reported failure\n\t* n1: [key_unknown] only a key of the ring can be used: add it first\n\n',
    ],
    [
      'POST',
      '',
      '!!',
      '500 2 errors occurred:\n\t* WAN error: illegal base64 data at input byte 0\n\t* dc1 (LAN) error: illegal base64 data at input byte 0\n\n',
    ],
    ['POST', '', '{', '400 Bad request: Request decode failed: unexpected EOF'],
    [
      'GET',
      '?relay-factor=9',
      undefined,
      '400 Bad request: Invalid relay-factor: Relay factor must be in range: [0, 5]',
    ],
    [
      'GET',
      '?relay-factor=x',
      undefined,
      '400 Bad request: Error parsing relay factor: strconv.Atoi: parsing "x": invalid syntax',
    ],
    [
      'GET',
      '?local-only=x',
      undefined,
      '400 Bad request: Error parsing local-only: strconv.ParseBool: parsing "x": invalid syntax',
    ],
    [
      'POST',
      '?local-only=true',
      secondText,
      '400 Bad request: Invalid use of local-only: local-only can only be set for list requests',
    ],
  ] as const)
    test(`refused: ${method}${query} ${key?.slice(0, 6) ?? ''}`, async () => {
      expect(await ask(method, query, key)).toBe(text);
      expect(pools.lan.keyring?.keys()).toEqual([first]);
    });

  test('a datacenter that does not answer is named, and the others have done it', async () => {
    others = ['dc2'];
    expect(await ask('POST', '', secondText)).toBe(
      '500 1 error occurred:\n\t* dc2 (LAN) error: no way to dc2\n\n',
    );
    expect(pools.wan.keyring?.keys()).toEqual([first, second]);
  });

  test('without encryption there are no keys', async () => {
    await close();
    await open({ encrypted: false });
    expect(await ask('GET')).toBe(
      '500 4 errors occurred:\n\t* WAN error: 1/1 nodes reported failure\n\t* n1.dc1: Keyring is empty (encryption not enabled)\n\t* dc1 (LAN) error: 1/1 nodes reported failure\n\t* n1: Keyring is empty (encryption not enabled)\n\n',
    );
  });

  test('rules: keyring:read shows, keyring:write changes', async () => {
    await close();
    const token = (secret: string, keyring: 'read' | 'write') => ({
      secret,
      accessor: secret,
      rules: readRules({ keyring }),
    });
    const access = new Access({
      enabled: true,
      defaultPolicy: 'deny',
      tokens: [token('r', 'read'), token('w', 'write')],
      defaultSecret: undefined,
    });
    await open({ encrypted: true, access });
    expect(await ask('GET')).toMatch(/^403 .*lacks permission 'keyring:read'/);
    expect(await ask('GET', '', undefined, 'r')).toMatch(/^200 /);
    expect(await ask('POST', '', secondText, 'r')).toMatch(/^403 .*lacks permission 'keyring:write'/);
    expect(await ask('POST', '', secondText, 'w')).toBe('200 ');
  });
});
