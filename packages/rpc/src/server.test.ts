/** What a caller of ours sees: byte for byte, on single connections and on yamux streams. */
import { type Duplex, duplexPair } from 'node:stream';
import type { Value } from '@fed/msgpack';
import { SteppedClock } from '@fed/tooling/virtual-clock';
import { describe, expect, test } from 'vitest';
import { RpcApplicationError, RpcArgumentError, RpcError } from './errors.ts';
import { decodeBody, encodeRequest, MessageReader } from './net-rpc.ts';
import { type RpcContext, RpcRegistry } from './registry.ts';
import type { RpcReport } from './served-stream.ts';
import { type ServeOptions, serveMulti, serveSingle } from './server.ts';
import { openYamux } from './yamux/session.ts';

interface Reply {
  readonly seq: number | bigint;
  readonly error: string;
  readonly body: Value;
}

/** A caller that writes requests and collects replies. */
class Caller {
  readonly stream: Duplex;
  readonly replies: Reply[] = [];
  readonly ended: Promise<unknown>;
  #wake: (() => void) | undefined;
  constructor(stream: Duplex) {
    this.stream = stream;
    const reader = new MessageReader({ bytesMax: 1_000_000 });
    this.ended = new Promise((resolve) => stream.once('end', resolve));
    stream.on('error', () => {});
    stream.on('data', (bytes: Uint8Array) => {
      reader.feed(bytes);
      for (let m = reader.next(); m !== undefined; m = reader.next())
        this.replies.push({ seq: m.header.seq, error: m.header.error, body: decodeBody(m.body) });
      this.#wake?.();
    });
  }
  send(seq: number, method: string, args: Value = {}): void {
    this.stream.write(encodeRequest(seq, method, args));
  }
  /** The next reply that has not been asked for yet. */
  async reply(): Promise<Reply> {
    while (this.replies.length === 0)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    return this.replies.shift()!;
  }
}

function single(methods: Parameters<RpcRegistry['register']>[0], o: Partial<ServeOptions> = {}) {
  const registry = new RpcRegistry();
  registry.register(methods);
  const reports: RpcReport[] = [];
  const [ours, theirs] = duplexPair();
  const server = serveSingle(theirs, registry, {
    clock: new SteppedClock(),
    report: (r) => reports.push(r),
    ...o,
  });
  return { caller: new Caller(ours), server, reports };
}

function multi(methods: Parameters<RpcRegistry['register']>[0], o: Partial<ServeOptions> = {}) {
  const registry = new RpcRegistry();
  registry.register(methods);
  const [ours, theirs] = duplexPair();
  const clock = new SteppedClock();
  const server = serveMulti(theirs, registry, { clock, ...o });
  const session = openYamux(ours, { role: 'client', clock });
  return { server, session, caller: () => new Caller(session.open()) };
}

/** A handler that answers when told to. */
function gate() {
  const open: (() => void)[] = [];
  const contexts: RpcContext[] = [];
  const handler = (_args: Value, context: RpcContext): Promise<Value> => {
    contexts.push(context);
    return new Promise((resolve) => open.push(() => resolve('opened')));
  };
  return { handler, contexts, open };
}

async function settled(): Promise<void> {
  for (let n = 0; n < 30; n += 1) await new Promise((resolve) => setImmediate(resolve));
}

