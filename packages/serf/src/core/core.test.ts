import type { Member } from '@fed/memberlist';
import { describe, expect, test } from 'vitest';
import { defaults, type SerfConfig } from '../config.ts';
import { decodeMessage } from '../wire/decode.ts';
import { encodeFilter, encodeMessage } from '../wire/encode.ts';
import type { Message, QueryMessage } from '../wire/message.ts';
import { Core } from './core.ts';
import type { Effect } from './effects.ts';
import { intentsMax } from './intents.ts';
import { lamportTimeMax } from './lamport.ts';
import { queriesPerTimeMax } from './queries.ts';
import { eventsPerTimeMax } from './user-events.ts';

const hour = 3_600_000;

function open(
  o: { config?: Partial<SerfConfig>; below?: (n: number) => number; members?: readonly string[] } = {},
): Core {
  const core = new Core({
    name: 'self',
    tags: { role: 'web' },
    config: { ...defaults, ...o.config },
    retransmitMult: 4,
    udpBufferBytes: 1_400,
    rng: { below: o.below ?? (() => 0) },
    now: 0,
  });
  for (const name of ['self', ...(o.members ?? [])]) core.memberJoined(node(name));
  return core;
}

function node(name: string, pMax = 5): Member {
  const vsn = { pMin: 1, pMax, pCur: 2, dMin: 2, dMax: 5, dCur: 4 };
  const addr = Uint8Array.of(10, 0, 0, name.length);
  return {
    name,
    host: addr.join('.'),
    port: 7946,
    addr,
    meta: Buffer.from('ff80', 'hex'),
    state: 'alive',
    incarnation: 1,
    vsn,
  };
}

const hear = (core: Core, m: Message, now = 0): readonly Effect[] => core.heard(encodeMessage(m), now);
const told = (effects: readonly Effect[]): string[] =>
  effects.flatMap((e) =>
    e.kind === 'tell'
      ? ['members' in e.event ? `${e.event.kind} ${e.event.members[0]?.name}` : e.event.name]
      : [],
  );
const of = <K extends Effect['kind']>(effects: readonly Effect[], kind: K): Extract<Effect, { kind: K }>[] =>
  effects.filter((e): e is Extract<Effect, { kind: K }> => e.kind === kind);

const query = (o: Partial<QueryMessage> = {}): QueryMessage => ({
  kind: 'query',
  ltime: 3n,
  id: 1,
  addr: Uint8Array.of(10, 0, 0, 9),
  port: 7946,
  sourceNode: 'asker',
  filters: null,
  flags: 0,
  relayFactor: 0,
  timeoutNs: 5_000_000_000n,
  name: 'q',
  payload: null,
  ...o,
});

describe('leaving', () => {
  test('who says goodbye to memberlist has left, also where its intent comes too late; nobody is told twice', () => {
    const core = open({ members: ['b'] });
    expect(told(core.memberLost('b', 1_000, true))).toEqual(['member-leave b']);
    expect(told(hear(core, { kind: 'leave', ltime: 9n, node: 'b', prune: false }, 2_000))).toEqual([]);
    expect(core.members.get('b')?.status).toBe('left');
  });
});

describe('what peers make us keep', () => {
  test('an intent about a name longer than any is dropped, also in a push/pull', () => {
    const core = open();
    const name = 'x'.repeat(513);
    const effects = hear(core, { kind: 'leave', ltime: 9n, node: name, prune: false });
    expect(of(effects, 'log').map(({ entry }) => entry.code)).toEqual(['name_too_long']);
    const state = { ltime: 9n, eventLTime: 0n, events: [], queryLTime: 0n, leftMembers: [name] };
    core.merge(encodeMessage({ kind: 'pushPull', statusLTimes: new Map([[name, 4n]]), ...state }), false, 0);
    expect([...core.intents.entries()]).toEqual([]);
    expect(core.queues.length).toBe(0);
  });

  test('what no packet has room for is told, and does not wait for one', () => {
    const core = open({ members: ['b'] });
    const effects = hear(core, {
      kind: 'userEvent',
      ltime: 3n,
      name: 'big',
      payload: new Uint8Array(60_000),
      coalesce: false,
    });
    expect(told(effects)).toEqual(['big']);
    expect(of(effects, 'log').map(({ entry }) => entry.code)).toEqual(['message_too_long']);
    expect(core.queues.length).toBe(0);
  });

  test('a query whose expressions add up to too many steps means nobody', () => {
    const core = open();
    const filter = (expression: string): Uint8Array => encodeFilter({ kind: 'tag', tag: 'role', expression });
    const costly = filter('(w?){1000}'); // some 2,000 steps of the 16,384 there may be
    const asked = (id: number, filters: readonly Uint8Array[]): unknown[] =>
      of(hear(core, query({ id, filters })), 'asked');
    expect(
      asked(
        1,
        Array.from({ length: 8 }, () => costly),
      ),
    ).toHaveLength(1);
    expect(
      asked(
        2,
        Array.from({ length: 9 }, () => costly),
      ),
    ).toEqual([]);
  });

  test('one query takes 64 MiB of answers, whoever they say they are from', () => {
    const core = open();
    const question = { name: 'q', payload: new Uint8Array(0), filters: [], ack: false, relayFactor: 0 };
    const reply = { addr: Uint8Array.of(10, 0, 0, 1), port: 7946, name: 'self' };
    const { ltime } = core.query({ ...question, timeoutMs: 5_000, reply }, 0);
    const { id } = decodeMessage(core.queues.take(3, 1_000).messages[0]!) as QueryMessage;
    const payload = new Uint8Array(256 * 1_024);
    let taken = 0;
    for (let i = 0; i < 300; i++) {
      const answer = { kind: 'queryResponse', ltime, id, from: `n${i}`, flags: 0, payload } as const;
      taken += of(hear(core, answer), 'answered').length;
    }
    expect(taken).toBe(256);
  });
});

