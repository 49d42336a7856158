import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Outgoing, PacketQueue } from './packet-queue.ts';

test('queue: keeps the newest, in order, within both bounds, and loses nothing silently', () => {
  const push = fc.record({ kind: fc.constant('push' as const), bytes: fc.integer({ min: 1, max: 120 }) });
  const take = fc.record({ kind: fc.constant('take' as const), bytes: fc.integer({ min: 1, max: 200 }) });
  fc.assert(
    fc.property(fc.array(fc.oneof(push, push, take), { maxLength: 200 }), (steps) => {
      const queue = new PacketQueue({ packetsMax: 5, bytesMax: 200 });
      const came: Outgoing[] = [];
      const went: Outgoing[] = [];
      for (const step of steps) {
        if (step.kind === 'push') {
          const item = { packet: new Uint8Array(step.bytes), failed: undefined };
          came.push(item);
          went.push(...queue.push(item));
          expect(queue.length).toBeGreaterThan(0);
        } else {
          const batch = queue.takeBatch(step.bytes);
          went.push(...batch);
          const bytes = batch.reduce((sum, { packet }) => sum + packet.length, 0);
          if (batch.length > 1) expect(bytes).toBeLessThanOrEqual(step.bytes);
        }
        expect(queue.length).toBeLessThanOrEqual(5);
        expect(queue.bytes).toBeLessThanOrEqual(200);
        expect(went.length + queue.length).toBe(came.length);
      }
      went.push(...queue.takeAll());
      expect(went).toEqual(came); // oldest first, each exactly once
      expect(queue.bytes).toBe(0);
    }),
  );
});

test('queue: a packet larger than the bound still finds room, alone', () => {
  const queue = new PacketQueue({ packetsMax: 5, bytesMax: 10 });
  queue.push({ packet: new Uint8Array(3), failed: undefined });
  expect(queue.push({ packet: new Uint8Array(50), failed: undefined })).toHaveLength(1);
  expect(queue.takeBatch(10)).toHaveLength(1);
});

test('queue: thousands pass through without being copied around', () => {
  const queue = new PacketQueue({ packetsMax: 4096, bytesMax: 1 << 30 });
  let next = 0;
  let seen = 0;
  for (let round = 0; round < 200; round++) {
    for (let n = 0; n < 100; n++) queue.push({ packet: Uint8Array.of(next++ & 255), failed: undefined });
    for (const { packet } of queue.takeBatch(90)) expect(packet[0]).toBe(seen++ & 255);
  }
  expect(seen).toBe(200 * 90);
});
