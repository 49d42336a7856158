/**
 * keep-registered.ts: an agent knows this gateway, and knows it again after it has forgotten.
 *
 * Agents restart, and services registered over HTTP may not survive that. So the gateway asks from time to time, sooner
 * while the agent does not answer, and at once when somebody has reason to think that something happened. When an agent stays
 * silent and there are others, it registers at the next, and takes away there what stood under the node of the first:
 * nobody else would, and others would go on dialling it twice.
 * What stands under our id with another address is somebody else's doing. It is told, and left: two gateways that
 * take the place from each other would serve nobody.
 * Lives here: the loop. Must not live here: requests (agent.ts), whose turn it is (agents.ts), the body (registration.ts).
 */
import type { Agent, AgentError } from './agent.ts';
import { namesake, type RegistrationBody } from './registration.ts';
import type { Clock, Rng } from './relay/ports.ts';

export const checkMs = 5_000;
/** While the agent does not answer. */
export const checkLostMs = 1_000;
/** Questions in a row that an agent may leave unanswered before the next one is asked. */
const silencesMax = 2;
const retryMsMin = 250;
const retryMsMax = 8_000;

export type RegistrationEvent =
  | { readonly kind: 'registered'; readonly again: boolean; readonly url: string }
  /** At another agent than before, which does not answer any more. */
  | { readonly kind: 'moved'; readonly from: string; readonly to: string }
  | { readonly kind: 'failed'; readonly cause: AgentError; readonly retryMs: number }
  | { readonly kind: 'agentLost'; readonly cause: AgentError }
  | { readonly kind: 'agentBack' }
  /** What we left under another node could not be taken away. */
  | { readonly kind: 'leftBehind'; readonly node: string; readonly cause: AgentError }
  /** Another gateway has registered under our id, at this address. */
  | { readonly kind: 'takenOver'; readonly by: string }
  | { readonly kind: 'oursAgain' };

export interface KeepRegistered extends AsyncDisposable {
  /** Resolves after the first registration; never if it is disposed before. */
  readonly registered: Promise<void>;
  /** Something happened: ask the agent now. */
  check(): void;
}

type Asked = Pick<Agent, 'url' | 'register' | 'instance' | 'self' | 'forget'>;

export interface KeepRegisteredOptions {
  readonly agents: { readonly current: Asked; readonly count: number; turn(): void };
  readonly body: RegistrationBody;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly onEvent: (e: RegistrationEvent) => void;
}

/** Begins at once. Disposing ends the loop and the request it is in; the registration stays. */
export function keepRegistered(o: KeepRegisteredOptions): KeepRegistered {
  return new Keeper(o);
}

class Keeper implements KeepRegistered {
  readonly registered: Promise<void>;
  readonly #o: KeepRegisteredOptions;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #resolveRegistered: () => void = () => {};
  /** Ends the present pause, if there is one. */
  #wake: (() => void) | undefined;
  /** Somebody called while there was none: the next one is not begun. */
  #woken = false;
  /** Where the registration is. */
  #home: { readonly url: string; readonly node: string | undefined } | undefined;
  #silences = 0;
  #takenBy: string | undefined;

  constructor(o: KeepRegisteredOptions) {
    this.#o = o;
    this.registered = new Promise((resolve) => {
      this.#resolveRegistered = resolve;
    });
    this.#running = this.#run();
  }

  check(): void {
    this.#woken = true;
    this.#wake?.();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.#wake?.();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    await this.#register();
    if (!signal.aborted) this.#resolveRegistered();
    while (!signal.aborted) {
      await this.#pause(this.#silences > 0 ? checkLostMs : checkMs);
      if (signal.aborted) return;
      await this.#look();
    }
  }

  async #look(): Promise<void> {
    const { agents, body, onEvent } = this.#o;
    const { signal } = this.#stop;
    try {
      const known = await agents.current.instance(body.ID, signal);
      if (this.#silences > 0) onEvent({ kind: 'agentBack' });
      this.#silences = 0;
      if (known === undefined) await this.#register();
      else this.#compare(namesake(body, known));
    } catch (e) {
      if (signal.aborted) return;
      if (this.#silences === 0) onEvent({ kind: 'agentLost', cause: e as AgentError });
      this.#silences += 1;
      if (agents.count === 1 || this.#silences < silencesMax) return;
      agents.turn();
      await this.#register();
    }
  }

  #compare(other: string | undefined): void {
    if (other === this.#takenBy) return;
    this.#takenBy = other;
    this.#o.onEvent(other === undefined ? { kind: 'oursAgain' } : { kind: 'takenOver', by: other });
  }

  /** At the agent whose turn it is, or at the first after it that answers. */
  async #register(): Promise<void> {
    const { agents, body, rng, onEvent } = this.#o;
    const { signal } = this.#stop;
    for (let failures = 0; !signal.aborted; failures++) {
      try {
        await agents.current.register(body, signal);
        this.#silences = 0;
        this.#takenBy = undefined;
        await this.#settle();
        return;
      } catch (e) {
        if (signal.aborted) return;
        const cause = e as AgentError;
        // Who says no would say so again elsewhere; who says nothing has neighbours.
        const others = cause.code === 'refused' ? 0 : agents.count - 1;
        const round = Math.floor(failures / (others + 1));
        const isRoundOver = failures % (others + 1) === others;
        const ceiling = Math.min(retryMsMax, retryMsMin * 2 ** Math.min(round, 10));
        const retryMs = isRoundOver ? ceiling / 2 + rng.below(ceiling / 2 + 1) : 0;
        onEvent({ kind: 'failed', cause, retryMs });
        if (others > 0) agents.turn();
        if (retryMs > 0) await this.#pause(retryMs);
      }
    }
  }

  /** Tells where we are now, and takes away what is left of where we were. */
  async #settle(): Promise<void> {
    const { agents, body, onEvent } = this.#o;
    const { signal } = this.#stop;
    const { url } = agents.current;
    const before = this.#home;
    if (agents.count === 1) {
      this.#home = { url, node: undefined };
      onEvent({ kind: 'registered', again: before !== undefined, url });
      return;
    }
    const { node } = await agents.current.self(signal).catch(() => ({ node: undefined }));
    this.#home = { url, node };
    if (before === undefined || before.url === url) {
      onEvent({ kind: 'registered', again: before !== undefined, url });
      return;
    }
    onEvent({ kind: 'moved', from: before.url, to: url });
    if (before.node === undefined || before.node === node) return;
    try {
      await agents.current.forget(before.node, body.ID, signal);
    } catch (cause) {
      if (!signal.aborted) onEvent({ kind: 'leftBehind', node: before.node, cause: cause as AgentError });
    }
  }

  /** Until the time is over, `check()` was called, or it all ends. */
  async #pause(ms: number): Promise<void> {
    const { clock } = this.#o;
    if (!this.#woken && !this.#stop.signal.aborted)
      await new Promise<void>((resolve) => {
        const alarm = clock.at(clock.now() + ms, () => this.#wake?.());
        this.#wake = () => {
          alarm[Symbol.dispose]();
          this.#wake = undefined;
          resolve();
        };
      });
    this.#woken = false;
  }
}
