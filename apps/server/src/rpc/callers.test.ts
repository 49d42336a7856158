import type { PeerIdentity } from '@fed/alpn-mux';
import { createMemoryFs, embeddedLog, openFsm } from '@fed/fsm';
import { describe, expect, test } from 'vitest';
import { createAsk, type Endpoint } from './ask.ts';
import { type Caller, Callers } from './callers.ts';
import { federationStateEndpoints } from './federation-state.ts';

const here = { datacenter: 'dc1', domain: 'consul' };
const callers = new Callers({ ...here, verify: () => true });
/** Who came by a type byte, as servers of one datacenter come to each other. */
const serverOf = (...datacenters: readonly string[]): Caller => ({
  names: [...datacenters.flatMap((dc) => [`n1.server.${dc}.consul`, `server.${dc}.consul`]), 'localhost'],
  fingerprint: '',
  byAlpn: false,
});
const byAlpn = (caller: Caller): Caller => ({ ...caller, byAlpn: true });
const client: Caller = { names: ['client.dc1.consul', 'localhost'], fingerprint: '', byAlpn: false };
const speak =
  (datacenter: string, caller: PeerIdentity | undefined, by: Callers = callers) =>
  () =>
    by.mustSpeakFor(datacenter, caller, 'the federation state');

describe('who may write for a datacenter', () => {
  test('a server of that datacenter, whatever the case', () => {
    expect(speak('dc2', serverOf('dc2'))).not.toThrow();
    expect(speak('DC2', serverOf('dc2'))).not.toThrow();
    expect(speak('dc2', serverOf('dc2', 'dc3'))).not.toThrow();
  });

  test('a server of our own datacenter, who passes on what he was told', () => {
    expect(speak('dc2', serverOf('dc1'))).not.toThrow();
  });

  test('not a server of another one: the refusal names both', () => {
    expect(speak('dc2', serverOf('dc3'))).toThrow(/^Permission denied: .* of dc2 .* is one of dc3$/);
  });

  test('not a client, and not a certificate of another domain', () => {
    expect(speak('dc1', client)).toThrow(/names no server/);
    expect(speak('dc2', { names: ['server.dc2.example'], fingerprint: '' })).toThrow(/names no server/);
  });

  test('our own routines, who need no certificate', () => {
    expect(speak('dc2', undefined)).not.toThrow();
  });

  test('everybody, when verify_server_datacenter is off', () => {
    expect(speak('dc2', client, new Callers({ ...here, verify: () => false }))).not.toThrow();
  });
});

test('FederationState.Apply for a datacenter the caller’s certificate does not name changes nothing', async () => {
  const clock = { now: () => 0, at: () => ({ [Symbol.dispose]: () => {} }) };
  const engine = embeddedLog({ dir: '/data', fs: createMemoryFs() });
  await using fsm = await openFsm({ engine, clock, rng: { below: () => 0 } });
  const endpoints = federationStateEndpoints({
    fsm,
    callers,
    wallMs: () => 0,
    queryTimeDefaultMs: 1,
    queryTimeMaxMs: 1,
  });
  const apply = async (Op: string, caller: Caller) =>
    (endpoints['FederationState.Apply'] as Endpoint).answer(
      { Op, State: { Datacenter: 'dc2' } },
      { signal: new AbortController().signal, caller },
    );
  await expect(apply('upsert', serverOf('dc3'))).rejects.toThrow(/Permission denied/);
  expect(fsm.store.federationStates().rows).toEqual([]);
  expect(await apply('upsert', serverOf('dc2'))).toBe(true);
  await expect(apply('delete', serverOf('dc3'))).rejects.toThrow(/Permission denied/);
  expect(fsm.store.federationStates().rows).toHaveLength(1);
  expect(await apply('delete', serverOf('dc2'))).toBe(false);
});

describe('a question from another datacenter', () => {
  const sent: string[] = [];
  const ask = createAsk({
    ...here,
    primary: 'dc1',
    endpoints: { 'Catalog.ListNodes': { belongs: 'datacenter', answer: () => 'here' } },
    cameFrom: (caller) => callers.abroad(caller),
    abroad: (datacenter) => {
      sent.push(datacenter);
      return Promise.resolve('there');
    },
  });
  const asked = (Datacenter: string, caller: Caller | undefined) =>
    ask('Catalog.ListNodes', { Datacenter }, { signal: new AbortController().signal, caller });

  test('is answered when it is for ours', async () => {
    expect(await asked('dc1', serverOf('dc2'))).toBe('here');
  });

  test('is not sent on to a third one: two servers who each believe it is the other’s would do so for ever', async () => {
    await expect(asked('dc3', serverOf('dc2'))).rejects.toThrow(/^No path to datacenter.*from dc2/);
    await expect(asked('dc2', serverOf('dc2'))).rejects.toThrow(/^No path to datacenter/);
    expect(sent).toEqual([]);
  });

  test('nor when its certificate names both datacenters: it came by ALPN, as only a question for another one does', async () => {
    expect(await asked('dc1', byAlpn(serverOf('dc1', 'dc2')))).toBe('here');
    await expect(asked('dc3', byAlpn(serverOf('dc1', 'dc2')))).rejects.toThrow(/^No path.*from dc2/);
    await expect(asked('dc3', byAlpn(serverOf('dc1')))).rejects.toThrow(/^No path.*from dc1/);
    expect(sent).toEqual([]);
  });

  test('one of our own servers or clients may have sent anywhere', async () => {
    expect(await asked('dc3', serverOf('dc1'))).toBe('there');
    expect(await asked('dc3', client)).toBe('there');
    expect(await asked('dc3', undefined)).toBe('there');
  });
});