describe('reap and reconnect', () => {
  test('failed members are forgotten after 24 h, and intents after 5 min, looked for every 15 s', () => {
    const core = open({ members: ['b'] });
    core.memberLost('b', 1_000);
    hear(core, { kind: 'join', ltime: 4n, node: 'unknown' }, 1_000);
    expect(core.deadline()).toBe(15_000);
    core.expire(5 * 60_000 + 1_000);
    expect(core.intents.get('unknown')).toBeDefined();
    core.expire(6 * 60_000);
    expect(core.intents.get('unknown')).toBeUndefined();
    expect(told(core.expire(24 * hour + 1_000))).toEqual([]);
    expect(told(core.expire(25 * hour))).toEqual(['member-reap b']);
  });

  test('a failed member is tried by its name and address, as often as failed to alive', () => {
    const throws: number[] = [];
    let throwOf = 3;
    const below = (n: number): number => {
      throws.push(n);
      return n === 1 ? 0 : throwOf;
    };
    const core = open({ members: ['b', 'cc', 'ddd', 'eeee'], below });
    core.memberLost('cc', 0);
    expect(of(core.expire(30_000), 'reconnect')).toEqual([]);
    expect(throws).toEqual([4]);
    throwOf = 0;
    expect(of(core.expire(60_000), 'reconnect').map((e) => e.to)).toEqual([
      { name: 'cc', host: '10.0.0.2', port: 7946 },
    ]);
    core.phase = 'leaving';
    expect(of(core.expire(90_000), 'reconnect')).toEqual([]);
  });

  test('switched off, nobody is tried', () => {
    const core = open({ members: ['b'], config: { reconnectIntervalMs: 0 } });
    core.memberLost('b', 0);
    expect(of(core.expire(hour), 'reconnect')).toEqual([]);
  });
});

describe('prune', () => {
  const leave = { kind: 'leave', ltime: 5n, node: 'b', prune: true } as const;

  test('a member still here is forgotten only after its leaving had time to spread', () => {
    const core = open({ members: ['b'] });
    expect(told(hear(core, leave, 0))).toEqual([]);
    expect(core.deadline()).toBe(6_000);
    expect(told(core.expire(5_999))).toEqual([]);
    expect(told(core.memberLost('b', 3_000))).toEqual(['member-leave b']);
    expect(told(core.expire(6_000))).toEqual(['member-reap b']);
  });

  test('one that says meanwhile that it stays, stays', () => {
    const core = open({ members: ['b'] });
    hear(core, leave, 0);
    hear(core, { kind: 'join', ltime: 6n, node: 'b' }, 1);
    expect(told(core.expire(6_000))).toEqual([]);
    expect(core.members.get('b')?.status).toBe('alive');
  });
});

describe('leaving', () => {
  test('alone, nobody needs to be told', () => {
    const effects = open().leave({ node: 'self', prune: false, token: 7 }, 0);
    expect(of(effects, 'broadcastDone')).toEqual([{ kind: 'broadcastDone', token: 7 }]);
  });

  test('in company, it is done when the intent was sent often enough; then our own loss makes us left', () => {
    const core = open({ members: ['b'] });
    core.phase = 'leaving';
    expect(of(core.leave({ node: 'self', prune: false, token: 7 }, 0), 'broadcastDone')).toEqual([]);
    const finished = [1, 2, 3, 4].flatMap(() => core.queues.take(3, 1_000).finished);
    expect(finished).toEqual([7]);
    expect(told(core.memberLost('self', 0))).toEqual(['member-leave self']);
    expect(core.members.get('self')?.status).toBe('left');
  });
});

