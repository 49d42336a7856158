import { type Duplex, duplexPair } from 'node:stream';
import type { Accepted } from '@fed/alpn-mux';
import { openYamux, RpcApplicationError, RpcRegistry } from '@fed/rpc';
import { VirtualClock } from '@fed/tooling/virtual-clock';
import { expect, test } from 'vitest';
import type { RoomEvent } from './log.ts';
import { ServedRpc } from './served-rpc.ts';

/** Header and body of a request without arguments, as Go sends it. */
function request(method: string): Buffer {
  const name = Buffer.from(method);
  const head = Buffer.concat([
    Buffer.from('82a353657101', 'hex'),
    Buffer.from('ad536572766963654d6574686f64', 'hex'),
  ]);
  return Buffer.concat([head, Buffer.of(0xa0 + name.length), name, Buffer.of(0x80)]);
}

function served() {
  const clock = new VirtualClock();
  const events: RoomEvent[] = [];
  const registry = new RpcRegistry();
  const open: (() => void)[] = [];
  registry.register({
    'S.Ok': () => 'yes',
    'S.No': () => {
      throw new RpcApplicationError('no');
    },
    'S.Bug': () => {
      throw new TypeError('a bug');
    },
    'S.Wait': () => new Promise((resolve) => open.push(() => resolve('opened'))),
  });
  const rpc = new ServedRpc({ registry, clock, log: (event) => events.push(event) });
  const blamed: string[] = [];
  const come = (by: 'multi' | 'single'): Duplex => {
    const [ours, theirs] = duplexPair();
    ours.on('error', () => {});
    const at = { host: '127.0.0.1', port: 1 };
    const blame = (): void => void blamed.push(by);
    rpc[by]({ stream: theirs, remote: at, local: at, tls: false, typeByte: 4, blame } as Accepted);
    return ours;
  };
  return { rpc, clock, events, come, open, blamed };
}

async function settled(): Promise<void> {
  for (let n = 0; n < 30; n += 1) await new Promise((resolve) => setImmediate(resolve));
}

test('what callers do right and wrong is counted, each by its kind', async () => {
  const { rpc, events, come, blamed } = served();
  const one = come('single');
  one.resume();
  for (const method of ['S.Ok', 'S.No', 'S.Bug', 'S.Nothing']) one.write(request(method));
  const garbage = come('single').resume();
  garbage.write(Buffer.of(0xc1));
  const breach = come('multi').resume();
  breach.write(Buffer.of(9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9));
  await settled();
  expect(rpc.stats()).toMatchObject({
    calls: 3,
    callsFailed: 2,
    callsRefused: 1,
    defects: 1,
    callsRunning: 0,
    peerFaults: { malformed: 1 },
    ended: { peer_protocol: 1 },
  });
  expect(events.map(({ code }) => code)).toEqual(
    expect.arrayContaining(['rpc_defect', 'rpc_refused', 'rpc_malformed', 'rpc_peer_protocol']),
  );
  expect(blamed).toEqual(['single', 'multi']); // for nonsense; not for a method that we do not have
});

test('drain waits for calls that run, tells callers to go elsewhere, and has a limit', async () => {
  const { rpc, clock, come, open } = served();
  const session = openYamux(come('multi'), { role: 'client', clock });
  const stream = session.open();
  const heard: Buffer[] = [];
  stream.on('data', (bytes: Buffer) => heard.push(bytes));
  stream.write(request('S.Wait'));
  await settled();
  expect(rpc.stats()).toMatchObject({ connections: 1, callsRunning: 1 });

  let drained = false;
  const draining = rpc.drain().then(() => {
    drained = true;
  });
  await settled();
  expect(session.mayOpen).toBe(false);
  expect(drained).toBe(false);
  open[0]?.();
  await draining;
  await settled();
  expect(Buffer.concat(heard).toString('latin1')).toContain('opened');

  stream.write(request('S.Wait'));
  await settled();
  const late = rpc.drain();
  await clock.advance(500);
  await late;
  expect(rpc.stats().callsRunning).toBe(1);
});
