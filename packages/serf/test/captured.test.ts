/**
 * What live serf and Consul agents said to each other: every serf payload reads as Go read it, and we would have written
 * the same bytes.
 */
import { describe, expect, test } from 'vitest';
import { decodeAckPayload, encodeAckPayload } from '../src/wire/ack-payload.ts';
import { decodeMessage } from '../src/wire/decode.ts';
import { encodeMessage } from '../src/wire/encode.ts';
import { comparable, goShape, hex, type Json, toHex, vectorFile } from './go-json.ts';
import { unpackPacket, unpackStream } from './unpack.ts';

for (const file of [
  'captured-serf-plain',
  'captured-serf-encrypted',
  'captured-consul-lan',
  'captured-consul-wan',
  'captured-consul-wan-encrypted',
  'captured-mixed-versions',
  'captured-label-encrypted',
])
  describe(file, () => {
    for (const v of vectorFile(file).vectors) {
      const expected = collect(v.decoded);
      if (expected.serf.length + expected.states.length + expected.acks === 0) continue;
      test(v.name, () => {
        const inside = (v.kind === 'packet' ? unpackPacket : unpackStream)(hex(v.hex), v);
        expect(inside.serf).toHaveLength(expected.serf.length);
        for (const [i, payload] of inside.serf.entries()) same(payload, expected.serf[i]);
        expect(inside.states).toHaveLength(expected.states.length);
        for (const [i, state] of inside.states.entries()) sameState(state, expected.states[i]);
        expect(inside.acks).toHaveLength(expected.acks);
        for (const ack of inside.acks)
          if (ack.length > 0) expect(toHex(encodeAckPayload(decodeAckPayload(ack)))).toBe(toHex(ack));
      });
    }
  });

function same(payload: Uint8Array, expected: Json): void {
  const m = decodeMessage(payload);
  const { payload: inner, filters: _filters, ...shape } = expected;
  expect(comparable(goShape(m))).toEqual(comparable(shape));
  if (inner !== undefined && (m.kind === 'query' || m.kind === 'queryResponse')) same(m.payload!, inner);
  const again = encodeMessage(m);
  expect(toHex(again)).toBe(olderCodec(toHex(payload)));
  expect(decodeMessage(again)).toEqual(m);
}

/** The newer codec writes signed numbers (a query's timeout, a relay's port) as such; we write them as the older one. */
function olderCodec(recorded: string): string {
  return recorded
    .replace(/(a754696d656f7574)d([23])/, (_, timeout, size) => `${timeout}c${size === '2' ? 'e' : 'f'}`)
    .replace('a4506f7274d1', 'a4506f7274cd');
}

function sameState(state: Uint8Array, expected: Json): void {
  const m = decodeMessage(state);
  if (m.kind !== 'pushPull') throw new Error(`a ${m.kind} is no push/pull`);
  expect(m.events).toHaveLength(expected.eventsLength);
  const shown = goShape({ ...m, events: (m.events ?? []).filter((slot) => slot !== null) });
  expect(comparable(shown.message)).toEqual(comparable(expected.message));
  expect(toHex(encodeMessage(m))).toBe(toHex(state));
}

/** What Go found inside, in the order of the bytes. */
function collect(decoded: Json): { serf: Json[]; states: Json[]; acks: number } {
  const found = { serf: [] as Json[], states: [] as Json[], acks: 0 };
  const walk = (x: Json): void => {
    if (Array.isArray(x)) x.forEach(walk);
    else if (x !== null && typeof x === 'object') {
      if ('serf' in x) found.serf.push(x.serf);
      else if ('userState' in x && x.userState !== null) found.states.push(x.userState);
      else {
        if (x.typeName === 'ackResp') found.acks++;
        Object.values(x).forEach(walk);
      }
    }
  };
  walk(decoded);
  return found;
}
