import { pino } from 'pino';
import { expect, test } from 'vitest';
import { type Agent, AgentError } from './agent.ts';
import type { Agents } from './agents.ts';
import { askAgent, askAgents } from './assignment.ts';
import { parseCommandLine } from './command-line.ts';
import { readConfig } from './config.ts';

type Self = Awaited<ReturnType<Agent['self']>>;

async function assigned(flags: string, self: Self | AgentError, ca?: string) {
  const agent = {
    url: 'http://10.0.0.1:8500',
    self: async () => {
      if (self instanceof AgentError) throw self;
      return self;
    },
    instance: async () => ({ address: '', port: 1, proxyConfig: { envoy_stats_tags: [] } }),
  } as unknown as Agent;
  const argv = `--http-addr 10.0.0.1:8500 ${flags}`.trim().split(' ');
  const config = readConfig(parseCommandLine(argv, { exitOverride: true }), {});
  const stop = new AbortController().signal;
  return await askAgent({ config, ca: { pem: ca }, agent, log: pino({ level: 'silent' }), stop });
}

const both = { xdsPort: 8_502, xdsTlsPort: 8_503 };
/** What an agent that names its port allows; a longer time is usual. */
const keepaliveMs = 30_000;
const silent = new AgentError('unreachable', 'nobody');

test.each<[string, string, Self | AgentError, string | undefined, unknown]>([
  [
    'plain text is enough where no authority is named',
    '',
    both,
    undefined,
    { target: '10.0.0.1:8502', keepaliveMs },
  ],
  [
    'an authority asks for TLS',
    '',
    both,
    'PEM',
    { target: '10.0.0.1:8503', tls: { ca: 'PEM' }, keepaliveMs },
  ],
  [
    'the only port there is',
    '',
    { xdsTlsPort: 18_503 },
    undefined,
    { target: '10.0.0.1:18503', tls: {}, keepaliveMs },
  ],
  ['an agent that says nothing', '', {}, undefined, { target: '10.0.0.1:8502' }],
  ['an agent that cannot be asked', '', silent, 'PEM', { target: '10.0.0.1:8503', tls: { ca: 'PEM' } }],
  [
    'what the operator said wins',
    '--grpc-addr https://xds.example:9 --tls-server-name server.dc1.consul',
    both,
    'PEM',
    { target: 'xds.example:9', tls: { ca: 'PEM', serverName: 'server.dc1.consul' } },
  ],
])('%s', async (_why, flags, self, ca, expected) => {
  expect(await assigned(flags, self, ca)).toEqual(expected);
});

test('for Envoy the agent is asked for the rest, too', async () => {
  const flags = '--data-plane envoy --grpc-addr unix:///run/xds.sock';
  expect(await assigned(flags, { ...both, datacenter: 'dc1' })).toEqual({
    target: 'unix:///run/xds.sock',
    keepaliveMs,
    datacenter: 'dc1',
    proxyConfig: { envoy_stats_tags: [] },
  });
});

test('Envoy is given every server there is, from the present one on; the relay the present one', async () => {
  const agentAt = (host: string, port: number) =>
    ({
      url: `http://${host}:8500`,
      self: async () => ({ xdsPort: port }),
      instance: async () => undefined,
    }) as unknown as Agent;
  const all = [agentAt('10.0.0.1', 1), agentAt('10.0.0.2', 2), agentAt('10.0.0.3', 3)];
  const agents = { all, current: all[1] as Agent, count: 3, turn: () => {} } as unknown as Agents;
  const assigned = (flags: string) => {
    const argv = `--http-addr a:1,b:1,c:1 ${flags}`.trim().split(' ');
    const config = readConfig(parseCommandLine(argv, { exitOverride: true }), {});
    const stop = new AbortController().signal;
    return askAgents({ config, ca: { pem: undefined }, agents, log: pino({ level: 'silent' }), stop });
  };
  expect(await assigned('--data-plane envoy')).toMatchObject({
    target: '10.0.0.2:2',
    others: ['10.0.0.1:1', '10.0.0.3:3'],
  });
  expect(await assigned('')).toEqual({ target: '10.0.0.2:2', keepaliveMs });
});
