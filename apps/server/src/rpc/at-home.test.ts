import { type Fsm, newRegisterRequest, openFsm } from '@fed/fsm';
import type { Value } from '@fed/msgpack';
import { RpcApplicationError, RpcError, type RpcTarget } from '@fed/rpc';
import { settled, VirtualClock } from '@fed/tooling/virtual-clock';
import { describe, expect, test } from 'vitest';
import { SharedLog } from '../../test/shared-log.ts';
import type { AskContext, Endpoint } from './ask.ts';
import { type AtHome, type AtHomeOptions, createAtHome } from './at-home.ts';

const here: AskContext = { signal: new AbortController().signal };
const read: Value & object = { AllowStale: false };
const stale: Value & object = { AllowStale: true };
const write: Value & object = { Node: 'a' };
const hold = 7_000;

interface Server {
  readonly fsm: Fsm;
  readonly ask: (args: object, o?: { endpoint?: Endpoint; context?: AskContext }) => Promise<Value>;
  readonly atHome: AtHome;
}

/** Servers that answer with their own name, and write what they are told to. */
async function datacenter(...addresses: readonly string[]) {
  const log = new SharedLog();
  const clock = new VirtualClock();
  const servers = new Map<string, Server>();
  const sent: { to: RpcTarget; method: string }[] = [];
  /** What becomes of the next questions to another server, instead of an answer. */
  const accidents: Error[] = [];
  const leaving = new AbortController();
  for (const address of addresses) {
    const fsm = await openFsm({ engine: log.open(address), clock });
    const endpoint: Endpoint = {
      belongs: 'datacenter',
      answer: async (args) => {
        if (args['AllowStale'] !== undefined) return address;
        await fsm.apply({
          type: 'register',
          request: newRegisterRequest({
            Datacenter: 'dc1',
            Node: args['Node'] as string,
            Address: '10.0.0.9',
          }),
        });
        return `${address} wrote`;
      },
    };
    const options: AtHomeOptions = {
      datacenter: 'dc1',
      engine: fsm.engine,
      pool: {
        call: async (to, method, args, { signal }) => {
          sent.push({ to, method });
          const accident = accidents.shift();
          if (accident !== undefined) throw accident;
          const other = servers.get(`${to.address.host}:${to.address.port}`) as Server;
          try {
            const peer = { server: true } as unknown as AskContext['caller'];
            return await other.ask(args as object, {
              context: { signal: signal as AbortSignal, caller: peer },
            });
          } catch (error) {
            throw new RpcError('remote', `rpc error making call: ${(error as Error).message}`, {
              target: to,
            });
          }
        },
      },
      nodeAt: (at) => (at === addresses[0] ? 'n1' : undefined),
      fromOwnServer: ({ caller }) => caller !== undefined,
      leaving: leaving.signal,
      holdTimeoutMs: hold,
      queryTimeDefaultMs: 300_000,
      queryTimeMaxMs: 600_000,
      clock,
      rng: { below: (n) => n - 1 },
    };
    const atHome = createAtHome(options);
    const ask: Server['ask'] = (args, { endpoint: other = endpoint, context = here } = {}) =>
      atHome(other, 'Test.Do', args as never, context);
    servers.set(address, { fsm, atHome, ask });
  }
  const server = (address: string): Server => servers.get(address) as Server;
  return { log, clock, sent, accidents, leaving, server };
}

const a = '10.0.0.1:8300';
const b = '10.0.0.2:8300';
const c = '10.0.0.3:8300';

describe('who answers', () => {
  test('the leader answers itself; the others ask it, by its address, and by its name where gossip knows that', async () => {
    const { log, server, sent } = await datacenter(a, b, c);
    log.elect(a);
    expect(await server(a).ask(read)).toBe(a);
    expect(sent).toEqual([]);
    expect(await server(b).ask(read)).toBe(a);
    log.elect(c);
    expect(await server(a).ask(write)).toBe(`${c} wrote`);
    expect(sent.map(({ to }) => [to.datacenter, to.node, to.address])).toEqual([
      ['dc1', 'n1', { host: '10.0.0.1', port: 8300 }],
      ['dc1', c, { host: '10.0.0.3', port: 8300 }],
    ]);
    for (const each of [a, b, c]) expect(server(each).fsm.store.node('a').row?.Address).toBe('10.0.0.9');
  });

  test('who can live with an old answer has it from any server, once there was a leader to hear from', async () => {
    const { log, clock, server, sent } = await datacenter(a, b);
    const early = server(b).ask(stale);
    const refused = expect(early).rejects.toThrow('No cluster leader');
    await clock.advance(2 * hold);
    await refused;
    log.elect(a);
    expect(await server(b).ask(stale)).toBe(b);
    log.elect(undefined);
    expect(await server(b).ask(stale)).toBe(b);
    expect(sent).toEqual([]);
  });

  test('some questions are every server’s own', async () => {
    const { server } = await datacenter(a, b);
    const own: Endpoint = { belongs: 'datacenter', answeredBy: 'any', answer: () => 'mine' };
    expect(await server(b).ask({}, { endpoint: own })).toBe('mine');
  });
});

