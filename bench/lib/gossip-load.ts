/**
 * gossip-load.ts: does with @fed/memberlist what interop/memberlist/bench does with hashicorp's: one request as JSON on
 * stdin, one answer on stdout. A process of its own, so that one measurement leaves nothing behind for the next.
 *
 * Bytes allocated are growth of the heap while nothing is collected: start it with --expose-gc --max-semi-space-size=128.
 */
import { text } from 'node:stream/consumers';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { GCProfiler } from 'node:v8';
import {
  type Inbound,
  Keyring,
  lan,
  openMemberlist,
  openUdpTcpTransport,
  type Transport,
} from '@fed/memberlist';
import { decodeMessage, encodeMessage, type Message } from '@fed/memberlist/internals';
import { openSerf } from '@fed/serf';

export interface CodecRequest {
  readonly do: 'codec';
  readonly ms: number;
  /** Hex by kind. */
  readonly messages: Readonly<Record<string, string>>;
}

export interface PacketsRequest {
  readonly do: 'packets';
  /** Besides us. */
  readonly members: number;
  /** Hex; '' for none. */
  readonly key: string;
  /** Hex packets that make the members known. */
  readonly fill: readonly string[];
  readonly warm: number;
  readonly count: number;
  /** Hex; each is answered by one packet. */
  readonly packets: readonly string[];
  /** Bytes of a message that is sent. */
  readonly payload: number;
}

export interface IdleRequest {
  readonly do: 'idle';
  readonly members: number;
  /** Of one round. */
  readonly seconds: number;
  readonly rounds: number;
  /** With a serf on top. */
  readonly serf: boolean;
}

export type Request = CodecRequest | PacketsRequest | IdleRequest;

export interface CodecAnswer {
  readonly decodePerSecond: number;
  readonly encodePerSecond: number;
  readonly decodeBytes: number;
  readonly encodeBytes: number;
}

export interface PacketsAnswer {
  readonly inPerSecond: number;
  readonly inBytes: number;
  readonly outPerSecond: number;
  readonly outBytes: number;
}

export interface IdleAnswer {
  /** By round, of all members together. */
  readonly cpuSeconds: readonly number[];
}

/** Turns between two looks at the clock, and for which allocation is measured: few enough to fit a young generation. */
const turnsPerLook = 200;
const turnsForBytes = 2_000;
/** Packets handed over before the event loop turns, as when a socket has a few waiting. */
const packetsPerTurn = 64;

/** Before a measurement, so that none is due in the middle of it. */
const { gc } = globalThis;

