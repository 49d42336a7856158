/**
 * The scenarios recorded from serf's own member, event and query handling, step by step.
 */
import type { Member } from '@fed/memberlist';
import { describe, expect, test } from 'vitest';
import { defaults } from '../src/config.ts';
import { Core } from '../src/core/core.ts';
import type { Effect } from '../src/core/effects.ts';
import { answerKeyQuery, type KeyOperation } from '../src/core/keys.ts';
import { internalPrefix } from '../src/core/query-desk.ts';
import { dialText } from '../src/wire/address.ts';
import { decodeMessage } from '../src/wire/decode.ts';
import { encodeMessage } from '../src/wire/encode.ts';
import type { Message } from '../src/wire/message.ts';
import { comparable, goShape, hex, type Json, vectorFile } from './go-json.ts';

const rng = { below: (): number => 0 };
const vsn = { pMin: 1, pMax: 5, pCur: 2, dMin: 2, dMax: 5, dCur: 4 };

describe('serf-state', () => {
  for (const v of vectorFile('serf-state').vectors) test(`${v.name}: ${v.description}`, () => play(v.steps));
});

function play(steps: readonly Json[]): void {
  let now = 100 * 24 * 3_600_000;
  const tags = { role: 'web' };
  const core = new Core({
    name: 'self',
    tags,
    config: { ...defaults, eventBufferSlots: 8, queryBufferSlots: 8 },
    retransmitMult: 4,
    udpBufferBytes: 1_400,
    rng,
    now,
  });
  const meta = Buffer.from(`ff81a4726f6c65a3776562`, 'hex');
  core.memberJoined(node('self', meta));
  for (const [i, step] of steps.entries()) {
    let passedOn: boolean | undefined;
    const effects: Effect[] = [];
    const take = (more: readonly Effect[]): void => void effects.push(...more);
    let queuedHere: Uint8Array[] = [];
    switch (step.op) {
      case 'nodeJoin':
        take(core.memberJoined(node(step.node, hex('ff80'))));
        break;
      case 'nodeLeave':
        take(core.memberLost(step.node, now));
        break;
      case 'leave':
      case 'join':
      case 'userEvent':
      case 'query': {
        const m = fromGo(step.op, comparable(step.message));
        const bytes = encodeMessage(m);
        take(core.heard(bytes, now));
        const queued = takeAll(core);
        passedOn = queued.some((q) => Buffer.compare(q, bytes) === 0);
        queuedHere = queued.filter((q) => Buffer.compare(q, bytes) !== 0);
        break;
      }
      case 'merge':
        take(core.merge(hex(step.hex), false, now));
        break;
      case 'age': {
        const row = core.members.get(step.node);
        expect(row).toBeDefined();
        row!.goneAt = now - step.ms;
        break;
      }
      case 'reap':
        now = core.deadline();
        take(core.expire(now));
        break;
      default:
        throw new Error(`no such operation: ${step.op}`);
    }
    for (const e of [...effects])
      if (e.kind === 'asked' && e.scope === 'keys') {
        const operation = e.query.name.slice(internalPrefix.length) as KeyOperation;
        const { answer } = answerKeyQuery(operation, e.query.payload, undefined);
        take(core.respond(e.query, encodeMessage(answer), now));
      }
    queuedHere.push(...takeAll(core));
    const where = `step ${i}, ${step.op}`;
    if (step.rebroadcast !== undefined) expect(passedOn, where).toBe(step.rebroadcast);
    expect(seen(core, effects, queuedHere), where).toEqual(comparable(withoutNil(step.after)));
  }
}

/** Everything queued, which afterwards it no longer is: each step is looked at by itself. */
function takeAll(core: Core): Uint8Array[] {
  const all = new Set<Uint8Array>();
  while (core.queues.intents.length + core.queues.queries.length + core.queues.events.length > 0)
    for (const m of core.queues.take(3, 60_000).messages) all.add(m);
  return [...all];
}

function seen(core: Core, effects: readonly Effect[], queuedHere: readonly Uint8Array[]): Json {
  const intents: Json = {};
  for (const [name, { kind, ltime }] of core.intents.entries()) intents[name] = { LTime: ltime, type: kind };
  return comparable({
    clocks: [core.clock.time, core.userEvents.clock.time, core.queries.clock.time],
    events: effects.flatMap((e) => told(e)),
    failed: Array.from(core.members.failed, (r) => r.name),
    intents,
    left: Array.from(core.members.left, (r) => r.name),
    members: Array.from(core.members.all(), (r) => ({
      Name: r.name,
      Status: r.status,
      StatusLTime: r.statusLTime,
    })).sort((a, b) => (a.Name < b.Name ? -1 : 1)),
    packets: effects.flatMap((e) => (e.kind === 'send' ? [packet(e)] : [])),
    queuedHere: queuedHere.map((q) => goShape(decodeMessage(q))),
  });
}

function told(e: Effect): Json[] {
  if (e.kind === 'asked')
    return e.scope === 'application' ? [{ LTime: e.query.ltime, event: 'query', name: e.query.name }] : [];
  if (e.kind !== 'tell') return [];
  if (e.event.kind !== 'user') return [{ event: e.event.kind, members: e.event.members.map((m) => m.name) }];
  const { ltime, coalesce, name, payload } = e.event;
  return [
    {
      LTime: ltime,
      coalesce,
      event: 'user',
      name,
      payload: { $bytes: Buffer.from(payload).toString('hex') },
    },
  ];
}

function packet(e: Extract<Effect, { kind: 'send' }>): Json {
  const m = decodeMessage(e.message);
  const inside =
    m.kind === 'queryResponse' && m.payload !== null && m.payload.length > 0
      ? { payload: goShape(decodeMessage(m.payload)) }
      : {};
  return { message: { ...goShape(m), ...inside }, to: `${dialText(e.to.addr)}:${e.to.port}` };
}

/** The recording puts a decoded payload beside the message; nil payloads of events read as empty. */
function withoutNil(after: Json): Json {
  return {
    ...after,
    events: after.events.map((e: Json) =>
      'payload' in e ? { ...e, payload: e.payload ?? { $bytes: '' } } : e,
    ),
    packets: after.packets.map((p: Json) => {
      const { payload, ...message } = p.message;
      return payload === undefined ? p : { ...p, message: { ...message, payload } };
    }),
  };
}

function node(name: string, meta: Uint8Array): Member {
  const last = name === 'self' ? 1 : name.charCodeAt(0) - 96;
  const addr = Uint8Array.of(10, 0, 0, last);
  return { name, host: dialText(addr)!, port: 7946, addr, meta, state: 'alive', incarnation: 1, vsn };
}

function fromGo(kind: 'leave' | 'join' | 'userEvent' | 'query', m: Json): Message {
  switch (kind) {
    case 'leave':
      return { kind, ltime: m.LTime, node: m.Node, prune: m.Prune };
    case 'join':
      return { kind, ltime: m.LTime, node: m.Node };
    case 'userEvent':
      return { kind, ltime: m.LTime, name: m.Name, payload: hex(m.Payload), coalesce: m.CC };
    case 'query':
      return {
        kind,
        ltime: m.LTime,
        id: Number(m.ID),
        addr: hex(m.Addr),
        port: Number(m.Port),
        sourceNode: m.SourceNode,
        filters: m.Filters.map(hex),
        flags: Number(m.Flags),
        relayFactor: Number(m.RelayFactor),
        timeoutNs: m.Timeout,
        name: m.Name,
        payload: hex(m.Payload),
      };
  }
}
