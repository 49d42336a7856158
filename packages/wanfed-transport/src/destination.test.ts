import { beforeEach, describe, expect, test } from 'vitest';
import { wanfedDefaults } from './config.ts';
import { Destination, type Effect } from './destination.ts';
import type { Outgoing } from './packet-queue.ts';

const never = Number.POSITIVE_INFINITY;
let to: Destination;
let sent: number;
beforeEach(() => {
  to = new Destination('srv3.dc2', { config: wanfedDefaults, rng: { below: () => 0 } });
  sent = 0;
});

describe('destination: the way out', () => {
  test('destination: the first packet dials, the next ones wait for it', () => {
    expect(to.offer(packet(), 0)).toEqual([{ kind: 'dial' }]);
    expect(to.offer(packet(), 1)).toEqual([]);
    expect(to.deadline).toBe(wanfedDefaults.dialMs);
    expect(show(to.dialed(100))).toEqual(['write 0,1']);
    expect(to.deadline).toBe(100 + wanfedDefaults.writeMs);
    expect(to.wrote(101)).toEqual([]);
    expect(to.phase).toBe('open');
    expect(to.deadline).toBe(101 + wanfedDefaults.senderIdleMs);
  });

  test('destination: packets of one turn leave in one write, those that come meanwhile in the next', () => {
    open();
    expect(to.offer(packet(), 10)).toEqual([{ kind: 'gather' }]);
    expect(to.offer(packet(), 10)).toEqual([]);
    expect(show(to.gathered(10))).toEqual(['write 1,2']);
    expect(to.offer(packet(), 11)).toEqual([]);
    expect(to.offer(packet(), 12)).toEqual([]);
    expect(show(to.wrote(13))).toEqual(['write 3,4']);
    expect(to.wrote(14)).toEqual([]);
  });

  test('destination: a write carries 64 KiB, or one packet when that is larger', () => {
    open();
    to.offer(packet(60_000), 10);
    to.offer(packet(10_000), 10);
    to.offer(packet(100_000), 10);
    to.offer(packet(10), 10);
    expect(show(to.gathered(10))).toEqual(['write 1']);
    expect(show(to.wrote(11))).toEqual(['write 2']);
    expect(show(to.wrote(12))).toEqual(['write 3']);
    expect(show(to.wrote(13))).toEqual(['write 4']);
  });

  test('destination: an unused connection is closed after 90 s, and nothing is left', () => {
    open();
    expect(to.expire(wanfedDefaults.senderIdleMs)).toEqual([]);
    expect(show(to.expire(to.deadline))).toEqual(['close', 'forget']);
    expect(to.deadline).toBe(never);
  });

  test('destination: when the queue is full the oldest go, and are told so', () => {
    to.offer(packet(), 0);
    for (let n = 1; n < wanfedDefaults.queuePacketsMax; n++) expect(to.offer(packet(), 0)).toEqual([]);
    expect(show(to.offer(packet(), 0))).toEqual(['fail 0: queue_full']);
    expect(to.queued).toBe(wanfedDefaults.queuePacketsMax);
  });
});

describe('destination: failures', () => {
  test('destination: a failed dial fails all that waited, then refuses at once for a moment, then tries again', () => {
    to.offer(packet(), 0);
    to.offer(packet(), 1);
    expect(show(to.dialFailed(50, new Error('refused')))).toEqual(['fail 0,1: dial_failed']);
    expect(show(to.offer(packet(), 51))).toEqual(['fail 2: backing_off']);
    expect(show(to.offer(packet(), 299))).toEqual(['fail 3: backing_off']);
    expect(show(to.offer(packet(), 300))).toEqual(['dial']);
    to.dialFailed(301, new Error('refused'));
    expect(show(to.offer(packet(), 800))).toEqual(['fail 5: backing_off']); // 500 ms now
    expect(show(to.offer(packet(), 801))).toEqual(['dial']);
  });

  test('destination: the refusal carries what the dial said', () => {
    const cause = new Error('refused');
    to.offer(packet(), 0);
    to.dialFailed(50, cause);
    const [effect] = to.offer(packet(), 51);
    expect(effect?.kind === 'fail' && effect.error.cause).toBe(cause);
  });

  test('destination: failures are forgotten 30 s after the refusal, together with the destination', () => {
    to.offer(packet(), 0);
    to.dialFailed(0, undefined);
    expect(to.deadline).toBe(30_250);
    expect(to.expire(30_249)).toEqual([]);
    expect(show(to.expire(30_250))).toEqual(['forget']);
  });

  test('destination: a write that got through ends the memory of failures', () => {
    to.offer(packet(), 0);
    to.dialFailed(0, undefined);
    to.offer(packet(), 1_000);
    to.dialed(1_000);
    to.wrote(1_001);
    to.broke(5_000, undefined);
    to.offer(packet(), 5_001);
    to.dialFailed(5_001, undefined);
    expect(show(to.offer(packet(), 5_251))).toEqual(['dial']);
  });

  test('destination: a dial port that keeps silent is given up after 6 s', () => {
    to.offer(packet(), 0);
    expect(to.expire(5_999)).toEqual([]);
    expect(show(to.expire(6_000))).toEqual(['abandonDial', 'fail 0: dial_timeout']);
  });

  test('destination: a write that is not taken in 3 s fails with all that waited behind it', () => {
    open();
    to.offer(packet(), 10);
    to.gathered(10);
    to.offer(packet(), 11);
    expect(to.expire(3_009)).toEqual([]);
    expect(show(to.expire(3_010))).toEqual([
      'destroy',
      'fail 1: write_timeout',
      'fail 2: write_timeout',
      'forget',
    ]);
    expect(show(to.offer(packet(), 3_011))).toEqual(['dial']);
  });

  test('destination: an idle connection that breaks is no failure', () => {
    open();
    expect(show(to.broke(10_000, undefined))).toEqual(['forget']);
    expect(show(to.offer(packet(), 10_001))).toEqual(['dial']);
  });

  test('destination: what was on its way fails, what waited behind it gets a new connection', () => {
    open();
    to.offer(packet(), 10_000);
    to.gathered(10_000);
    to.offer(packet(), 10_001);
    expect(show(to.broke(10_002, new Error('reset')))).toEqual(['fail 1: write_failed', 'dial']);
    expect(show(to.dialed(10_003))).toEqual(['write 2']);
  });

  test('destination: a connection that breaks while packets gather is replaced for them', () => {
    open();
    to.offer(packet(), 10_000);
    expect(show(to.broke(10_000, undefined))).toEqual(['dial']);
    expect(to.gathered(10_000)).toEqual([]);
    expect(show(to.dialed(10_001))).toEqual(['write 1']);
  });

  test('destination: a connection that breaks within its first second counts as a failed dial', () => {
    open();
    to.offer(packet(), 10);
    to.gathered(10);
    to.offer(packet(), 11);
    expect(show(to.broke(12, undefined))).toEqual(['fail 1: write_failed', 'fail 2: write_failed']);
    expect(show(to.offer(packet(), 13))).toEqual(['fail 3: backing_off']);
  });
});