describe('while nobody leads', () => {
  test('a question waits, and is answered in the moment somebody does', async () => {
    const { log, clock, server } = await datacenter(a, b);
    const asked = server(b).ask(write);
    await clock.advance(3_000);
    log.elect(a);
    await settled();
    expect(await asked).toBe(`${a} wrote`);
    expect(clock.now()).toBe(3_000);
  });

  test('it does not wait for ever, and the words are the original’s', async () => {
    const { clock, server } = await datacenter(a, b);
    const refused = expect(server(b).ask(read)).rejects.toThrow(/^No cluster leader$/);
    await clock.advance(hold + hold / 16);
    await refused;
  });

  test('who has gone is not waited for', async () => {
    const { server } = await datacenter(a, b);
    const gone = new AbortController();
    const refused = expect(server(b).ask(read, { context: { signal: gone.signal } })).rejects.toThrow();
    gone.abort(new Error('gone'));
    await refused;
  });

  test('a server that says goodbye answers no more for a leader', async () => {
    const { log, server, leaving } = await datacenter(a, b);
    log.elect(a);
    leaving.abort();
    await expect(server(a).ask(read)).rejects.toThrow('No cluster leader');
    expect(await server(a).ask(stale)).toBe(a);
  });
});

describe('when something breaks on the way', () => {
  const target: RpcTarget = { datacenter: 'dc1', node: 'n1', address: { host: '10.0.0.1', port: 8300 } };
  const error = (code: ConstructorParameters<typeof RpcError>[0], text: string) =>
    new RpcError(code, text, { target });

  for (const [what, accident, question, again] of [
    ['no connection could be made', error('dial', 'connection refused'), write, true],
    ['the connection broke under a read', error('session_lost', 'EOF'), read, true],
    ['the connection broke under a write', error('session_lost', 'EOF'), write, false],
    ['the leader lost its connection to a read', error('remote', 'rpc error making call: EOF'), read, true],
    ['the leader is none any more', error('remote', 'rpc error making call: No cluster leader'), write, true],
    ['the answer is a refusal', error('remote', 'rpc error making call: Permission denied'), read, false],
    ['the leader is silent', error('timeout', 'no answer'), read, false],
  ] as const)
    test(`${what}: ${again ? 'asked again' : 'the error is the answer'}`, async () => {
      const { log, clock, server, accidents, sent } = await datacenter(a, b);
      log.elect(a);
      accidents.push(accident);
      const asked = server(b)
        .ask(question)
        .catch((e: unknown) => e);
      await clock.advance(hold / 16 + 1);
      expect(sent.length).toBe(again ? 2 : 1);
      if (again) expect(String(await asked)).toContain(a);
      else expect(await asked).toBe(accident);
    });

  test('two servers that take each other for the leader do not send a question to and fro', async () => {
    const { log, clock, server, sent } = await datacenter(a, b);
    log.elect(a);
    const context = { ...here, caller: {} as unknown as AskContext['caller'] };
    const refused = expect(server(b).ask(read, { context: context as AskContext })).rejects.toThrow(
      'No cluster leader',
    );
    await clock.advance(2 * hold);
    await refused;
    expect(sent).toEqual([]);
  });

  test('leadership lost under a write: it was not done, so it is asked of the next leader, and done once', async () => {
    const { log, server } = await datacenter(a, b);
    log.elect(a);
    const asked = server(a).ask(write);
    // The write is on its way into the log.
    log.elect(b);
    expect(await asked).toBe(`${b} wrote`);
    expect(log.lastIndex).toBe(1);
  });

  test('other errors of an answer are nobody’s business here', async () => {
    const { log, server } = await datacenter(a);
    log.elect(a);
    const refusing: Endpoint = {
      belongs: 'datacenter',
      answer: () => Promise.reject(new RpcApplicationError('Must provide node')),
    };
    await expect(server(a).ask({}, { endpoint: refusing })).rejects.toThrow(/^Must provide node$/);
  });
});