describe('answers', () => {
  test('a result, with the number of its request', async () => {
    const { caller } = single({ 'Echo.Args': (args) => args });
    caller.send(41, 'Echo.Args', { a: [1, null, 'x'] });
    expect(await caller.reply()).toEqual({ seq: 41, error: '', body: { a: [1, null, 'x'] } });
  });

  test('two requests sent at once are answered in order', async () => {
    const { handler, open } = gate();
    const { caller } = single({ 'S.Slow': handler, 'S.Quick': () => 'quick' });
    caller.send(1, 'S.Slow');
    caller.send(2, 'S.Quick');
    await settled();
    expect(caller.replies).toEqual([]);
    open[0]!();
    expect([(await caller.reply()).body, (await caller.reply()).body]).toEqual(['opened', 'quick']);
  });

  test('an application error is its text and an empty map, and the stream goes on', async () => {
    const { caller } = single({
      'S.Deny': () => {
        throw new RpcApplicationError('Permission denied');
      },
      'S.Ok': () => true,
    });
    caller.send(1, 'S.Deny');
    expect(await caller.reply()).toEqual({ seq: 1, error: 'Permission denied', body: {} });
    caller.send(2, 'S.Ok');
    expect((await caller.reply()).body).toBe(true);
  });

  test('an error brought home from another server is passed on with its prefixes', async () => {
    const target = { datacenter: 'dc2', node: 'n', address: { host: 'h', port: 1 } };
    const { caller } = single({
      'S.Forward': async () => {
        throw new RpcError('remote', 'rpc error making call: No cluster leader', { target });
      },
    });
    caller.send(1, 'S.Forward');
    expect((await caller.reply()).error).toBe('rpc error making call: No cluster leader');
  });

  const unknown: readonly [string, string][] = [
    ['Status.Nope', "rpc: can't find method Status.Nope"],
    ['Nope.List', "rpc: can't find service Nope.List"],
    ['StatusLeader', 'rpc: service/method request ill-formed: StatusLeader'],
  ];
  test.each(unknown)("unknown method %s: the reply is Go's, then the stream ends", async (method, text) => {
    const { caller, reports } = single({ 'Status.Ping': () => ({}) });
    caller.send(32, method);
    expect(await caller.reply()).toEqual({ seq: 32, error: text, body: {} });
    await caller.ended;
    expect(reports).toEqual([{ kind: 'refused', method, text }]);
  });

  test('arguments of the wrong shape: an error reply, then the stream ends', async () => {
    const { caller } = single({
      'S.M': () => {
        throw new RpcArgumentError('Datacenter is no text');
      },
    });
    caller.send(1, 'S.M', ['not', 'a', 'map']);
    expect((await caller.reply()).error).toBe('Datacenter is no text');
    await caller.ended;
  });

  test('a body that is no value we know: an error reply, then the stream ends', async () => {
    const { caller } = single({ 'S.M': () => true });
    const request = encodeRequest(1, 'S.M', null).subarray(0, -1);
    caller.stream.write(Buffer.concat([request, Buffer.from('d6ff60f08550', 'hex')])); // an ext timestamp
    expect((await caller.reply()).error).not.toBe('');
    await caller.ended;
  });

  test('a header that is none ends the stream without a reply', async () => {
    const { caller, reports } = single({ 'S.M': () => true });
    caller.stream.write(Buffer.from('0680', 'hex'));
    await caller.ended;
    expect([caller.replies, reports.map((r) => r.kind)]).toEqual([[], ['peerFault']]);
  });

  test('our own mistake is reported, and the caller learns no more than that', async () => {
    const bug = new TypeError('x is not a function');
    const { caller, reports } = single({
      'S.M': () => {
        throw bug;
      },
    });
    caller.send(1, 'S.M');
    expect((await caller.reply()).error).toBe('internal error in S.M');
    expect(reports.at(-1)).toEqual({ kind: 'defect', method: 'S.M', error: bug });
  });

  test('an error without text still is an error: empty would mean success', async () => {
    const { caller } = single({
      'S.M': () => {
        throw new RpcApplicationError('');
      },
    });
    caller.send(1, 'S.M');
    expect((await caller.reply()).error).toBe('RpcApplicationError');
  });

  test('bytes under the keys a method names arrive as bytes', async () => {
    const method = { handler: (args: Value) => (args as { Key: Value }).Key instanceof Uint8Array };
    const { caller } = single({ 'S.M': { ...method, binaryKeys: new Set(['Key']) } });
    caller.send(1, 'S.M', { Key: 'text' });
    expect((await caller.reply()).body).toBe(true);
  });

  test('a caller that half-closes after its request still gets the answer, then the end', async () => {
    const { caller } = single({ 'S.M': async () => 'late' });
    caller.stream.end(encodeRequest(1, 'S.M', {}));
    expect((await caller.reply()).body).toBe('late');
    await caller.ended;
  });

  test('a handler learns who calls', async () => {
    const { caller } = single({ 'S.M': (_args, { peer }) => peer as string }, { peer: 'n1.dc2' });
    caller.send(1, 'S.M');
    expect((await caller.reply()).body).toBe('n1.dc2');
  });
});

describe('a caller that has gone', () => {
  test('FIN aborts the call that runs', async () => {
    const { handler, contexts } = gate();
    const { caller } = multi({ 'S.Block': handler });
    const one = caller();
    one.send(1, 'S.Block');
    await settled();
    expect(contexts[0]!.signal.aborted).toBe(false);
    one.stream.end();
    await settled();
    expect(contexts[0]!.signal.aborted).toBe(true);
  });

  test('a lost session aborts every call on it', async () => {
    const { handler, contexts } = gate();
    const { caller, session, server } = multi({ 'S.Block': handler });
    for (let n = 0; n < 3; n += 1) caller().send(n, 'S.Block');
    await settled();
    const signals = contexts.map((c) => c.signal);
    await session[Symbol.asyncDispose]();
    expect(await server.closed).toEqual({ code: 'connection_lost', text: 'the peer ended the connection' });
    await settled();
    expect(signals.map((s) => s.aborted)).toEqual([true, true, true]);
  });

  test('disposing the server aborts its calls and closes the connection', async () => {
    const { handler, contexts } = gate();
    const { caller, server, session } = multi({ 'S.Block': handler });
    caller().send(1, 'S.Block');
    await settled();
    const { signal } = contexts[0]!;
    await server[Symbol.asyncDispose]();
    await session.closed;
    expect(signal.aborted).toBe(true);
  });

  test('a call that stops because it was aborted sends nothing and is no defect', async () => {
    const reports: RpcReport[] = [];
    const { caller } = multi(
      {
        'S.Block': (_args, { signal }) =>
          new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
      },
      { report: (r) => reports.push(r) },
    );
    const one = caller();
    one.send(1, 'S.Block');
    one.stream.end();
    await one.ended;
    expect([one.replies, reports.map((r) => r.kind)]).toEqual([[], ['call']]);
  });
});