describe('push/pull', () => {
  test('a join that ignores old events hears none of the past', () => {
    const from = open();
    from.userEvent({ name: 'old', payload: new Uint8Array(0), coalesce: false });
    const late = open();
    late.ignoreOldJoins++;
    expect(told(late.merge(from.localState(), true, 0))).toEqual([]);
    late.ignoreOldJoins--;
    expect(told(late.merge(from.localState(), true, 0))).toEqual([]);
    from.userEvent({ name: 'new', payload: new Uint8Array(0), coalesce: false });
    expect(told(late.merge(from.localState(), false, 0))).toEqual(['new']);
  });

  test('what we send is what a merge reads: clocks, intents, those who left', () => {
    const core = open({ members: ['b', 'c'] });
    hear(core, { kind: 'leave', ltime: 41n, node: 'b', prune: false });
    core.memberLost('b', 0);
    const m = decodeMessage(core.localState());
    expect(m).toMatchObject({
      kind: 'pushPull',
      ltime: 42n,
      leftMembers: ['b'],
      eventLTime: 1n,
      queryLTime: 1n,
    });
    expect(m.kind === 'pushPull' && m.events?.length).toBe(512);
    const other = open({ members: ['b'] });
    other.merge(core.localState(), false, 0);
    expect(other.members.get('b')).toMatchObject({ status: 'leaving', statusLTime: 42n });
    expect(other.clock.time).toBe(43n);
  });

  test('state that is no push/pull changes nothing', () => {
    const core = open();
    expect(of(core.merge(Uint8Array.of(2, 0xc1), false, 0), 'log')).toHaveLength(1);
    expect(
      of(core.merge(encodeMessage({ kind: 'join', ltime: 9n, node: 'x' }), false, 0), 'log'),
    ).toHaveLength(1);
    expect(core.merge(new Uint8Array(0), false, 0)).toEqual([]);
    expect(core.clock.time).toBe(1n);
  });
});

describe('queries', () => {
  test('an ack goes to the asker, and by as many relays as asked for that understand it', () => {
    const core = open({ members: ['b', 'cc', 'ddd'] });
    core.memberJoined(node('old!', 4));
    const sent = of(hear(core, query({ flags: 1, relayFactor: 2 })), 'send');
    expect(sent.map((s) => s.to.name)).toEqual(['asker', 'b', 'cc']);
    const relay = decodeMessage(sent[1]!.message);
    expect(relay).toMatchObject({ kind: 'relay', port: 7946, node: 'asker' });
    expect(relay.kind === 'relay' && Buffer.compare(relay.inner, sent[0]!.message)).toBe(0);
    expect(of(hear(core, query({ id: 2, flags: 1, relayFactor: 5 })), 'send')).toHaveLength(1);
  });

  test('a relayed message is sent on as it is; a relay inside a relay is not', () => {
    const core = open();
    const inner = encodeMessage({
      kind: 'queryResponse',
      ltime: 1n,
      id: 1,
      from: 'b',
      flags: 1,
      payload: null,
    });
    const relay = {
      kind: 'relay',
      addr: Uint8Array.of(10, 0, 0, 7),
      port: 9,
      zone: '',
      node: 'asker',
      inner,
    } as const;
    expect(of(hear(core, relay), 'send')).toMatchObject([{ to: { port: 9, name: 'asker' }, message: inner }]);
    expect(of(hear(core, { ...relay, inner: encodeMessage(relay) }), 'send')).toEqual([]);
  });

  test('one answer, in time and within its size', () => {
    const core = open();
    const [asked] = of(hear(core, query(), 1_000), 'asked');
    expect(asked?.query.until).toBe(6_000);
    expect(() => core.respond(asked!.query, new Uint8Array(1_024), 1_000)).toThrowError(
      expect.objectContaining({ code: 'response_too_large' }),
    );
    expect(() => core.respond(asked!.query, new Uint8Array(1), 6_001)).toThrowError(
      expect.objectContaining({ code: 'query_expired' }),
    );
    expect(of(core.respond(asked!.query, new Uint8Array(1), 6_000), 'send')).toHaveLength(1);
    expect(() => core.respond(asked!.query, new Uint8Array(1), 6_000)).toThrowError(
      expect.objectContaining({ code: 'query_answered' }),
    );
  });

  test('of our own: one ack and one answer from each, until time is up', () => {
    const core = open({ members: ['b'] });
    const reply = { addr: Uint8Array.of(10, 0, 0, 4), port: 7946, name: 'self' };
    const q = {
      name: 'q',
      payload: new Uint8Array(0),
      filters: [],
      ack: true,
      relayFactor: 0,
      timeoutMs: 100,
      reply,
    };
    const { ltime, effects } = core.query(q, 0);
    expect(of(effects, 'asked')).toHaveLength(1);
    expect(of(effects, 'send')).toHaveLength(1);
    const id = (decodeMessage(core.queues.take(3, 1_000).messages[0]!) as QueryMessage).id;
    const answer = {
      kind: 'queryResponse',
      ltime,
      id,
      from: 'b',
      flags: 0,
      payload: Uint8Array.of(1),
    } as const;
    expect(hear(core, { ...answer, flags: 1 }, 1)).toEqual([{ kind: 'acked', ltime, from: 'b' }]);
    expect(of(hear(core, answer, 2), 'answered')).toHaveLength(1);
    expect(hear(core, answer, 3)).toEqual([]);
    expect(hear(core, { ...answer, flags: 1 }, 3)).toEqual([]);
    expect(hear(core, { ...answer, from: 'c', id: id + 1 }, 3)).toEqual([]);
    expect(hear(core, { ...answer, from: 'd' }, 100)).toEqual([]);
    expect(core.deadline()).toBe(100);
    expect(of(core.expire(100), 'queryOver')).toEqual([{ kind: 'queryOver', ltime }]);
  });

  test('below protocol 4 there are none', () => {
    const core = open({ config: { protocolVersion: 3 } });
    const reply = { addr: new Uint8Array(4), port: 1, name: 'self' };
    const q = {
      name: 'q',
      payload: new Uint8Array(0),
      filters: [],
      ack: false,
      relayFactor: 0,
      timeoutMs: 1,
      reply,
    };
    expect(() => core.query(q, 0)).toThrowError(expect.objectContaining({ code: 'protocol_too_old' }));
  });

  test('filters look at the tags as they are now', () => {
    const core = open();
    const filters = [encodeFilter({ kind: 'tag', tag: 'role', expression: '^db$' })];
    expect(of(hear(core, query({ filters })), 'asked')).toEqual([]);
    core.setTags({ role: 'db' });
    expect(of(hear(core, query({ filters, id: 2 })), 'asked')).toHaveLength(1);
  });
});

