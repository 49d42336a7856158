/** Every session recorded from hashicorp/yamux, told again: same events, same frames in the same order. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { corePair, End, type Pair, type SentFrame } from './core-pair.ts';

interface RecordedFrame {
  readonly dir: 'c>s' | 's>c';
  readonly headerHex: string;
  readonly payloadHex?: string;
  readonly payloadLength?: number;
  readonly payloadSha256?: string;
  readonly flags: readonly string[];
}
interface Scenario {
  readonly name: string;
  readonly frames: readonly RecordedFrame[] | null;
  readonly result?: string;
}
const recorded: { scenarios: Scenario[] } = JSON.parse(
  readFileSync(new URL('vectors/yamux.json', import.meta.url), 'utf8'),
);

/** What the two applications did while it was recorded. */
const stories: Record<string, (pair: Pair) => void> = {
  'session open': () => {},
  'stream open + request/response + close (one RPC style exchange)': ({ client, server }) => {
    client.open();
    server.step({ kind: 'accept', id: 1 });
    client.write(1, 'hello');
    server.write(1, 'world');
    client.step({ kind: 'end', id: 1 });
    server.step({ kind: 'end', id: 1 });
    expect(server.received(1).toString()).toBe('hello');
    expect(client.received(1).toString()).toBe('world');
    expect([client.told.at(-1), server.told.at(-1)]).toEqual(['ended 1', 'ended 1']);
  },
  'server opens a stream (even id 2)': ({ client, server }) => {
    server.open();
    client.step({ kind: 'accept', id: 2 });
    server.write(2, 'x');
    client.step({ kind: 'end', id: 2 });
    server.step({ kind: 'end', id: 2 });
  },
  'write before accept (data arrives before ACK)': ({ client, server }) => {
    client.open();
    client.write(1, 'early');
    server.step({ kind: 'accept', id: 1 });
    client.step({ kind: 'end', id: 1 });
    server.step({ kind: 'end', id: 1 });
    expect(server.received(1).toString()).toBe('early');
  },
  'server writes first': ({ client, server }) => {
    client.open();
    server.step({ kind: 'accept', id: 1 });
    server.write(1, 'srv-first');
    expect(client.received(1).toString()).toBe('srv-first');
  },
  'window: 300000 bytes with no reader, then reader drains': ({ client, server }) => {
    client.open();
    server.step({ kind: 'accept', id: 1 });
    client.write(1, Buffer.alloc(300_000, 0x42));
    server.step({ kind: 'consumed', id: 1, bytes: 131_072 });
    server.step({ kind: 'consumed', id: 1, bytes: 131_072 });
    expect(server.received(1).length).toBe(300_000);
  },
  'ping from client, then from server': ({ client, server }) => {
    client.ping();
    client.ping();
    server.ping();
    expect(client.told).toEqual(['pong', 'pong']);
    expect(server.told).toEqual(['pong']);
  },
  'go away (normal) by the server, then client open': ({ client, server }) => {
    server.step({ kind: 'goAway' });
    expect(client.open()).toEqual({ kind: 'refused', why: 'go_away' });
  },
  'go away by the client, then server open': ({ client, server }) => {
    client.step({ kind: 'goAway' });
    expect(server.open()).toEqual({ kind: 'refused', why: 'go_away' });
  },
  'accept backlog exceeded -> RST': ({ client }) => {
    client.open();
    client.open();
    expect(client.told).toEqual(['reset 3']);
  },
};

describe('recorded yamux sessions, both ends ours', () => {
  for (const scenario of recorded.scenarios.filter((s) => s.name in stories))
    test(scenario.name, () => {
      const pair = corePair({
        client: { frameBytesMax: 262_144 }, // the recorded sender fills its whole credit with one frame
        server: scenario.name.startsWith('accept backlog') ? { acceptBacklog: 1 } : {},
      });
      stories[scenario.name]!(pair);
      expect(pair.frames.map(ours)).toEqual((scenario.frames ?? []).map(theirs));
    });
});

describe('recorded yamux sessions, raw frames against our server', () => {
  for (const scenario of recorded.scenarios.filter((s) => !(s.name in stories)))
    test(`${scenario.name}: ${scenario.result}`, () => {
      const frames = scenario.frames!;
      const accepts = frames.some((f) => f.dir === 's>c' && f.flags.includes('ACK'));
      const answers: SentFrame[] = [];
      const server = new End('server', ({ header, payload }) =>
        answers.push({ dir: 's>c', header: hex(header), payload: payload ?? new Uint8Array(0) }),
      );
      for (const frame of frames.filter((f) => f.dir === 'c>s')) {
        server.step({
          kind: 'received',
          bytes: Buffer.concat([Buffer.from(frame.headerHex, 'hex'), payloadOf(frame)]),
        });
        const id = Number.parseInt(frame.headerHex.slice(8, 16), 16);
        if (accepts && server.told.at(-1) !== `ended ${id}`) server.step({ kind: 'accept', id });
      }
      expect(answers.map(ours)).toEqual(frames.filter((f) => f.dir === 's>c').map(theirs));
      expect(server.closed !== undefined).toBe(scenario.result === 'server session closed: true');
    });
});

test('all 24 recorded sessions are told', () => {
  expect(recorded.scenarios.length).toBe(24);
  expect(Object.keys(stories).every((name) => recorded.scenarios.some((s) => s.name === name))).toBe(true);
});

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function payloadOf(frame: RecordedFrame): Uint8Array {
  if (frame.payloadHex !== undefined) return Buffer.from(frame.payloadHex, 'hex');
  const payload = Buffer.alloc(frame.payloadLength ?? 0, 0x42); // long payloads are recorded as length and digest
  if (frame.payloadSha256 !== undefined) expect(sha256(payload)).toBe(frame.payloadSha256);
  return payload;
}

function ours(frame: SentFrame): object {
  return { dir: frame.dir, header: frame.header, payload: sha256(frame.payload) };
}

function theirs(frame: RecordedFrame): object {
  return { dir: frame.dir, header: frame.headerHex, payload: sha256(payloadOf(frame)) };
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
