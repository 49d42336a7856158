import { type Duplex, duplexPair } from 'node:stream';
import { settled, VirtualClock } from '@fed/tooling/virtual-clock';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  encodeFrames,
  framePayloadBytesMax,
  type LogEvent,
  openWanfedTransport,
  type WanfedConfig,
  WanfedError,
  type WanfedTransport,
} from '../src/index.ts';
import { type Attempt, dialPort, type FarEnd, HomeRecorder, StuckStream } from './federation.ts';

const gateway = { host: '10.1.0.100', port: 8443 };

describe('packets', () => {
  test('home: what stays in the datacenter passes through untouched', async () => {
    await using w = await world();
    const packet = Buffer.from('ping');
    w.transport.sendPacket(at('srv2.dc1'), packet);
    expect(w.home.sent).toEqual([{ name: 'srv2.dc1', packet }]);
    expect(w.attempts).toHaveLength(0);
    expect(w.transport.advertise).toEqual(w.home.advertise);
    expect(w.transport.stats().home).toMatchObject({ packetsOut: 1, bytesOut: 4 });
  });

  test('abroad: decided by name, though the address is one of our own', async () => {
    await using w = await world();
    w.transport.sendPacket({ ...w.home.advertise, name: 'srv3.dc2' }, Buffer.from('ping'));
    const { datacenter, node, alpn } = w.attempts[0]!.request;
    expect({ datacenter, node, alpn }).toEqual({
      datacenter: 'dc2',
      node: 'srv3',
      alpn: 'consul/wan-gossip/packet',
    });
    expect(w.home.sent).toHaveLength(0);
  });

  test('abroad: packets of one turn travel in one write, framed, on one connection', async () => {
    await using w = await world();
    w.send('a', 'b');
    const far = w.attempts[0]!.accept();
    await settled();
    w.send('c');
    w.send('d', 'e');
    await settled();
    expect(far.chunks.map(String)).toEqual([frames('a', 'b'), frames('c', 'd', 'e')]);
    expect(w.attempts).toHaveLength(1);
    expect(traffic(w.transport, 'dc2')).toMatchObject({
      packetsOut: 5,
      bytesOut: 5,
      writes: 2,
      dials: 1,
    });
  });

  test('abroad: a packet above 64 KiB travels whole', async () => {
    await using w = await world();
    const large = Buffer.alloc(200_000, 1);
    w.transport.sendPacket(at('srv3.dc2'), large);
    const far = w.attempts[0]!.accept();
    await settled();
    expect(Buffer.concat(far.chunks).equals(encodeFrames([large]))).toBe(true);
  });

  const unsendable: readonly (readonly [string, Uint8Array, WanfedError['code']])[] = [
    ['', Buffer.of(1), 'node_name_required'],
    ['srv3', Buffer.of(1), 'bad_node_name'],
    ['a.b.dc2', Buffer.of(1), 'bad_node_name'],
    ['srv3.dc2', Buffer.alloc(0), 'empty_packet'],
    ['srv3.dc2', Buffer.alloc(framePayloadBytesMax + 1), 'frame_too_large'],
  ];
  for (const [name, packet, code] of unsendable) {
    test(`abroad: ${packet.length} bytes to "${name}" fail with ${code}, later, without a dial`, async () => {
      await using w = await world();
      const codes: string[] = [];
      w.transport.sendPacket(at(name), packet, (e) => codes.push((e as WanfedError).code));
      expect(codes).toEqual([]);
      await settled();
      expect(codes).toEqual([code]);
      expect(w.attempts).toHaveLength(0);
    });
  }

  test('abroad: 4 MiB, the largest packet there is, passes', async () => {
    await using w = await world();
    w.transport.sendPacket(at('srv3.dc2'), Buffer.alloc(framePayloadBytesMax));
    const far = w.attempts[0]!.accept();
    await settled();
    const bytes = far.chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    expect(bytes).toBe(framePayloadBytesMax + 4);
  });

  test('abroad: a dial that fails is told to every packet once, and the next ones at once for a moment', async () => {
    await using w = await world();
    w.send('a', 'b');
    const cause = new Error('gateway refused');
    w.attempts[0]!.refuse(cause);
    await settled();
    expect(w.failures).toEqual(['a dial_failed', 'b dial_failed']);
    expect(w.causes[0]).toBe(cause);
    w.send('c');
    await settled();
    expect(w.failures[2]).toBe('c backing_off');
    expect(w.attempts).toHaveLength(1);
    await w.clock.advance(250);
    w.send('d');
    expect(w.attempts).toHaveLength(2);
  });

  test('abroad: a dial port that throws instead of rejecting is a failed dial', async () => {
    const dial = (): never => {
      throw new Error('no identity');
    };
    await using w = await world({ dial });
    w.send('a');
    await settled();
    expect(w.failures).toEqual(['a dial_failed']);
  });

  test('abroad: a dial port that hands over a dead connection is a failed dial', async () => {
    await using w = await world();
    w.send('a');
    const [near] = duplexPair();
    near.destroy();
    w.attempts[0]!.give(near);
    await settled();
    expect(w.failures).toEqual(['a dial_failed']);
  });

  test('abroad: a dial port that never answers is given up after 6 s, and a late connection is closed', async () => {
    await using w = await world();
    w.send('a');
    await w.clock.advance(6_000);
    expect(w.failures).toEqual(['a dial_timeout']);
    expect(w.attempts[0]!.request.signal.aborted).toBe(true);
    const far = w.attempts[0]!.accept();
    await settled();
    expect(far.chunks).toEqual([]);
    expect(w.transport.stats().connectionsOut).toBe(0);
  });

  test('abroad: I8, a destination that hangs delays no other', async () => {
    await using w = await world();
    w.send('stuck');
    w.attempts[0]!.give(new StuckStream());
    w.transport.sendPacket(at('srv9.dc3'), Buffer.from('x')); // its dial hangs
    await settled();
    w.transport.sendPacket(at('srv4.dc2'), Buffer.from('hello'));
    const far = w.attempts[2]!.accept();
    await settled();
    expect(far.chunks.map(String)).toEqual([frames('hello')]);
  });

  test('abroad: a connection that takes no bytes for 3 s is given up with all that waited', async () => {
    await using w = await world();
    w.send('a');
    const stuck = new StuckStream();
    w.attempts[0]!.give(stuck);
    await settled();
    w.send('b');
    await w.clock.advance(2_999);
    expect(w.failures).toEqual([]);
    await w.clock.advance(1);
    expect(w.failures).toEqual(['a write_timeout', 'b write_timeout']);
    expect(stuck.destroyed).toBe(true);
  });

  test('abroad: the queue of a hanging destination is bounded; the oldest go', async () => {
    await using w = await world({ config: { queuePacketsMax: 3 } });
    w.send('a', 'b', 'c', 'd', 'e');
    await settled();
    expect(w.failures).toEqual(['a queue_full', 'b queue_full']);
    expect(w.transport.stats().packetsQueued).toBe(3);
    expect(traffic(w.transport, 'dc2')).toMatchObject({ packetsDropped: 2, packetsFailed: 2 });
  });

  test('abroad: destinations are bounded, since their names come from peers', async () => {
    await using w = await world({ config: { destinationsMax: 2 } });
    const codes: string[] = [];
    for (const name of ['a.dc2', 'b.dc2', 'c.dc2']) {
      w.transport.sendPacket(at(name), Buffer.of(1), (e) => codes.push(`${name} ${(e as WanfedError).code}`));
    }
    await settled();
    expect(codes).toEqual(['c.dc2 too_many_destinations']);
  });

  test('abroad: an unused connection is closed after 90 s, politely, and its place is free', async () => {
    await using w = await world();
    w.send('a');
    const far = w.attempts[0]!.accept();
    await w.clock.advance(60_000);
    w.send('b');
    await w.clock.advance(89_999);
    expect(far.ended()).toBe(false);
    await w.clock.advance(1);
    expect(far.ended()).toBe(true);
    expect(w.transport.stats().connectionsOut).toBe(0);
    expect(w.clock.armed).toBe(0);
  });

  test('abroad: when the other side hangs up in between, the next packet dials again', async () => {
    await using w = await world();
    w.send('a');
    const far = w.attempts[0]!.accept();
    await w.clock.advance(5_000);
    far.stream.end();
    await settled();
    expect(w.transport.stats().connectionsOut).toBe(0);
    w.send('b');
    const next = w.attempts[1]!.accept();
    await settled();
    expect(next.chunks.map(String)).toEqual([frames('b')]);
    expect(w.failures).toEqual([]);
  });

  test('abroad: when the ways change, an idle connection is replaced', async () => {
    await using w = await world();
    w.send('a');
    const old = w.attempts[0]!.accept();
    await settled();
    w.transport.dropDatacenter('dc3');
    await settled();
    expect(old.ended()).toBe(false);
    w.transport.dropDatacenter('dc2');
    await settled();
    expect(old.ended()).toBe(true);
    w.send('b');
    expect(w.attempts).toHaveLength(2);
  });

  test('abroad: when the ways change, a dial under way is begun anew, and a refusal ends', async () => {
    await using w = await world();
    w.send('a');
    w.transport.dropDatacenter('dc2');
    expect(w.attempts[0]!.request.signal.aborted).toBe(true);
    w.attempts[1]!.refuse(new Error('no'));
    await settled();
    w.transport.dropDatacenter('dc2');
    w.send('b');
    const far = w.attempts[2]!.accept();
    await settled();
    expect(far.chunks.map(String)).toEqual([frames('b')]);
  });

  test('abroad: leaving lets out what has a connection, fails what has none, and closes home', async () => {
    const w = await world();
    w.send('a');
    const far = w.attempts[0]!.accept();
    await settled();
    w.send('leave');
    w.transport.sendPacket(at('srv9.dc3'), Buffer.from('x'), () => w.failures.push('x'));
    await w.transport[Symbol.asyncDispose]();
    await w.transport[Symbol.asyncDispose]();
    await settled();
    expect(far.chunks.map(String)).toEqual([frames('a'), frames('leave')]);
    expect(far.ended()).toBe(true);
    expect(w.failures).toEqual(['x']);
    expect(w.home.closed).toBe(1);
    expect(w.clock.armed).toBe(0);
    w.send('late');
    await settled();
    expect(w.failures).toEqual(['x', 'late closed']);
  });

  test('abroad: leaving waits 1 s for a connection that takes nothing', async () => {
    const w = await world();
    w.send('a');
    w.attempts[0]!.give(new StuckStream());
    await settled();
    let left = false;
    const leaving = w.transport[Symbol.asyncDispose]().then(() => {
      left = true;
    });
    await w.clock.advance(999);
    expect(left).toBe(false);
    await w.clock.advance(1);
    await leaving;
    expect(w.failures).toEqual(['a closed']);
  });

  test('abroad: whatever happens, every packet arrives or fails, never both, never twice', async () => {
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.record({ do: fc.constant('send' as const), to: fc.nat(2) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('accept' as const, 'refuse' as const) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('hangUp' as const, 'drop' as const) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.nat(8_000) }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const w = await world({ config: { queuePacketsMax: 4 } });
        const told = new Map<string, number>();
        const fars: ReturnType<Attempt['accept']>[] = [];
        let answered = 0;
        let sent = 0;
        for (const s of steps) {
          if (s.do === 'send') {
            const id = String(sent++).padStart(4, '0');
            told.set(id, 0);
            w.transport.sendPacket(at(`n${s.to}.dc2`), Buffer.from(id), () =>
              told.set(id, told.get(id)! + 1),
            );
          } else if (s.do === 'accept' || s.do === 'refuse') {
            const attempt = w.attempts[answered];
            if (!attempt) continue;
            answered++;
            if (s.do === 'accept') fars.push(attempt.accept());
            else attempt.refuse(new Error('no'));
            await settled();
          } else if (s.do === 'hangUp') {
            fars.at(-1)?.stream.destroy();
            await settled();
          } else if (s.do === 'drop') w.transport.dropDatacenter('dc2');
          else if (s.do === 'wait') await w.clock.advance(s.ms);
        }
        const leaving = w.transport[Symbol.asyncDispose]();
        await w.clock.advance(2_000);
        await leaving;
        await settled();
        const arrived = fars.flatMap((far) => split(Buffer.concat(far.chunks)));
        expect(new Set(arrived).size).toBe(arrived.length);
        for (const [id, times] of told) {
          expect(times).toBeLessThanOrEqual(1);
          if (times === 0)
            expect(arrived.includes(id) || fars.some((far) => far.stream.destroyed)).toBe(true);
          if (arrived.includes(id)) expect(times).toBe(0);
        }
      }),
      { numRuns: 60 },
    );
  });

  test('abroad: thousands of packets cost one timer and few writes', async () => {
    await using w = await world();
    w.send('first');
    const far = w.attempts[0]!.accept();
    await settled();
    for (let n = 0; n < 1_000; n++) w.send('x');
    expect(w.clock.armed).toBe(1);
    await settled();
    expect(far.chunks).toHaveLength(2);
  });
});