describe('destination: the ways changed', () => {
  test('destination: rest forgets its refusal', () => {
    to.offer(packet(), 0);
    to.dialFailed(0, undefined);
    expect(show(to.drain(1))).toEqual(['forget']);
    expect(show(to.offer(packet(), 2))).toEqual(['dial']);
  });
  test('destination: a dial under way starts over with all that waits', () => {
    to.offer(packet(), 0);
    expect(show(to.drain(5))).toEqual(['abandonDial', 'dial']);
    expect(show(to.dialed(6))).toEqual(['write 0']);
  });
  test('destination: an idle connection is closed at once', () => {
    open();
    expect(show(to.drain(5))).toEqual(['close', 'forget']);
  });
  test('destination: gathered packets go out on a new connection', () => {
    open();
    to.offer(packet(), 5);
    expect(show(to.drain(5))).toEqual(['close', 'dial']);
    expect(to.gathered(5)).toEqual([]);
  });
  test('destination: a write is let through first, then the connection is replaced', () => {
    open();
    to.offer(packet(), 5);
    to.gathered(5);
    to.offer(packet(), 6);
    expect(to.drain(7)).toEqual([]);
    expect(show(to.wrote(8))).toEqual(['close', 'dial']);
    expect(show(to.dialed(9))).toEqual(['write 2']);
    expect(to.wrote(10)).toEqual([]); // and this one stays
  });
});

describe('destination: leaving', () => {
  test('destination: what has a connection goes out first', () => {
    open();
    to.offer(packet(), 5);
    expect(show(to.retire(5))).toEqual(['write 1']);
    to.offer(packet(), 6);
    expect(show(to.wrote(7))).toEqual(['write 2']);
    expect(show(to.wrote(8))).toEqual(['close', 'forget']);
  });
  test('destination: what has none fails', () => {
    to.offer(packet(), 0);
    expect(show(to.retire(1))).toEqual(['abandonDial', 'fail 0: closed', 'forget']);
  });
  test('destination: when the connection breaks while leaving, the rest fails', () => {
    open();
    to.offer(packet(), 5_000);
    to.gathered(5_000);
    to.offer(packet(), 5_000);
    to.retire(5_001);
    expect(show(to.broke(5_002, undefined))).toEqual(['fail 1: write_failed', 'fail 2: closed', 'forget']);
  });
  test('destination: leaving that takes too long is cut short', () => {
    open();
    to.offer(packet(), 5);
    to.gathered(5);
    to.offer(packet(), 6);
    to.retire(7);
    expect(show(to.abandon(8))).toEqual([
      'abandonDial',
      'destroy',
      'fail 1: closed',
      'fail 2: closed',
      'forget',
    ]);
  });
});

// ---- fixtures ----

/** Packets are numbered in their first byte. */
function packet(bytes = 4): Outgoing {
  const packet = new Uint8Array(bytes);
  packet[0] = sent++;
  return { packet, failed: undefined };
}

function open(): void {
  to.offer(packet(), 0);
  to.dialed(0);
  to.wrote(1);
}

function show(effects: readonly Effect[]): readonly string[] {
  return effects.map((effect) => {
    switch (effect.kind) {
      case 'write':
        return `write ${effect.batch.map(({ packet }) => packet[0]).join()}`;
      case 'fail':
        return `fail ${effect.packets.map(({ packet }) => packet[0]).join()}: ${effect.error.code}`;
      default:
        return effect.kind;
    }
  });
}
