import { DialError, UnreachableError } from '@fed/alpn-mux';
import { type CheckServiceNode, newCheckServiceNode, newNode, newService } from '@fed/fsm';
import { createLocator } from '@fed/gateway-locator';
import { RpcError, type RpcTarget } from '@fed/rpc';
import { VirtualClock } from '@fed/tooling/virtual-clock';
import { expect, test } from 'vitest';
import { createAbroad, UnansweredError } from './abroad.ts';
import type { RoomEvent } from './log.ts';
import { Router } from './router.ts';
import type { AskContext } from './rpc/ask.ts';

const read = { Datacenter: 'dc2', AllowStale: false, MinQueryIndex: 0 };
const write = { Datacenter: 'dc2', Token: '' };
const context: AskContext = { signal: new AbortController().signal };

test('abroad: a read whose connection breaks is asked again, of the next server, in the time that is left', async () => {
  const w = world([{ lost: true, afterMs: 4_000 }, { answer: 'nodes' }]);
  expect(await w.ask('dc2', 'Catalog.ListNodes', read, context)).toBe('nodes');
  expect(w.asked).toEqual([
    { node: 'a', timeoutMs: 10_000 },
    { node: 'b', timeoutMs: 6_000 },
  ]);
});

test('abroad: a connection that breaks is told, once for each; an answer or a failed dial is none', async () => {
  const w = world([{ lost: true }, { says: 'no leader' }, { refused: true }, { refused: true }]);
  await expect(w.ask('dc2', 'Catalog.ListNodes', read, context)).rejects.toThrow('no leader');
  await expect(w.ask('dc2', 'Catalog.ListNodes', read, context)).rejects.toThrow('refuses connections');
  expect(w.lost).toEqual(['dc2']);
});

test('abroad: an error carries hop and attempts apart, and so do log and counters', async () => {
  const w = world([{ refused: true }, { refused: true }, { says: 'no leader' }]);
  const error = await w.ask('dc2', 'Catalog.ListNodes', read, context).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(UnansweredError);
  const attempts = [{ gateway: '10.1.0.2:8443', code: 'connect_refused' }];
  expect(error).toMatchObject({ datacenter: 'dc2', hop: 'local_gateway', attempts });
  await expect(w.ask('dc2', 'Catalog.ListNodes', read, context)).rejects.toThrow('no leader');
  expect(w.observed).toEqual(['dc2: local_gateway', 'reached dc2']);
  expect(w.logged.at(-1)?.fields).toEqual({ datacenter: 'dc2', hop: 'local_gateway' });
});

test('abroad: a write is never asked twice', async () => {
  const w = world([{ lost: true }, { answer: true }]);
  await expect(w.ask('dc2', 'FederationState.Apply', write, context)).rejects.toThrow(/session shutdown/);
  expect(w.asked).toHaveLength(1);
});

test('abroad: a read is given up after the third connection that breaks', async () => {
  const w = world([{ lost: true }, { lost: true }, { lost: true }, { answer: 'too late' }]);
  await expect(w.ask('dc2', 'Catalog.ListNodes', read, context)).rejects.toThrow(/session shutdown/);
  expect(w.asked).toHaveLength(3);
});

test('abroad: what the other side answers is the answer, also when it is an error', async () => {
  const w = world([{ says: 'Permission denied' }]);
  await expect(w.ask('dc2', 'Catalog.ListNodes', read, context)).rejects.toThrow('Permission denied');
  expect(w.asked).toHaveLength(1);
});