describe('probes that stay unanswered', () => {
  const send = (w: World, name: string): void => w.transport.sendPacket(at(name), Buffer.from('ping'));

  test('unanswered: nobody answers through the gateway: it is doubted, and all it carries there is dialed anew', async () => {
    await using w = await world();
    for (const name of ['a.dc2', 'b.dc2', 'c.dc3']) send(w, name);
    const [a, b, c] = w.attempts.map((attempt) => attempt.accept('10.1.0.100')) as [FarEnd, FarEnd, FarEnd];
    await settled();
    await w.clock.advance(3_000);
    w.transport.unanswered?.(at('a.dc2'));
    await settled();
    expect(w.doubted).toEqual(['10.1.0.100:8443 dc2']);
    expect([a.ended(), b.ended(), c.ended()]).toEqual([true, true, false]);
    send(w, 'a.dc2');
    expect(w.attempts).toHaveLength(4);
  });

  test('unanswered: others answer through the same gateway: it is the server, and only its connection is dropped', async () => {
    await using w = await world();
    for (const name of ['a.dc2', 'b.dc2']) send(w, name);
    const [a, b] = w.attempts.map((attempt) => attempt.accept('10.1.0.100')) as [FarEnd, FarEnd];
    await settled();
    await w.clock.advance(3_000);
    w.transport.answered('b.dc2');
    w.transport.unanswered?.(at('a.dc2'));
    await settled();
    expect(w.doubted).toEqual([]);
    expect([a.ended(), b.ended()]).toEqual([true, false]);
    await w.clock.advance(10_000); // and that answer counts no longer
    w.transport.unanswered?.(at('b.dc2'));
    expect(w.doubted).toEqual(['10.1.0.100:8443 dc2']);
  });

  test('unanswered: a connection that has only just been opened did not carry that probe', async () => {
    await using w = await world();
    send(w, 'a.dc2');
    const a = w.attempts[0]!.accept('10.1.0.100');
    await settled();
    await w.clock.advance(999);
    w.transport.unanswered?.(at('a.dc2'));
    w.transport.unanswered?.(at('unknown.dc9'));
    w.transport.unanswered?.(at('home.dc1'));
    await settled();
    expect([w.doubted, a.ended()]).toEqual([[], false]);
  });

  test('unanswered: who is silent is told, by name, connected or not; members at home and nowhere are not', async () => {
    await using w = await world();
    send(w, 'a.dc2');
    w.attempts[0]!.accept('10.1.0.100');
    await settled();
    for (const name of ['a.dc2', 'b.dc3', 'home.dc1', '', 'a.b.dc2']) w.transport.unanswered?.(at(name));
    expect(w.silent).toEqual(['a of dc2', 'b of dc3']);
  });
});

