/**
 * keep-registered.ts: the agent knows this gateway, and knows it again after it has forgotten.
 *
 * Agents restart, and services registered over HTTP may not survive that. So the gateway asks from time to time, sooner
 * while the agent does not answer, and at once when somebody has reason to think that something happened.
 * Lives here: the loop. Must not live here: requests (agent.ts), the body (registration.ts).
 */
import type { Agent, AgentError } from './agent.ts';
import type { RegistrationBody } from './registration.ts';
import type { Clock, Rng } from './relay/ports.ts';

export const checkMs = 5_000;
/** While the agent does not answer. */
export const checkLostMs = 1_000;
const retryMsMin = 250;
const retryMsMax = 8_000;

export type RegistrationEvent =
  | { readonly kind: 'registered'; readonly again: boolean }
  | { readonly kind: 'failed'; readonly cause: AgentError; readonly retryMs: number }
  | { readonly kind: 'agentLost'; readonly cause: AgentError }
  | { readonly kind: 'agentBack' };

export interface KeepRegistered extends AsyncDisposable {
  /** Resolves after the first registration; never if it is disposed before. */
  readonly registered: Promise<void>;
  /** Something happened: ask the agent now. */
  check(): void;
}

/** Begins at once. Disposing ends the loop and the request it is in; the registration stays. */
export function keepRegistered(o: {
  readonly agent: Pick<Agent, 'register' | 'knows'>;
  readonly body: RegistrationBody;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly onEvent: (e: RegistrationEvent) => void;
}): KeepRegistered {
  const { agent, body, clock, rng, onEvent } = o;
  const stop = new AbortController();
  /** Ends the present pause, if there is one. */
  let wake: (() => void) | undefined;
  /** Somebody called while there was none: the next one is not begun. */
  let woken = false;
  let resolveRegistered: () => void = () => {};
  const registered = new Promise<void>((resolve) => {
    resolveRegistered = resolve;
  });

  /** Until the time is over, `check()` was called, or it all ends. */
  const pause = async (ms: number): Promise<void> => {
    if (!woken && !stop.signal.aborted)
      await new Promise<void>((resolve) => {
        const alarm = clock.at(clock.now() + ms, () => wake?.());
        wake = () => {
          alarm[Symbol.dispose]();
          wake = undefined;
          resolve();
        };
      });
    woken = false;
  };

  const register = async (again: boolean): Promise<void> => {
    for (let failures = 0; !stop.signal.aborted; failures++) {
      try {
        await agent.register(body, stop.signal);
        onEvent({ kind: 'registered', again });
        return;
      } catch (e) {
        if (stop.signal.aborted) return;
        const ceiling = Math.min(retryMsMax, retryMsMin * 2 ** Math.min(failures, 10));
        const retryMs = ceiling / 2 + rng.below(ceiling / 2 + 1);
        onEvent({ kind: 'failed', cause: e as AgentError, retryMs });
        await pause(retryMs);
      }
    }
  };

  const run = async (): Promise<void> => {
    await register(false);
    if (!stop.signal.aborted) resolveRegistered();
    let lost = false;
    while (!stop.signal.aborted) {
      await pause(lost ? checkLostMs : checkMs);
      if (stop.signal.aborted) return;
      try {
        const known = await agent.knows(body.ID, stop.signal);
        if (lost) onEvent({ kind: 'agentBack' });
        lost = false;
        if (!known) await register(true);
      } catch (e) {
        if (stop.signal.aborted) return;
        if (!lost) onEvent({ kind: 'agentLost', cause: e as AgentError });
        lost = true;
      }
    }
  };
  const running = run();

  return {
    registered,
    check() {
      woken = true;
      wake?.();
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      wake?.();
      await running;
    },
  };
}
