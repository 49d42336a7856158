import { expect, test } from 'vitest';
import type { Args } from './args.ts';
import { createAsk, type Endpoint } from './ask.ts';

const context = { signal: new AbortController().signal };

function ask(endpoints: Record<string, Endpoint['belongs']>) {
  const calls: string[] = [];
  const made = createAsk({
    datacenter: 'dc2',
    primary: 'dc1',
    endpoints: Object.fromEntries(
      Object.entries(endpoints).map(([method, belongs]) => [
        method,
        { belongs, answer: () => calls.push(`here ${method}`) },
      ]),
    ),
    abroad: (datacenter, method, args) => {
      calls.push(`${datacenter} ${method} for '${String((args as Args)['Datacenter'] ?? '')}'`);
      return Promise.resolve(null);
    },
  });
  return { calls, ask: made };
}

test('ask: a question is answered here when its datacenter is ours or unnamed', async () => {
  const { ask: a, calls } = ask({ 'Catalog.ListNodes': 'datacenter' });
  await a('Catalog.ListNodes', { Datacenter: 'dc2' }, context);
  await a('Catalog.ListNodes', { Datacenter: 'DC2' }, context);
  await a('Catalog.ListNodes', {}, context);
  expect(calls).toEqual(['here Catalog.ListNodes', 'here Catalog.ListNodes', 'here Catalog.ListNodes']);
});

test('ask: another datacenter’s question goes there', async () => {
  const { ask: a, calls } = ask({ 'Catalog.ListNodes': 'datacenter' });
  await a('Catalog.ListNodes', { Datacenter: 'dc3' }, context);
  expect(calls).toEqual(["dc3 Catalog.ListNodes for 'dc3'"]);
});

test('ask: what only the primary may do goes to the primary, whatever the caller wrote', async () => {
  const { ask: a, calls } = ask({ 'FederationState.Apply': 'primary' });
  await a('FederationState.Apply', { Datacenter: 'dc2' }, context);
  expect(calls).toEqual(["dc1 FederationState.Apply for 'dc1'"]);
});

test('ask: FederationState.Get is routed by its target, not by the key it looks up', async () => {
  const { ask: a, calls } = ask({ 'FederationState.Get': 'target' });
  await a('FederationState.Get', { Datacenter: 'dc1', TargetDatacenter: 'dc2' }, context);
  await a('FederationState.Get', { Datacenter: 'dc2', TargetDatacenter: 'dc1' }, context);
  expect(calls).toEqual(['here FederationState.Get', "dc1 FederationState.Get for 'dc2'"]);
});

test('ask: Status.Ping is never sent on', async () => {
  const { ask: a, calls } = ask({ 'Status.Ping': 'here' });
  await a('Status.Ping', { Datacenter: 'dc9' }, context);
  expect(calls).toEqual(['here Status.Ping']);
});

test('ask: an unknown method is refused in the original’s words', async () => {
  const { ask: a } = ask({});
  await expect(a('Nope.Nope', {}, context)).rejects.toThrow("rpc: can't find method Nope.Nope");
});