describe('packets from abroad', () => {
  test('ingest: a packet comes from the gateway that delivered it', async () => {
    await using w = await world();
    const far = w.ingest('dc2');
    far.write(encodeFrames([Buffer.from('ping'), Buffer.from('ack')]));
    await settled();
    expect(w.received).toEqual(['ping from 10.1.0.100:8443', 'ack from 10.1.0.100:8443']);
    expect(traffic(w.transport, 'dc2')).toMatchObject({ packetsIn: 2, bytesIn: 7 });
    expect(w.transport.stats().connectionsIn).toBe(1);
  });

  test('ingest: a length of 0 ends the connection; what came before it counts', async () => {
    await using w = await world();
    const far = w.ingest();
    far.write(Buffer.concat([encodeFrames([Buffer.from('a')]), Buffer.alloc(4)]));
    await settled();
    expect(w.received).toHaveLength(1);
    expect(w.transport.stats()).toMatchObject({ connectionsIn: 0, ingestFaults: 1 });
    expect(w.logged.map(({ level, code }) => `${level} ${code}`)).toEqual(['warn empty_frame']);
  });

  test('ingest: more than 4 MiB ends the connection before any of it is taken', async () => {
    await using w = await world();
    const far = w.ingest();
    far.write(Buffer.from('00400001', 'hex'));
    await settled();
    expect(w.transport.stats()).toMatchObject({ connectionsIn: 0, ingestFaults: 1 });
    expect(w.logged.map(({ code }) => code)).toEqual(['frame_too_large']);
  });

  const benign: readonly (readonly [string, (far: Duplex) => void])[] = [
    ['ends between packets', (far) => far.end(encodeFrames([Buffer.of(1)]))],
    ['ends within a packet', (far) => far.end(Buffer.from('00000009aa', 'hex'))],
    ['is reset', (far) => far.destroy(new Error('ECONNRESET'))],
  ];
  for (const [what, act] of benign) {
    test(`ingest: a connection that ${what} is no error`, async () => {
      await using w = await world();
      act(w.ingest());
      await settled();
      expect(w.transport.stats()).toMatchObject({ connectionsIn: 0, ingestFaults: 0 });
      expect(w.logged.filter(({ level }) => level !== 'debug')).toEqual([]);
    });
  }

  test('ingest: without a whole packet for 150 s the connection is closed, dripping or not', async () => {
    await using w = await world();
    const silent = w.ingest();
    const busy = w.ingest();
    const dripping = w.ingest();
    dripping.write(Buffer.from('00000009', 'hex'));
    for (let n = 0; n < 3; n++) {
      await w.clock.advance(50_000 - 1);
      if (n === 1) busy.write(encodeFrames([Buffer.of(1)]));
      dripping.write(Buffer.of(0));
      await settled();
    }
    await w.clock.advance(3);
    expect([silent, busy, dripping].map((far) => far.readableEnded)).toEqual([true, false, true]);
    expect(w.transport.stats().connectionsIn).toBe(1);
  });

  test('ingest: connections are bounded', async () => {
    await using w = await world({ config: { ingestConnectionsMax: 1 } });
    w.ingest();
    w.ingest();
    await settled();
    expect(w.transport.stats()).toMatchObject({ connectionsIn: 1, ingestRefused: 1 });
  });

  test('ingest: before anyone listens, connections are turned away', async () => {
    const home = new HomeRecorder();
    await using transport = await openWanfedTransport({ datacenter: 'dc1', home, dial: dialPort().dial });
    const [near, far] = duplexPair();
    far.on('error', () => {});
    transport.ingestPackets({ stream: near, remote: gateway });
    expect(near.destroyed).toBe(true);
    expect(transport.stats().ingestRefused).toBe(1);
  });

  test('ingest: leaving closes them politely', async () => {
    const w = await world();
    const far = w.ingest();
    await w.transport[Symbol.asyncDispose]();
    await settled();
    expect(far.readableEnded).toBe(true);
  });

  test('home: what arrives there is delivered and counted apart', async () => {
    await using w = await world();
    w.home.inbound!.packet(Buffer.from('lan'), { host: '10.1.0.2', port: 8302 });
    w.home.inbound!.stream(duplexPair()[0], { host: '10.1.0.2', port: 8302 });
    expect(w.received).toEqual(['lan from 10.1.0.2:8302']);
    expect(w.transport.stats().home).toMatchObject({ packetsIn: 1, bytesIn: 3, streamsIn: 1 });
  });
});

