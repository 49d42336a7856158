/** The log over real HTTP: who watches sees lines from his own level on, whatever stderr gets. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { sunkLogger, watchLog } from '../log-sink.ts';
import { asJson, asText, monitorRoutes } from './monitor.ts';
import { type HttpServer, openHttp } from './server.ts';

let own: string[];
let log: ReturnType<typeof sunkLogger>;
let server: HttpServer;

beforeEach(async () => {
  own = [];
  log = sunkLogger('warn', (line) => own.push(line));
  server = await openHttp({
    bind: { host: '127.0.0.1', port: 0 },
    routes: monitorRoutes({ nodeName: 'n1', watch: (level, put) => watchLog(log, level, put) }),
  });
});
afterEach(() => server[Symbol.asyncDispose]());

async function monitor(query: string) {
  const gone = new AbortController();
  const response = await fetch(`http://127.0.0.1:${server.address.port}/v1/agent/monitor${query}`, {
    signal: gone.signal,
  });
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  return { status: response.status, read: async () => (await reader?.read())?.value, gone };
}

describe('monitor', () => {
  test('lines from the level asked for on, while stderr keeps to its own', async () => {
    const { status, read, gone } = await monitor('?loglevel=debug');
    expect(status).toBe(200);
    log.debug({ room: 'wan', code: 'wet', text: 'a b' }, 'it rains');
    expect(await read()).toMatch(/^\d{4}-\S+Z \[DEBUG\] agent\.wan: it rains: code=wet text="a b"\n$/);
    expect(own).toEqual([]);
    log.warn('hail');
    expect(await read()).toMatch(/Z \[WARN\] {2}agent: hail\n$/);
    expect(own).toHaveLength(1);
    gone.abort();
    while (log.level !== 'warn') await new Promise((resolve) => setImmediate(resolve));
  });

  test('as JSON', async () => {
    const { read } = await monitor('?loglevel=info&logjson');
    log.info({ room: 'wan' }, 'it rains');
    expect(JSON.parse((await read()) ?? '')).toMatchObject({
      '@level': 'info',
      '@message': 'it rains',
      '@module': 'agent.wan',
    });
  });

  test('a level nobody knows', async () => {
    const { status, read } = await monitor('?loglevel=nope');
    expect(status).toBe(400);
    expect(await read()).toBe('Bad request: Unknown log level: nope');
  });

  test('a line without room or message', () => {
    const line = '{"level":"info","time":"T","n":1}\n';
    expect(asText(line)).toBe('T [INFO]  agent: : n=1\n');
    expect(JSON.parse(asJson(line))).toEqual({
      '@level': 'info',
      '@message': '',
      '@module': 'agent',
      '@timestamp': 'T',
      n: 1,
    });
  });
});
