import { SteppedClock } from '@fed/tooling/virtual-clock';
import { expect, test } from 'vitest';
import { AgentError } from './agent.ts';
import { checkLostMs, checkMs, keepRegistered, type RegistrationEvent } from './keep-registered.ts';
import type { RegistrationBody } from './registration.ts';

const body = { ID: 'gw', Name: 'gw' } as RegistrationBody;
const down = new AgentError('unreachable', 'down');

/** An agent that can be down or forget. */
function story(o: { up: boolean } = { up: true }) {
  const clock = new SteppedClock();
  const agent = { ...o, known: false, registrations: 0, questions: 0 };
  const events: RegistrationEvent['kind'][] = [];
  const kept = keepRegistered({
    clock,
    rng: { below: () => 0 },
    body,
    onEvent: (e) => events.push(e.kind),
    agent: {
      async register(given) {
        expect(given).toBe(body);
        if (!agent.up) throw down;
        agent.registrations += 1;
        agent.known = true;
      },
      async knows(id) {
        expect(id).toBe('gw');
        agent.questions += 1;
        if (!agent.up) throw down;
        return agent.known;
      },
    },
  });
  return { clock, agent, events, kept };
}

test('registration: made at once, asked about every five seconds, not made again while it is known', async () => {
  const { clock, agent, events, kept } = story();
  await kept.registered;
  for (let i = 1; i <= 3; i++) {
    await clock.expecting(i * checkMs);
    clock.advance(checkMs);
  }
  await clock.expecting(4 * checkMs);
  expect(agent).toMatchObject({ registrations: 1, questions: 3 });
  expect(events).toEqual(['registered']);
  await kept[Symbol.asyncDispose]();
  expect(clock.armed).toBe(0);
});

test('registration: an agent that forgot is told again', async () => {
  const { clock, agent, events, kept } = story();
  await kept.registered;
  await clock.expecting(checkMs);
  agent.known = false;
  clock.advance(checkMs);
  await clock.expecting(2 * checkMs);
  expect(events).toEqual(['registered', 'registered']);
  await kept[Symbol.asyncDispose]();
});

test('registration: while the agent is away it is asked every second; back without memory, it is told at once', async () => {
  const { clock, agent, events, kept } = story();
  await kept.registered;
  await clock.expecting(checkMs);
  Object.assign(agent, { up: false, known: false });
  kept.check(); // e.g. because the xDS stream broke
  await clock.expecting(checkLostMs);
  clock.advance(checkLostMs);
  await clock.expecting(2 * checkLostMs);
  agent.up = true;
  clock.advance(checkLostMs);
  await clock.expecting(2 * checkLostMs + checkMs);
  expect(events).toEqual(['registered', 'agentLost', 'agentBack', 'registered']);
  expect(agent.known).toBe(true);
  await kept[Symbol.asyncDispose]();
});

test('registration: whoever calls while the agent is being asked has it asked once more', async () => {
  const clock = new SteppedClock();
  const asked: (() => void)[] = [];
  const kept = keepRegistered({
    clock,
    rng: { below: () => 0 },
    body,
    onEvent: () => {},
    agent: {
      register: () => Promise.resolve(),
      knows: () => new Promise((resolve) => asked.push(() => resolve(true))),
    },
  });
  await kept.registered;
  await clock.expecting(checkMs);
  clock.advance(checkMs);
  await expect.poll(() => asked.length).toBe(1);
  kept.check();
  asked[0]?.();
  await expect.poll(() => asked.length).toBe(2);
  asked[1]?.();
  await clock.expecting(2 * checkMs);
  await kept[Symbol.asyncDispose]();
});

test('registration: an agent that is not there yet is tried until it is', async () => {
  const { clock, agent, events, kept } = story({ up: false });
  await clock.expecting(125);
  clock.advance(125);
  await clock.expecting(125 + 250);
  agent.up = true;
  clock.advance(250);
  await kept.registered;
  expect(events).toEqual(['failed', 'failed', 'registered']);
  await kept[Symbol.asyncDispose]();
});

test('registration: disposed while it fails, it ends and never resolves', async () => {
  const clock = new SteppedClock();
  const waits: number[] = [];
  const kept = keepRegistered({
    clock,
    rng: { below: () => 0 },
    body,
    onEvent: (e) => e.kind === 'failed' && waits.push(e.retryMs),
    agent: { register: () => Promise.reject(down), knows: () => Promise.resolve(false) },
  });
  let at = 0;
  for (const wait of [125, 250, 500, 1_000, 2_000, 4_000, 4_000]) {
    at += wait;
    await clock.expecting(at);
    clock.advance(wait);
  }
  await clock.expecting(at + 4_000);
  await kept[Symbol.asyncDispose]();
  expect(waits).toEqual([125, 250, 500, 1_000, 2_000, 4_000, 4_000, 4_000]);
  expect(clock.armed).toBe(0);
});