test('abroad: a connection that stood and went silent is an error that names the hop', async () => {
  const w = world([{ silent: true }]);
  w.locator.hear({ kind: 'tried', gateway, datacenter: 'dc2', ok: true, tookMs: 1 });
  await expect(w.ask('dc2', 'Catalog.ListNodes', read, context)).rejects.toThrow(
    /i\/o deadline reached \(remote_gateway: dc2: a connection to dc2 stood, probably through our own gateway 10\.1\.0\.2:8443, and went silent/,
  );
});

test('abroad: a dial that failed is an error that names the hop, once every server was tried', async () => {
  const w = world([{ refused: true }, { refused: true }]);
  await expect(w.ask('dc2', 'Catalog.ListNodes', read, context)).rejects.toThrow(
    /\(local_gateway: dc2: our own gateway 10\.1\.0\.2:8443 refuses connections/,
  );
  expect(w.asked.map(({ node }) => node)).toEqual(['a', 'b']);
});

test('abroad: what could not be sent to one server goes to the next, a write too; the dead one is not asked first again', async () => {
  const w = world([{ refused: true }, { answer: true }, { answer: 'rows' }]);
  expect(await w.ask('dc2', 'FederationState.Apply', write, context)).toBe(true);
  expect(await w.ask('dc2', 'Catalog.ListNodes', read, context)).toBe('rows');
  expect(w.asked.map(({ node }) => node)).toEqual(['a', 'b', 'b']);
});

// ---- fixtures ----

const gateway = { host: '10.1.0.2', port: 8443 };

interface Outcome {
  readonly answer?: string | true;
  readonly says?: string;
  readonly lost?: true;
  readonly silent?: true;
  readonly refused?: true;
  readonly afterMs?: number;
}

/** In dc1, with one gateway; dc2 has the servers a and b; calls end one after the other as `outcomes` says. */
function world(outcomes: readonly Outcome[]) {
  const clock = new VirtualClock();
  const router = new Router({ below: (n) => n - 1 });
  for (const name of ['a', 'b'])
    router.seen(
      {
        name,
        datacenter: 'dc2',
        id: '',
        host: '10.0.0.1',
        port: 8300,
        tls: true,
        federationStates: true,
        build: '1.0.0',
        alone: false,
      },
      true,
    );
  const locator = createLocator({ datacenter: 'dc1', primary: 'dc1', clock, rng: { below: (n) => n - 1 } });
  locator.hear({ kind: 'localGateways', gateways: [row()] });
  const lost: string[] = [];
  const observed: string[] = [];
  const logged: RoomEvent[] = [];
  const asked: { node: string; timeoutMs: number }[] = [];
  const call = async (target: RpcTarget, _method: string, _args: unknown, o: { timeoutMs: number }) => {
    const outcome = outcomes[asked.length] as Outcome;
    asked.push({ node: target.node, timeoutMs: o.timeoutMs });
    await clock.advance(outcome.afterMs ?? 0);
    return answer(target, outcome);
  };
  const ask = createAbroad({
    router,
    pool: { call },
    locator,
    clock,
    lost: (datacenter) => lost.push(datacenter),
    holdTimeoutMs: 7_000,
    queryTimeDefaultMs: 300_000,
    queryTimeMaxMs: 600_000,
    observed: {
      asked: () => {},
      reached: (datacenter) => observed.push(`reached ${datacenter}`),
      unanswered: (datacenter, hop) => observed.push(`${datacenter}: ${hop}`),
    },
    log: (event) => logged.push(event),
  });
  return { ask, asked, lost, locator, observed, logged };
}

function answer(target: RpcTarget, o: Outcome): string | true {
  if (o.answer !== undefined) return o.answer;
  const making = 'rpc error making call: ';
  if (o.says) throw new RpcError('remote', making + o.says, { target, remoteText: o.says });
  if (o.lost) throw new RpcError('session_lost', `${making}session shutdown`, { target });
  if (o.silent) throw new RpcError('timeout', `${making}i/o deadline reached`, { target });
  const refused = new DialError('connect_refused', { via: gateway }, 'nobody listens');
  const attempts = [{ gateway, code: refused.code, detail: refused.message }];
  const cause = new UnreachableError('dc2', attempts, { cause: refused });
  throw new RpcError('dial', `rpc error getting client: ${cause.message}`, { target, cause });
}

function row(): CheckServiceNode {
  return newCheckServiceNode({
    Node: newNode({ Node: 'gw' }),
    Service: newService({
      ID: 'mesh-gateway',
      Kind: 'mesh-gateway',
      Address: gateway.host,
      Port: gateway.port,
      Meta: { 'consul-wan-federation': '1' },
    }),
  });
}
