import { freePorts } from '@fed/tooling/ports';
import { expect, test } from 'vitest';
import { openXdsClient } from './client.ts';

test('back-off: from 0.25 s, doubled, at most 5 s, half of it by chance', async () => {
  const [port] = await freePorts(1); // nobody listens there
  const delays: number[] = [];
  let retry = (): void => undefined;
  let lost = (): void => undefined;
  const client = openXdsClient({
    target: `127.0.0.1:${port}`,
    nodeId: 'gw',
    cluster: 'mesh',
    onConfig: () => undefined,
    rng: { below: (n) => n - 1 },
    clock: {
      now: () => 0,
      at: (when, wake) => {
        delays.push(when);
        retry = wake;
        return { [Symbol.dispose]: () => undefined };
      },
    },
    log: (n) => n.code === 'stream_lost' && lost(),
  });
  for (let i = 0; i < 7; i++) {
    await new Promise<void>((resolve) => {
      lost = resolve;
      retry();
    });
    await Promise.resolve(); // the log comes before the timer
  }
  expect(delays).toEqual([250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]);
  expect(client.state()).toMatchObject({
    phase: 'backingOff',
    attempts: 7,
    lastError: { code: 'unavailable' },
  });
  await client[Symbol.asyncDispose]();
  expect(client.state().phase).toBe('closed');
});

test('a target that is no address: told, and tried again like any other failure', async () => {
  const text = await new Promise<string>((resolve) => {
    const client = openXdsClient({
      target: 'bogus:///x y',
      nodeId: 'gw',
      cluster: 'mesh',
      onConfig: () => undefined,
      clock: { now: () => 0, at: () => ({ [Symbol.dispose]: () => undefined }) },
      log: (n) => {
        resolve(n.text);
        void client[Symbol.asyncDispose]();
      },
    });
  });
  expect(text).toContain('bogus:///x y');
});