describe('streams', () => {
  test('stream: home is dialed by home', async () => {
    await using w = await world();
    await w.transport.dialStream(at('srv2.dc1'), { timeoutMs: 1_000 });
    expect(w.home.dialed).toEqual(['srv2.dc1']);
  });

  test('stream: abroad gets a fresh connection per exchange; "*" means any server', async () => {
    await using w = await world();
    const [near] = duplexPair();
    const dialing = w.transport.dialStream(at('*.dc2'), { timeoutMs: 1_000 });
    const { datacenter, node, alpn } = w.attempts[0]!.request;
    expect([datacenter, node, alpn]).toEqual(['dc2', '*', 'consul/wan-gossip/stream']);
    w.attempts[0]!.give(near);
    expect(await dialing).toBe(near);
    void w.transport.dialStream(at('*.dc2'), { timeoutMs: 1_000 }).catch(() => {});
    expect(w.attempts).toHaveLength(2);
    expect(w.clock.armed).toBe(1);
  });

  test('stream: the caller’s time is kept, and a connection that comes late is closed', async () => {
    await using w = await world();
    const [near] = duplexPair();
    const dialing = codeOf(w.transport.dialStream(at('srv3.dc2'), { timeoutMs: 700 }));
    await w.clock.advance(700);
    expect(await dialing).toBe('dial_timeout');
    expect(w.attempts[0]!.request.signal.aborted).toBe(true);
    w.attempts[0]!.give(near);
    await settled();
    expect(near.destroyed).toBe(true);
  });

  test('stream: the caller may give up, before or while dialing', async () => {
    await using w = await world();
    const caller = new AbortController();
    const dialing = codeOf(w.transport.dialStream(at('srv3.dc2'), { timeoutMs: 700, signal: caller.signal }));
    caller.abort();
    expect(await dialing).toBe('aborted');
    const again = w.transport.dialStream(at('srv3.dc2'), { timeoutMs: 700, signal: caller.signal });
    expect(await codeOf(again)).toBe('aborted');
    expect(w.attempts).toHaveLength(1);
    expect(w.clock.armed).toBe(0);
  });

  test('stream: a failed dial carries its cause; a bad name never dials', async () => {
    await using w = await world();
    const dialing = w.transport.dialStream(at('srv3.dc2'), { timeoutMs: 700 });
    const cause = new Error('closed_before_tls');
    w.attempts[0]!.refuse(cause);
    await expect(dialing).rejects.toMatchObject({ code: 'dial_failed', cause });
    expect(await codeOf(w.transport.dialStream(at('nodc'), { timeoutMs: 1 }))).toBe('bad_node_name');
    expect(await codeOf(w.transport.dialStream(at(''), { timeoutMs: 1 }))).toBe('node_name_required');
  });

  test('stream: leaving ends dials under way', async () => {
    const w = await world();
    const dialing = codeOf(w.transport.dialStream(at('srv3.dc2'), { timeoutMs: 700 }));
    await w.transport[Symbol.asyncDispose]();
    expect(await dialing).toBe('aborted');
  });

  test('stream: one that comes in is memberlist’s, from the gateway', async () => {
    await using w = await world();
    const [near] = duplexPair();
    w.transport.ingestStream({ stream: near, remote: gateway });
    expect(w.streams).toEqual([near]);
  });

  test('stream: no TCP ping to those whose packets travel over TCP anyway', async () => {
    await using w = await world();
    expect(w.transport.disableTcpPings!(at('srv3.dc2'))).toBe(true);
    expect(w.transport.disableTcpPings!(at('srv2.dc1'))).toBe(false);
  });
});

