/**
 * world.ts: one core in a test's hands: time moves when told, effects are read as sentences.
 */
import { lan, type MemberlistConfig } from '../../src/config.ts';
import type { Effect, Event, Policy } from '../../src/core/event.ts';
import { Swim } from '../../src/core/swim.ts';
import type { HostPort } from '../../src/ports.ts';
import { decodeMessage } from '../../src/wire/codec.ts';
import type { Alive, Message, NodeState } from '../../src/wire/message.ts';

export const vsn: Uint8Array = Uint8Array.of(1, 5, 2, 0, 0, 0);

export class World {
  readonly swim: Swim;
  now = 1_000;
  /** All effects so far, as `say` puts them; emptied by `heard`. */
  readonly #said: string[] = [];
  readonly #effects: Effect[] = [];

  constructor(o: { config?: Partial<MemberlistConfig>; policy?: Policy; rng?: (n: number) => number } = {}) {
    this.swim = new Swim(
      {
        name: 'self',
        addr: Uint8Array.of(10, 0, 0, 1),
        port: 7946,
        meta: new Uint8Array(0),
        vsn,
        config: { ...quiet, ...o.config },
        rng: { below: o.rng ?? (() => 0) },
        room: { piggybackRoomBytes: (bytes) => 1398 - bytes, gossipRoomBytes: () => 1398 },
        policy: o.policy ?? {},
      },
      this.now,
    );
    this.step({ kind: 'deadline' });
    this.heard();
  }

  step(event: Event): readonly Effect[] {
    const effects = this.swim.step(event, this.now);
    this.#effects.push(...effects);
    this.#said.push(...effects.map(say));
    return effects;
  }

  /** A message from the network, handled as soon as the core wants to. */
  hear(message: Message, from: HostPort = { host: '10.0.0.99', port: 9999 }): void {
    this.step({ kind: 'message', message, from });
    this.run(0);
  }

  /** Lets `ms` pass, deadline by deadline. */
  run(ms: number): void {
    const end = this.now + ms;
    for (let next = this.swim.deadline(); next !== undefined && next <= end; next = this.swim.deadline()) {
      this.now = Math.max(this.now, next);
      this.step({ kind: 'deadline' });
    }
    this.now = end;
  }

  /** Gives away all broadcasts, so that nothing rides along on what is looked at next. */
  drain(): void {
    while (this.swim.broadcastsQueued > 0) this.hear({ kind: 'ping', seqNo: 0, node: 'self' });
    this.heard();
  }

  /** `b`, `c`, ... at 10.0.0.2, 10.0.0.3, ... */
  know(...names: readonly string[]): void {
    for (const name of names) this.hear(aliveOf(name));
    this.heard();
  }

  /** What was said since the last time. */
  heard(): string[] {
    this.#effects.length = 0;
    return this.#said.splice(0);
  }

  /** The effects since the last `heard`. */
  get effects(): readonly Effect[] {
    return this.#effects;
  }

  state(name: string): string | undefined {
    const member = this.swim.member(name);
    return member && `${member.state}@${member.incarnation}`;
  }
}

/** No turns of its own: whatever happens is the test's doing. */
const quiet: MemberlistConfig = {
  ...lan,
  gossipIntervalMs: 0,
  pushPullIntervalMs: 0,
  probeIntervalMs: 0,
  queueCheckIntervalMs: 0,
};

export function aliveOf(name: string, o: Partial<Alive> = {}): Alive {
  const meta = new Uint8Array(0);
  return { kind: 'alive', node: name, incarnation: 1, addr: addrOf(name), port: 7946, meta, vsn, ...o };
}

export function rowOf(name: string, o: Partial<NodeState> = {}): NodeState {
  const meta = new Uint8Array(0);
  return { name, addr: addrOf(name), port: 7946, meta, incarnation: 1, state: 0, vsn, ...o };
}

function addrOf(name: string): Uint8Array {
  return Uint8Array.of(10, 0, 0, name === 'self' ? 1 : name.charCodeAt(0) - 96);
}

function say(effect: Effect): string {
  switch (effect.kind) {
    case 'send': {
      const crc = effect.crc ? ' crc' : '';
      return `to ${effect.to.name || '?'} ${effect.to.host}:${effect.to.port}${crc}: ${effect.messages.map(sayMessage).join(' + ')}`;
    }
    case 'unanswered':
      return `unanswered ${effect.to.name}`;
    case 'tcpPing':
      return `tcpPing ${effect.to.name} until ${effect.deadline}`;
    case 'pushPull':
      return `pushPull ${effect.to.name}`;
    case 'changed':
      return `${effect.change.kind} ${effect.change.member.name} ${effect.change.member.state}`;
    case 'conflict':
      return `conflict ${effect.existing.name} ${effect.other.host}`;
    case 'userMessage':
      return `userMessage ${Buffer.from(effect.payload).toString()}`;
    case 'userState':
      return `userState ${Buffer.from(effect.state).toString()} join=${effect.join}`;
    case 'pingCompleted':
      return `pingCompleted ${effect.member.name} ${effect.rttMs} ${Buffer.from(effect.payload).toString()}`;
    case 'refused':
      return `refused ${effect.code}: ${effect.reason}`;
    case 'settled':
      return `settled ${effect.ticket}`;
    case 'pong':
      return `pong ${effect.ticket} ${effect.rttMs}`;
    case 'dropped':
      return `dropped ${effect.code}`;
    case 'noted':
      return `noted ${effect.code}`;
  }
}

function sayMessage(encoded: Uint8Array): string {
  const m = decodeMessage(encoded);
  switch (m.kind) {
    case 'ping':
      return `ping ${m.node}#${m.seqNo} from ${m.sourceNode}`;
    case 'indirectPing':
      return `indirectPing ${m.node}#${m.seqNo}${m.nack ? ' nack' : ''} from ${m.sourceNode}`;
    case 'ack':
      return `ack #${m.seqNo}${m.payload.length > 0 ? ` ${Buffer.from(m.payload).toString()}` : ''}`;
    case 'nack':
      return `nack #${m.seqNo}`;
    case 'suspect':
    case 'dead':
      return `${m.kind} ${m.node}@${m.incarnation} by ${m.from}`;
    case 'alive':
      return `alive ${m.node}@${m.incarnation}`;
    case 'user':
      return `user ${Buffer.from(m.payload).toString()}`;
    case 'err':
      return `err ${m.error}`;
  }
}
