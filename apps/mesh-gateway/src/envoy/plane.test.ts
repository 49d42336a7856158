/** The life of an Envoy that exists only as what it does to us: a process that ends, an admin port that answers. */

import { SteppedClock } from '@fed/tooling/virtual-clock';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { parseCommandLine } from '../command-line.ts';
import { readConfig } from '../config.ts';
import type { Programs } from '../programs.ts';
import { systemWorld, type World } from '../world.ts';
import { openEnvoyPlane } from './plane.ts';

const admin = '127.0.0.1:19000';
const listeners = {
  listener_statuses: [{ local_address: { socket_address: { address: '127.0.0.1', port_value: 8_443 } } }],
};

/** Answers of its admin port by path; absent: nobody answers. */
type Answers = Record<string, { status?: number; text?: string } | undefined>;

function envoy(flags = '') {
  const clock = new SteppedClock();
  const answers: Answers = {};
  const happened: string[] = [];
  const secrets = new Map<string, string>();
  let end: (status: number) => void = () => {};
  const programs: Programs = {
    find: () => '/usr/bin/envoy',
    output: async () => 'version: x/1.40.0/Clean',
    start: async (path, args) => {
      happened.push(`start ${path} ${args.join(' ')}`);
      const ended = new Promise<number>((resolve) => {
        end = resolve;
      });
      return { ended, kill: (signal) => void happened.push(signal) };
    },
    forward: () => {},
    secret: (name, text) => {
      secrets.set(name, text);
      return { path: `/tmp/s/${name}`, [Symbol.dispose]: () => void secrets.delete(name) };
    },
  };
  const world: World = {
    ...systemWorld(),
    clock,
    programs,
    freePort: async () => 19_000,
    exchange: async (url) => {
      const path = url.replace(`http://${admin}`, '');
      happened.push(path);
      const answer = answers[path.split('?')[0] ?? ''];
      if (answer === undefined) throw new Error('connect ECONNREFUSED');
      return { status: 200, text: '', ...answer };
    },
  };
  const config = readConfig(
    parseCommandLine(
      [...'--data-plane envoy --token s3cret'.split(' '), ...flags.split(' ').filter(Boolean)],
      {
        exitOverride: true,
      },
    ),
    {},
  );
  const announced = Promise.withResolvers<[readonly unknown[], unknown]>();
  const open = (log = pino({ level: 'silent' })) =>
    openEnvoyPlane({ config, world, log, announce: (binds, at) => announced.resolve([binds, at]) });
  return {
    clock,
    answers,
    happened,
    secrets,
    announced: announced.promise,
    end: (s: number) => end(s),
    open,
  };
}
const assignment = {
  target: '127.0.0.1:8502',
  datacenter: 'dc1',
  proxyConfig: { envoy_stats_tags: ['env=prod'] },
};

test('envoy: the token is in a file and nowhere else; the file goes with the first answer of the admin port', async () => {
  const e = envoy('-- --concurrency 1');
  await using plane = await e.open();
  await plane.start(assignment);
  const [start] = e.happened;
  expect(start).toBe(
    'start /usr/bin/envoy --config-path /tmp/s/bootstrap.json --disable-hot-restart --drain-time-s 600 --concurrency 1',
  );
  const document = JSON.parse(e.secrets.get('bootstrap.json') as string);
  expect(JSON.stringify(document)).toContain('"value":"s3cret"');
  expect(document.stats_config.stats_tags).toContainEqual({ tag_name: 'env', fixed_value: 'prod' });

  await e.clock.expecting(50); // nobody answers yet
  expect(e.secrets.size).toBe(1);
  e.answers['/ready'] = { status: 503 };
  e.clock.advance(50);
  await e.clock.expecting(100);
  expect(e.secrets.size).toBe(0);
  e.answers['/ready'] = {};
  e.answers['/listeners'] = { text: JSON.stringify(listeners) };
  e.clock.advance(50);
  expect(await e.announced).toEqual([
    [{ host: '127.0.0.1', port: 8_443 }],
    { host: '127.0.0.1', port: 19_000 },
  ]);
  e.end(0);
});

test('envoy: when it ends, so does the plane, with its status; the file is gone', async () => {
  const e = envoy();
  await using plane = await e.open();
  await plane.start(assignment);
  e.end(139);
  expect(await plane.ended).toBe(139);
  expect(e.secrets.size).toBe(0);
  expect(await plane.connections()).toBe(0);
});

test('envoy: drain: no new connections, SIGTERM once the last has ended, SIGKILL if that does not help', async () => {
  const e = envoy();
  await using plane = await e.open();
  e.answers['/ready'] = {};
  e.answers['/listeners'] = { text: '{}' };
  await plane.start(assignment);
  await e.announced; // so that every alarm from here on is the drain's
  e.answers['/drain_listeners'] = { text: 'OK\n' };
  const active = (n: number) => ({ text: `listener.127.0.0.1_8443.downstream_cx_active: ${n}\n` });
  e.answers['/stats'] = active(2);
  const drained = plane.drain(60_000);
  await e.clock.expecting(50);
  e.clock.advance(40);
  expect(e.happened).toContain('/drain_listeners');
  expect(e.happened).not.toContain('SIGTERM');
  e.answers['/stats'] = active(0);
  e.clock.advance(10);
  await e.clock.expecting(5_050);
  expect(e.happened.at(-1)).toBe('SIGTERM');
  e.clock.advance(5_000);
  expect(e.happened).toContain('SIGKILL');
  e.end(137);
  expect(await drained).toBe(137);
});

test('envoy: an admin address in use is found before anything is registered or started', async () => {
  const e = envoy();
  const taken = openEnvoyPlane({
    config: readConfig(parseCommandLine(['--data-plane', 'envoy'], { exitOverride: true }), {}),
    world: {
      ...systemWorld(),
      programs: { ...systemWorld().programs, find: () => '/usr/bin/envoy', output: async () => '1.40.0' },
      freePort: () => Promise.reject(new Error('listen EADDRINUSE')),
    },
    log: pino({ level: 'silent' }),
    announce: () => {},
  });
  await expect(taken).rejects.toMatchObject({
    code: 'admin_bind_taken',
    message: expect.stringContaining('--admin-bind'),
  });
  expect(e.happened).toEqual([]);
});
