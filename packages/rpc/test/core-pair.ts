/**
 * core-pair.ts: two yamux cores that hear each other at once, and the frames they sent, in order.
 *
 * Lives here: a wire without time or loss, and an application that does what the test says. Must not live here: checks.
 */
import { YamuxCore } from '../src/yamux/session-core.ts';
import {
  type Effect,
  type Event,
  type OpenVerdict,
  type YamuxConfig,
  yamuxDefaults,
} from '../src/yamux/session-events.ts';

export interface SentFrame {
  readonly dir: 'c>s' | 's>c';
  readonly header: string;
  readonly payload: Uint8Array;
}

/** One end: its core, and all that its application was told. */
export class End {
  readonly core: YamuxCore;
  readonly effects: Effect[] = [];
  now = 0;
  #hear: (effect: Extract<Effect, { kind: 'send' }>) => void;

  constructor(
    role: 'client' | 'server',
    hear: (effect: Extract<Effect, { kind: 'send' }>) => void,
    config: Partial<YamuxConfig> = {},
  ) {
    this.core = new YamuxCore(role, { ...yamuxDefaults, ...config }, 0);
    this.#hear = hear;
  }

  open(announce = true): OpenVerdict {
    const verdict = this.core.open(this.now, announce);
    if (verdict.kind === 'opened') this.#note(verdict.effects);
    return verdict;
  }

  step(event: Event): void {
    this.#note(this.core.step(event, this.now));
    while (this.core.wantsToSend) this.#note(this.core.step({ kind: 'transmit', bytesMax: 1 }, this.now));
  }

  ping(): void {
    this.#note(this.core.ping(this.now).effects);
  }

  write(id: number, bytes: Uint8Array | string): void {
    this.step({ kind: 'write', id, bytes: Buffer.from(bytes) });
  }

  /** The kinds of what the application was told, frames left out. */
  get told(): string[] {
    return this.effects
      .filter((e) => e.kind !== 'send')
      .map((e) => ('id' in e ? `${e.kind} ${e.id}` : e.kind));
  }

  /** Bytes delivered for a stream so far. */
  received(id: number): Buffer {
    return Buffer.concat(this.effects.flatMap((e) => (e.kind === 'data' && e.id === id ? [e.bytes] : [])));
  }

  get closed(): Extract<Effect, { kind: 'closed' }> | undefined {
    return this.effects.find((e) => e.kind === 'closed');
  }

  #note(effects: readonly Effect[]): void {
    for (const effect of effects) {
      this.effects.push(effect);
      if (effect.kind === 'send') this.#hear(effect);
    }
  }
}

export interface Pair {
  readonly client: End;
  readonly server: End;
  readonly frames: SentFrame[];
}

export function corePair(o: { client?: Partial<YamuxConfig>; server?: Partial<YamuxConfig> } = {}): Pair {
  const frames: SentFrame[] = [];
  const wire =
    (dir: SentFrame['dir'], to: () => End) =>
    (effect: Extract<Effect, { kind: 'send' }>): void => {
      const payload = effect.payload ?? new Uint8Array(0);
      frames.push({ dir, header: Buffer.from(effect.header).toString('hex'), payload });
      to().step({ kind: 'received', bytes: Buffer.concat([effect.header, payload]) });
    };
  const client: End = new End(
    'client',
    wire('c>s', () => server),
    o.client,
  );
  const server: End = new End(
    'server',
    wire('s>c', () => client),
    o.server,
  );
  return { client, server, frames };
}