describe('limits', () => {
  test('more calls than a connection may have are told to try again later; a call that asks for life is answered', async () => {
    const { handler, open } = gate();
    const { caller, server } = multi(
      { 'S.Block': handler, 'S.M': () => true, 'Status.Ping': { handler: () => ({}), always: true } },
      { callsMax: 2 },
    );
    for (let n = 0; n < 2; n += 1) caller().send(n, 'S.Block');
    await settled();
    expect(server.stats().callsRunning).toBe(2);
    const third = caller();
    third.send(3, 'S.M');
    expect((await third.reply()).error).toBe(
      'rate limit exceeded, try again later or against a different server',
    );
    third.send(4, 'Status.Ping');
    expect(await third.reply()).toEqual({ seq: 4, error: '', body: {} });
    open[0]!();
    await settled();
    third.send(5, 'S.M');
    expect((await third.reply()).body).toBe(true);
  });

  test('a request larger than allowed ends its stream; the session lives', async () => {
    const { caller, session } = multi({ 'S.M': () => true }, { requestBytesMax: 10_000 });
    const one = caller();
    one.send(1, 'S.M', 'x'.repeat(20_000));
    await one.ended;
    const two = caller();
    two.send(2, 'S.M');
    expect((await two.reply()).body).toBe(true);
    expect(session.end).toBeUndefined();
  });

  test('half requests of one connection fill no more memory than allowed', async () => {
    const { caller } = multi({ 'S.M': () => true }, { requestBytesMax: 10_000, requestsBytesMax: 25_000 });
    const callers = [caller(), caller(), caller()];
    const half = encodeRequest(1, 'S.M', 'x'.repeat(9_500)).subarray(0, -100);
    for (const one of callers) {
      one.stream.write(half);
      await settled();
    }
    await callers[2]!.ended;
    callers[0]!.stream.write('x'.repeat(100));
    expect((await callers[0]!.reply()).body).toBe(true);
  });

  test('a caller that sends ahead while its call runs is listened to only so far', async () => {
    const { handler, open } = gate();
    const { caller, session } = multi({ 'S.Block': handler, 'S.M': (args) => (args as string).length });
    const one = caller();
    one.send(1, 'S.Block');
    const large = 'x'.repeat(1_000_000);
    one.send(2, 'S.M', large);
    await settled();
    expect(session.stats().sentBytes).toBeLessThan(700_000); // the window and what the server took off it
    open[0]!();
    await one.reply();
    expect((await one.reply()).body).toBe(1_000_000);
  });

  test('drain: no new streams, and calls that run are finished', async () => {
    const { handler, open } = gate();
    const { caller, server, session } = multi({ 'S.Block': handler });
    const one = caller();
    one.send(1, 'S.Block');
    await settled();
    let drained = false;
    const draining = server.drain().then(() => {
      drained = true;
    });
    await settled();
    expect(session.mayOpen).toBe(false);
    expect(drained).toBe(false);
    open[0]!();
    await draining;
    await server[Symbol.asyncDispose](); // the reply was on its way before
    expect((await one.reply()).body).toBe('opened');
    await server.drain(); // nothing runs: nothing to wait for
  });
});

test('a caller that has said nothing yet is told to go elsewhere, too', async () => {
  const { server, session } = multi({});
  expect(server.stats()).toEqual({ callsRunning: 0, streams: 0 });
  await server.drain();
  await settled();
  expect(session.mayOpen).toBe(false);
  await server[Symbol.asyncDispose]();
  expect((await server.closed).code).toBe('closed');
});

test('a method name without a service, or given twice, is a bug', () => {
  const registry = new RpcRegistry();
  registry.register({ 'A.B': () => null });
  expect(() => registry.register({ 'A.B': () => null })).toThrowError(/twice/);
  expect(() => registry.register({ B: () => null })).toThrowError(/Service\.Method/);
});
