import { SteppedClock } from '@fed/tooling/virtual-clock';
import { expect, test } from 'vitest';
import { AgentError } from './agent.ts';
import {
  checkLostMs,
  checkMs,
  type KeepRegisteredOptions,
  keepRegistered,
  type RegistrationEvent,
} from './keep-registered.ts';
import type { RegistrationBody } from './registration.ts';

const body = { ID: 'gw', Name: 'gw', Port: 8443 } as RegistrationBody;
const ours = { address: '', port: 8443 };
const down = new AgentError('unreachable', 'down');

type Asked = KeepRegisteredOptions['agents']['current'];

/** The only agent there is. */
function only(o: Pick<Asked, 'register' | 'instance'>): KeepRegisteredOptions['agents'] {
  const current = { url: 'a', self: async () => ({}), forget: async () => {}, ...o };
  return { current, count: 1, turn: () => {} };
}

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
    agents: only({
      async register(given) {
        expect(given).toBe(body);
        if (!agent.up) throw down;
        agent.registrations += 1;
        agent.known = true;
      },
      async instance(id) {
        expect(id).toBe('gw');
        agent.questions += 1;
        if (!agent.up) throw down;
        return agent.known ? ours : undefined;
      },
    }),
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
    agents: only({
      register: () => Promise.resolve(),
      instance: () => new Promise((resolve) => asked.push(() => resolve(ours))),
    }),
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
    agents: only({ register: () => Promise.reject(down), instance: () => Promise.resolve(undefined) }),
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

/** Agents a, b, …, each a server with a node of its own, whose catalog is one. */
function servers(names: readonly string[], gone: readonly string[] = []) {
  const clock = new SteppedClock();
  const up = new Set(names.filter((name) => !gone.includes(name)));
  /** Where the gateway is registered: node to port. */
  const catalog = new Map<string, number>();
  const events: string[] = [];
  let forgetting = (_node: string): void => {};
  let at = 0;
  const agents = names.map((name): Asked => {
    const asked = <T>(answer: () => T): Promise<T> =>
      up.has(name) ? Promise.resolve().then(answer) : Promise.reject(down);
    return {
      url: name,
      register: () => asked(() => void catalog.set(`node-${name}`, body.Port)),
      instance: () =>
        asked(() => {
          const port = catalog.get(`node-${name}`);
          return port === undefined ? undefined : { address: '', port };
        }),
      self: () => asked(() => ({ node: `node-${name}` })),
      forget: (node) =>
        asked(() => {
          forgetting(node);
          catalog.delete(node);
        }),
    };
  });
  const kept = keepRegistered({
    agents: {
      get current() {
        return agents[at] as Asked;
      },
      count: agents.length,
      turn: () => {
        at = (at + 1) % agents.length;
      },
    },
    body,
    clock,
    rng: { below: () => 0 },
    onEvent: (e) => {
      if (e.kind === 'registered') events.push(`${e.again ? 'again' : 'registered'} ${e.url}`);
      else if (e.kind === 'moved') events.push(`${e.from} -> ${e.to}`);
      else if (e.kind === 'failed') events.push(`failed ${e.retryMs}`);
      else if (e.kind === 'takenOver') events.push(`taken by ${e.by}`);
      else events.push(e.kind);
    },
  });
  return {
    clock,
    up,
    catalog,
    events,
    kept,
    refuseToForget: () => {
      forgetting = () => {
        throw new AgentError('refused', 'no');
      };
    },
    /** What the next pause ends with, `ms` from now. */
    async step(ms: number) {
      const when = clock.now() + ms;
      await clock.expecting(when);
      clock.advance(ms);
    },
    async resting(ms: number) {
      await clock.expecting(clock.now() + ms);
    },
  };
}

test('registration: an agent that is silent twice gives way to the next, and what stood there is taken away', async () => {
  const w = servers(['a', 'b', 'c']);
  await w.kept.registered;
  w.up.delete('a');
  await w.step(checkMs);
  await w.step(checkLostMs);
  await w.resting(checkMs);
  expect(w.events).toEqual(['registered a', 'agentLost', 'a -> b']);
  expect([...w.catalog.keys()]).toEqual(['node-b']);
  w.up.add('a');
  await w.step(checkMs);
  await w.resting(checkMs);
  expect(w.events, 'it stays where it was taken').toHaveLength(3);
  await w.kept[Symbol.asyncDispose]();
  expect(w.clock.armed).toBe(0);
});

test('registration: one short silence is no reason to move', async () => {
  const w = servers(['a', 'b']);
  await w.kept.registered;
  w.up.delete('a');
  await w.step(checkMs);
  await w.resting(checkLostMs);
  w.up.add('a');
  w.clock.advance(checkLostMs);
  await w.resting(checkMs);
  expect(w.events).toEqual(['registered a', 'agentLost', 'agentBack']);
  await w.kept[Symbol.asyncDispose]();
});

test('registration: the next one being gone, too, it is the one after; all gone, round and round with growing pauses', async () => {
  const w = servers(['a', 'b', 'c']);
  await w.kept.registered;
  for (const name of ['a', 'b', 'c']) w.up.delete(name);
  await w.step(checkMs);
  await w.step(checkLostMs);
  await w.resting(125);
  expect(w.events).toEqual(['registered a', 'agentLost', 'failed 0', 'failed 0', 'failed 125']);
  w.up.add('c');
  w.clock.advance(125);
  await w.resting(checkMs);
  expect(w.events.slice(5)).toEqual(['failed 0', 'a -> c']);
  expect([...w.catalog.keys()]).toEqual(['node-c']);
  await w.kept[Symbol.asyncDispose]();
});

test('registration: what may not be taken away is told, and the new place is kept', async () => {
  const w = servers(['a', 'b']);
  w.refuseToForget();
  await w.kept.registered;
  w.up.delete('a');
  await w.step(checkMs);
  await w.step(checkLostMs);
  await w.resting(checkMs);
  expect(w.events.slice(2)).toEqual(['a -> b', 'leftBehind']);
  await w.kept[Symbol.asyncDispose]();
});

test('registration: the first agent being gone from the start, it is the next', async () => {
  const w = servers(['a', 'b'], ['a']);
  await w.kept.registered;
  expect(w.events).toEqual(['failed 0', 'registered b']);
  await w.kept[Symbol.asyncDispose]();
});

test('registration: another gateway under our id is told once, and not fought; gone again, we take our place', async () => {
  const w = servers(['a']);
  await w.kept.registered;
  w.catalog.set('node-a', 9443);
  for (let i = 0; i < 3; i++) await w.step(checkMs);
  await w.resting(checkMs);
  expect(w.events).toEqual(['registered a', 'taken by (the node):9443']);
  expect(w.catalog.get('node-a')).toBe(9443);
  w.catalog.delete('node-a');
  w.clock.advance(checkMs);
  await w.resting(checkMs);
  expect(w.events.at(-1)).toBe('again a');
  w.catalog.set('node-a', 9443);
  w.clock.advance(checkMs);
  await w.resting(checkMs);
  w.catalog.set('node-a', body.Port);
  w.clock.advance(checkMs);
  await w.resting(checkMs);
  expect(w.events.slice(3)).toEqual(['taken by (the node):9443', 'oursAgain']);
  await w.kept[Symbol.asyncDispose]();
});