// ---- fixtures ----

const at = (name: string) => ({ host: '10.9.9.9', port: 8302, name });
const traffic = (t: WanfedTransport, datacenter: string) => t.stats().datacenters[datacenter];
const frames = (...packets: string[]) => String(encodeFrames(packets.map((p) => Buffer.from(p))));

function split(bytes: Buffer): string[] {
  const packets: string[] = [];
  for (let at = 0; at < bytes.length; at += 8) packets.push(bytes.toString('latin1', at + 4, at + 8));
  return packets;
}

async function codeOf(dialing: Promise<Duplex>): Promise<string> {
  try {
    await dialing;
    return 'connected';
  } catch (error) {
    expect(error).toBeInstanceOf(WanfedError);
    return (error as WanfedError).code;
  }
}

interface World extends AsyncDisposable {
  readonly transport: WanfedTransport;
  readonly home: HomeRecorder;
  readonly clock: VirtualClock;
  readonly attempts: readonly Attempt[];
  readonly received: readonly string[];
  readonly streams: readonly Duplex[];
  readonly failures: string[];
  readonly causes: unknown[];
  readonly logged: readonly LogEvent[];
  readonly doubted: readonly string[];
  readonly silent: readonly string[];
  /** Sends these texts to srv3.dc2. */
  send(...texts: string[]): void;
  /** An incoming packet connection; returns the far end. */
  ingest(datacenter?: string): Duplex;
}

