/**
 * with-consul.test.ts: the first faults once more, for our servers, for ours and Consul's in one federation, and for Consul's
 * alone, side by side.
 *
 * Only with CONSUL_BIN. The gateways are ours in all three, so what differs is what the servers make of a fault. In the mixed
 * federation the primary is Consul's. What Consul's servers read is told and not judged.
 */
import { afterAll, afterEach, beforeAll, describe, test } from 'vitest';
import { Figures } from './figures.ts';
import { frozenGateway, gatewayAway, oneOfTwoKilled, Stage } from './stories.ts';
import { allOurs, type Kinds, World } from './world.ts';

const figures = new Figures();
/** Consul elects itself, tries again ever more rarely, and now and then needs a restart to find its way back. */
const mendMs = 150_000;
const storyMs = 8 * 60_000;

const federations: readonly (readonly [column: string, kinds: Kinds])[] = [
  ['ours', allOurs],
  ['Consul, ours as dc2', { dc1: 'consul', dc2: 'ours', dc3: 'consul' }],
  ['Consul', { dc1: 'consul', dc2: 'consul', dc3: 'consul' }],
];

describe.skipIf(!process.env['FED_PEER_CONSUL']).each(federations)('%s', (column, kinds) => {
  let world: World;
  let stage: Stage;

  beforeAll(async () => {
    figures.of(column);
    world = await World.open(kinds);
    stage = new Stage({ world, figures, mendMs });
    world.startAll();
    await world.formed(mendMs);
  }, 2 * mendMs);

  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail') console.error(world.tails());
    await stage.mend();
  }, 4 * mendMs);

  afterAll(async () => {
    await world?.[Symbol.asyncDispose]();
    console.log(`\n${figures.table()}\n`);
  }, 30_000);

  test('gateway killed, restarted after 5 s', { timeout: storyMs }, () => gatewayAway(stage, 5_000));
  test('one of two gateways killed under load', { timeout: storyMs }, () =>
    oneOfTwoKilled(stage, { calmMs: 3_000, afterMs: 8_000 }),
  );
  test('gateway accepts and never answers', { timeout: storyMs }, () => frozenGateway(stage, 25_000));
});
