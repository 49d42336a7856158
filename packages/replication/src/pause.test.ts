import { settled, VirtualClock } from '@fed/tooling/virtual-clock';
import { describe, expect, test } from 'vitest';
import { Pause, within } from './pause.ts';

describe('pause', () => {
  test('pause: ends by time', async () => {
    const { clock, pause } = world();
    const woken = pause.for(100);
    await clock.advance(100);
    expect(await woken).toBe(false);
  });
  test('pause: ends by waking', async () => {
    const { pause, clock } = world();
    const woken = pause.for(100);
    pause.wake();
    expect(await woken).toBe(true);
    expect(clock.armed).toBe(0);
  });
  test('pause: a wake-up while nobody waits ends the next wait, once, unless forgotten', async () => {
    const { pause, clock } = world();
    pause.wake();
    expect(await pause.for(100)).toBe(true);
    pause.wake();
    pause.forgetWake();
    const woken = pause.for(100);
    await clock.advance(100);
    expect(await woken).toBe(false);
  });
  test('pause: a gap is not woken, but ends when stopped', async () => {
    const { pause, clock, stop } = world();
    let over = false;
    const gap = pause.gap(100).then(() => {
      over = true;
    });
    pause.wake();
    await clock.advance(99);
    expect(over).toBe(false);
    stop.abort();
    await gap;
    expect(clock.armed).toBe(0);
    expect(await pause.for(1_000_000)).toBe(false);
  });
});

describe('within', () => {
  test('within: an answer in time counts, and leaves nothing behind', async () => {
    const { clock, stop } = world();
    expect(await within(async () => 7, { clock, ms: 10, stop: stop.signal, what: 'x' })).toBe(7);
    expect(clock.armed).toBe(0);
  });
  test('within: a call that ignores its signal is not waited for', async () => {
    const { clock, stop } = world();
    let aborted = false;
    const call = within<void>(
      (signal) => {
        signal.addEventListener('abort', () => {
          aborted = true;
        });
        return new Promise(() => {});
      },
      { clock, ms: 10, stop: stop.signal, what: 'asking' },
    );
    const outcome = expect(call).rejects.toMatchObject({ code: 'timeout', message: /asking/ });
    await clock.advance(10);
    await outcome;
    expect(aborted).toBe(true);
  });
  test('within: stopping ends the call, and none is begun after', async () => {
    const { clock, stop } = world();
    const reason = new Error('stopped');
    const call = within(() => new Promise(() => {}), { clock, ms: 10, stop: stop.signal, what: 'x' });
    const outcome = expect(call).rejects.toBe(reason);
    stop.abort(reason);
    await outcome;
    let begun = false;
    const late = within(
      async () => {
        begun = true;
      },
      { clock, ms: 10, stop: stop.signal, what: 'x' },
    );
    await expect(late).rejects.toBe(reason);
    await settled();
    expect(begun).toBe(false);
    expect(clock.armed).toBe(0);
  });
});

// ---- fixtures ----

function world(): { clock: VirtualClock; pause: Pause; stop: AbortController } {
  const clock = new VirtualClock();
  const stop = new AbortController();
  return { clock, stop, pause: new Pause(clock, stop.signal) };
}