function bytesNow(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Growth per turn. A run in which the collector was at work says nothing: it is repeated, with half as many turns. */
async function bytesEach(run: (turns: number) => Promise<void> | void): Promise<number> {
  if (gc === undefined) throw new Error('start with --expose-gc');
  for (let turns = turnsForBytes; turns >= 1; turns >>= 1) {
    gc();
    await setTimeout(50);
    gc(); // what the first found to be garbage outside of the heap is given back by now
    const collector = new GCProfiler();
    collector.start();
    const before = bytesNow();
    await run(turns);
    const grown = bytesNow() - before;
    if (collector.stop()?.statistics.length === 0) return grown / turns;
  }
  throw new Error('the collector never rests: start with --max-semi-space-size=128');
}

function perSecond(ms: number, turn: () => void): number {
  for (let i = 0; i < 20_000; i++) turn();
  const began = performance.now();
  let turns = 0;
  while (performance.now() - began < ms) {
    for (let i = 0; i < turnsPerLook; i++) turn();
    turns += turnsPerLook;
  }
  return turns / ((performance.now() - began) / 1000);
}

/** What is computed goes somewhere, so that none of it is left out. */
let kept: Message | Uint8Array | undefined;

async function codec({ ms, messages }: CodecRequest): Promise<Record<string, CodecAnswer>> {
  const answers: Record<string, CodecAnswer> = {};
  for (const [kind, hex] of Object.entries(messages)) {
    const encoded = Buffer.from(hex, 'hex');
    const value = decodeMessage(encoded);
    const decodeOne = (): void => {
      kept = decodeMessage(encoded);
    };
    const encodeOne = (): void => {
      kept = encodeMessage(value);
    };
    const many = (one: () => void) => (turns: number) => {
      for (let i = 0; i < turns; i++) one();
    };
    answers[kind] = {
      decodePerSecond: perSecond(ms, decodeOne),
      encodePerSecond: perSecond(ms, encodeOne),
      decodeBytes: await bytesEach(many(decodeOne)),
      encodeBytes: await bytesEach(many(encodeOne)),
    };
  }
  if (kept === undefined) throw new Error('nothing was computed');
  return answers;
}

async function packets(r: PacketsRequest): Promise<PacketsAnswer> {
  let inbound: Inbound | undefined;
  let sent = 0;
  const transport: Transport = {
    advertise: { host: '10.0.0.1', port: 7946 },
    listen: (handlers) => {
      inbound = handlers;
    },
    sendPacket: () => {
      sent++;
    },
    dialStream: () => Promise.reject(new Error('no streams here')),
    [Symbol.asyncDispose]: async () => {},
  };
  await using list = await openMemberlist({
    name: 'bench',
    transport,
    config: { ...lan, probeIntervalMs: 0, gossipIntervalMs: 0, pushPullIntervalMs: 0 },
    ...(r.key !== '' && { keyring: new Keyring([], Buffer.from(r.key, 'hex')) }),
  });
  const from = { host: '10.0.0.2', port: 7946 };
  const unhex = (texts: readonly string[]): readonly Buffer[] => texts.map((hex) => Buffer.from(hex, 'hex'));
  for (const packet of unhex(r.fill)) {
    inbound?.packet(packet, from);
    await setImmediate();
  }
  while (list.members().length !== r.members + 1) await setImmediate();

  const all = unhex(r.packets);
  const run = async (count: number): Promise<void> => {
    const before = sent;
    for (let i = 0; i < count; i++) {
      inbound?.packet(Uint8Array.from(all[i % all.length]!), from); // a buffer of its own, as from a socket
      if (i % packetsPerTurn === packetsPerTurn - 1) await setImmediate();
    }
    if (sent - before !== count) throw new Error(`${sent - before} answers to ${count} pings`);
  };
  await run(r.warm);
  const inPerSecond = await rate(r.count, () => run(r.count));
  const inBytes = await bytesEach(run);

  const to = list.member('n0');
  if (to === undefined) throw new Error('n0 is no member');
  const payload = Uint8Array.from({ length: r.payload }, (_, i) => i * 7);
  const send = (count: number): void => {
    for (let i = 0; i < count; i++) list.sendBestEffort(to, payload);
  };
  send(turnsForBytes);
  const outPerSecond = await rate(r.count, () => send(r.count));
  const outBytes = await bytesEach(send);
  const { drops } = list.stats();
  if (Object.keys(drops).length > 0) throw new Error(`dropped: ${JSON.stringify(drops)}`);
  return { inPerSecond, inBytes, outPerSecond, outBytes };
}

async function rate(count: number, run: () => Promise<void> | void): Promise<number> {
  const began = performance.now();
  await run();
  return count / ((performance.now() - began) / 1000);
}

async function idle({ members, seconds, rounds, serf }: IdleRequest): Promise<IdleAnswer> {
  await using opened = new AsyncDisposableStack();
  let first = '';
  for (let i = 0; i < members; i++) {
    const transport = await openUdpTcpTransport({ host: '127.0.0.1', port: 0 });
    const name = `n${i}`;
    const one = opened.use(
      serf
        ? await openSerf({ name, tags: { role: 'bench' }, transport })
        : await openMemberlist({ name, transport }),
    );
    if (i === 0) first = `n0/127.0.0.1:${one.local().port}`;
    else await one.join([first]);
  }
  await setTimeout(5_000);
  const cpuSeconds: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const before = process.cpuUsage();
    await setTimeout(seconds * 1000);
    const { user, system } = process.cpuUsage(before);
    cpuSeconds.push((user + system) / 1e6);
  }
  return { cpuSeconds };
}

async function answer(request: Request): Promise<unknown> {
  switch (request.do) {
    case 'codec':
      return codec(request);
    case 'packets':
      return packets(request);
    case 'idle':
      return idle(request);
  }
}

console.log(JSON.stringify(await answer(JSON.parse(await text(process.stdin)) as Request)));