// I5
describe('what peers can make us keep', () => {
  test('intents of unknown names: the newest', () => {
    const core = open();
    for (let i = 0; i <= intentsMax; i++) hear(core, { kind: 'join', ltime: 5n, node: `n${i}` });
    expect([...core.intents.entries()]).toHaveLength(intentsMax);
    expect(core.intents.get('n0')).toBeUndefined();
  });

  test('queued messages: as many as configured, or twice the members', () => {
    const event = (i: number): Message => ({
      kind: 'userEvent',
      ltime: 9n,
      name: `e${i}`,
      payload: null,
      coalesce: false,
    });
    const fixed = open({ config: { maxQueueDepth: 10 } });
    const grown = open({ config: { minQueueDepth: 4 }, members: ['b', 'c'] });
    for (const core of [fixed, grown]) for (let i = 0; i < 50; i++) hear(core, event(i));
    expect([fixed.queues.events.length, grown.queues.events.length]).toEqual([10, 6]);
  });

  test('events and queries of one time: a thousand, the rest is neither told nor passed on', () => {
    const core = open();
    const tell = (i: number): number =>
      told(hear(core, { kind: 'userEvent', ltime: 9n, name: `e${i}`, payload: null, coalesce: false }))
        .length;
    for (let i = 0; i < eventsPerTimeMax; i++) tell(i);
    expect(tell(eventsPerTimeMax)).toBe(0);
    for (let id = 0; id < queriesPerTimeMax; id++) hear(core, query({ id }));
    expect(of(hear(core, query({ id: queriesPerTimeMax })), 'asked')).toEqual([]);
  });

  test('a time with no successor moves no clock', () => {
    const core = open({ members: ['b'] });
    hear(core, { kind: 'join', ltime: lamportTimeMax, node: 'b' });
    hear(core, { kind: 'userEvent', ltime: lamportTimeMax, name: 'x', payload: null, coalesce: false });
    expect([core.clock.time, core.userEvents.clock.time]).toEqual([1n, 1n]);
    const state = core.localState();
    const other = open({ members: ['b'] });
    other.merge(encodeMessage({ ...decodeMessage(state), leftMembers: ['b'] } as Message), false, 0);
    expect(other.members.get('b')?.statusLTime).toBe(lamportTimeMax);
    expect(decodeMessage(other.localState()).kind).toBe('pushPull');
  });

  test('messages that mean nothing leave a line in the log and nothing else', () => {
    const core = open({ members: ['b'] });
    for (const bytes of ['', '63', '00c1', '0081a54c54696d65ff', '06c0', '0281'].map((h) =>
      Buffer.from(h, 'hex'),
    )) {
      const effects = core.heard(bytes, 0);
      expect(effects.map((e) => e.kind)).toEqual(['log']);
    }
    expect(core.queues.take(3, 60_000).messages).toEqual([]);
  });
});
