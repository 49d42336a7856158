/**
 * The whole stack in the simulator: named stories beside a model of the original's rules, and some bad days. Many more days:
 * `npm run sim -- --federation --seeds 1000`.
 */
import { expect, test } from 'vitest';
import { runFederationDay } from '../src/federation/day.ts';
import { dial } from '../src/federation/dial.ts';
import { Federation } from '../src/federation/federation.ts';
import { FrameCounter } from '../src/federation/frame-counter.ts';
import { FedNetwork, type Identity, type Listener } from '../src/federation/network.ts';
import { SimProcess } from '../src/federation/process.ts';
import { scenarios, tell } from '../src/federation/scenarios.ts';
import { SeededRng } from '../src/seeded-rng.ts';
import { Transcript } from '../src/transcript.ts';
import { VirtualClock } from '../src/virtual-clock.ts';

test.each(scenarios.map((scenario) => [scenario.name, scenario] as const))('%s', async (_name, scenario) => {
  const ours = await tell(scenario, 'ours');
  expect(ours.figure, scenario.measures).toBeLessThanOrEqual(scenario.bound);
  const original = await tell(scenario, "the original's");
  expect(original.figure, `the original's rule: ${scenario.measures}`).toBeGreaterThan(scenario.bound);
});

test.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])('a bad day, seed %i', async (seed) => {
  const { violations, reads } = await runFederationDay({ seed, logLevel: 'error' });
  expect(violations).toEqual([]);
  expect(reads).toBeGreaterThan(0);
});

test.each([
  [596, 'a secondary met the primary, and the connection went silent'],
  [537, 'a server died within a handshake, and was back before its end'],
  [278, 'knocks that failed while somebody was asked in vain made asking around rare'],
  [884, 'a secondary was back with dead addresses only, and the primary called it alive and left it alone'],
  [798, 'a secondary cut off from everybody asked ever more rarely, and gossip still called all alive'],
])('a day that once ended badly, seed %i: %s', async (seed) => {
  const { violations } = await runFederationDay({ seed, logLevel: 'error' });
  expect(violations).toEqual([]);
});

test('cut off from everybody while the primary moves: back with other gateways, it finds it through a third', async () => {
  const fed = await Federation.open({ seed: 2, datacenters: 3, logLevel: 'error' });
  fed.startAll();
  expect(await fed.untilWhole(10_000)).toBeTypeOf('number');
  const cutOff = fed.dc('dc3');
  for (const gateway of cutOff.gateways) gateway.kill();
  await fed.clock.until(fed.replaceGateways(fed.primary));
  await fed.clock.run(30_000);
  const seen = cutOff.server.running?.rooms.wan.members() ?? [];
  expect(seen.map(({ status }) => status)).toEqual(['alive', 'alive', 'alive']); // nobody is knocked at
  await fed.clock.until(fed.replaceGateways(cutOff));
  expect(fed.lost()).toEqual([]);
  expect(await fed.untilWhole(5_000)).toBeTypeOf('number'); // 10 s, as long as the pauses doubled
  await fed.clock.until(fed.close());
});

test('the same seed gives the same day, another seed another', async () => {
  const once = await runFederationDay({ seed: 33 });
  expect((await runFederationDay({ seed: 33 })).hash).toBe(once.hash);
  expect((await runFederationDay({ seed: 34 })).hash).not.toBe(once.hash);
});

test('servers of all datacenters have the same private address, and nobody is taken for another', async () => {
  const fed = await Federation.open({ seed: 5, datacenters: 4 });
  fed.startAll();
  expect(await fed.untilWhole(10_000)).toBeTypeOf('number');
  expect(new Set(fed.datacenters.map(({ server }) => server.host.address)).size).toBe(1);
  for (const { server } of fed.datacenters) {
    const seen = server.running?.rooms.wan.members().map(({ name, host }) => `${name} ${host}`);
    expect(seen?.sort()).toEqual(['n1.dc1', 'n1.dc2', 'n1.dc3', 'n1.dc4'].map((name) => `${name} 10.0.0.1`));
  }
  await fed.clock.until(fed.close());
});

test('a handshake in which a server died is not taken up by the program that runs there next', async () => {
  const clock = new VirtualClock();
  const net = new FedNetwork({ clock, rng: new SeededRng(1), transcript: new Transcript() });
  const [near, far] = [net.addHost('dc1', '10.0.0.1'), net.addHost('dc1', '10.0.0.2')];
  const identity = (node: string): Identity => ({ node, datacenter: 'dc1', validFrom: 0, wallMs: () => 1 });
  let accepted = 0;
  const listen = (): void => {
    const program: Listener = {
      host: far,
      route: ({ hops }, done) =>
        done({ kind: 'server', hops, identity: identity('b'), accept: () => accepted++ }),
    };
    far.listeners.set(8300, program);
  };
  const dialOnce = (): Promise<unknown> =>
    dial(net, new SimProcess(near, clock), identity('a'), {
      to: { host: '10.0.0.2', port: 8300 },
      sni: undefined,
      alpn: 'consul/rpc-multi',
    });
  listen();
  await clock.until(dialOnce());
  const route = far.listeners.get(8300)!.route;
  far.listeners.get(8300)!.route = (o, done) => {
    route(o, done); // it has answered, and now it dies
    net.died(far);
    far.alive = true;
    listen();
  };
  await expect(clock.until(dialOnce())).rejects.toMatchObject({ code: 'closed_before_tls' });
  expect(accepted).toBe(1);
  await clock.until(dialOnce());
  expect(accepted).toBe(2);
});

test('frames are counted whole, however they are cut', () => {
  const stream = Buffer.concat(
    [1, 300, 0, 2].map((size) =>
      Buffer.concat([Buffer.from([0, 0, size >> 8, size & 255]), Buffer.alloc(size)]),
    ),
  );
  for (const piece of [1, 3, 7, stream.length]) {
    const counter = new FrameCounter();
    let whole = 0;
    for (let at = 0; at < stream.length; at += piece) whole += counter.push(stream.subarray(at, at + piece));
    expect(whole).toBe(4);
  }
});