async function world(
  o: { config?: Partial<WanfedConfig>; dial?: () => Promise<Duplex> } = {},
): Promise<World> {
  const home = new HomeRecorder();
  const clock = new VirtualClock();
  const { dial, attempts } = dialPort();
  const logged: LogEvent[] = [];
  const doubted: string[] = [];
  const silent: string[] = [];
  const transport = await openWanfedTransport({
    datacenter: 'dc1',
    home,
    dial: o.dial ?? dial,
    clock,
    rng: { below: () => 0 },
    log: (event) => logged.push(event),
    doubted: (pair) => doubted.push(`${pair.gateway.host}:${pair.gateway.port} ${pair.datacenter}`),
    silent: ({ datacenter, node }) => silent.push(`${node} of ${datacenter}`),
    ...(o.config ? { config: o.config } : {}),
  });
  const received: string[] = [];
  const streams: Duplex[] = [];
  transport.listen({
    packet: (bytes, from) => received.push(`${Buffer.from(bytes)} from ${from.host}:${from.port}`),
    stream: (conn) => streams.push(conn),
  });
  const failures: string[] = [];
  const causes: unknown[] = [];
  return {
    transport,
    home,
    clock,
    attempts,
    received,
    streams,
    failures,
    causes,
    logged,
    doubted,
    silent,
    send(...texts) {
      for (const text of texts) {
        transport.sendPacket(at('srv3.dc2'), Buffer.from(text), (error) => {
          failures.push(`${text} ${(error as WanfedError).code}`);
          causes.push(error.cause);
        });
      }
    },
    ingest(datacenter) {
      const [near, far] = duplexPair();
      far.on('error', () => {});
      far.resume();
      const peer = datacenter === undefined ? {} : { peer: { server: { datacenter } } };
      transport.ingestPackets({ stream: near, remote: gateway, ...peer });
      return far;
    },
    async [Symbol.asyncDispose]() {
      const leaving = transport[Symbol.asyncDispose]();
      await clock.advance(2_000);
      await leaving;
    },
  };
}
