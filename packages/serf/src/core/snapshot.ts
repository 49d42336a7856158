/**
 * snapshot.ts: what a restarted member wants to know: who was alive where, and how far the clocks had come.
 *
 * A log of lines, replayed from the top; rewritten as a whole when it has grown too long. serf snapshot.go.
 * Lives here: the lines, reading them, what each event adds. Must not live here: files (snapshot-file.ts).
 */
import type { LamportTime } from '../wire/message.ts';
import type { SerfEvent } from './events.ts';
import type { SerfMember } from './members.ts';

export interface SnapshotState {
  /** ip:port by name, as text; IPv6 in brackets. */
  readonly alive: ReadonlyMap<string, string>;
  readonly clock: LamportTime;
  readonly eventClock: LamportTime;
  readonly queryClock: LamportTime;
}

const u64Max = 2n ** 64n - 1n;
/** A log shorter than this is left alone, in bytes. */
const compactBytesMin = 128 * 1_024;
/** A log may take this many bytes per member alive: 128 for each, twice over. */
const bytesPerMember = 256;

/** A last line without its newline was being written when we stopped: it is not read. */
export function readSnapshot(text: string, o: { rejoinAfterLeave: boolean }): SnapshotState {
  const recorder = new SnapshotRecorder(o);
  for (const line of text.split('\n').slice(0, -1)) recorder.replay(line);
  return recorder.state();
}

export class SnapshotRecorder {
  readonly #rejoinAfterLeave: boolean;
  readonly #alive = new Map<string, string>();
  #clock: LamportTime = 0n;
  #eventClock: LamportTime = 0n;
  #queryClock: LamportTime = 0n;
  #left = false;

  constructor(o: { rejoinAfterLeave: boolean; state?: SnapshotState }) {
    this.#rejoinAfterLeave = o.rejoinAfterLeave;
    if (o.state === undefined) return;
    for (const [name, address] of o.state.alive) this.#alive.set(name, address);
    this.#clock = o.state.clock;
    this.#eventClock = o.state.eventClock;
    this.#queryClock = o.state.queryClock;
  }

  state(): SnapshotState {
    return {
      alive: new Map(this.#alive),
      clock: this.#clock,
      eventClock: this.#eventClock,
      queryClock: this.#queryClock,
    };
  }

  /** One line of an existing log. What cannot be read is skipped. */
  replay(line: string): void {
    const value = (prefix: string): string | undefined =>
      line.startsWith(prefix) ? line.slice(prefix.length) : undefined;
    const alive = value('alive: ');
    if (alive !== undefined) {
      const space = alive.lastIndexOf(' ');
      if (space >= 0) this.#alive.set(alive.slice(0, space), alive.slice(space + 1));
      return;
    }
    const gone = value('not-alive: ');
    if (gone !== undefined) this.#alive.delete(gone);
    this.#clock = time(value('clock: ')) ?? this.#clock;
    this.#eventClock = time(value('event-clock: ')) ?? this.#eventClock;
    this.#queryClock = time(value('query-clock: ')) ?? this.#queryClock;
    if (line === 'leave') this.#forget();
  }

  /** Lines to append because of `event`; '' when it says nothing new. `clock` is the member clock. */
  record(event: SerfEvent, clock: LamportTime): string {
    if (this.#left) return '';
    switch (event.kind) {
      case 'member-join':
        return event.members.map((m) => this.#here(m)).join('') + this.tick(clock);
      case 'member-leave':
      case 'member-failed':
        return event.members.map((m) => this.#gone(m)).join('') + this.tick(clock);
      case 'member-update':
      case 'member-reap':
        return this.tick(clock);
      case 'user':
        return this.userEventAt(event.ltime);
      case 'query':
        return this.queryAt(event.query.ltime);
    }
  }

  /** The member clock may have moved without an event. */
  tick(clock: LamportTime): string {
    if (this.#left || clock === 0n || clock - 1n <= this.#clock) return '';
    this.#clock = clock - 1n;
    return `clock: ${this.#clock}\n`;
  }

  userEventAt(ltime: LamportTime): string {
    if (this.#left || ltime <= this.#eventClock) return '';
    this.#eventClock = ltime;
    return `event-clock: ${ltime}\n`;
  }

  /** Internal queries too, which the application never hears of. */
  queryAt(ltime: LamportTime): string {
    if (this.#left || ltime <= this.#queryClock) return '';
    this.#queryClock = ltime;
    return `query-clock: ${ltime}\n`;
  }

  /** We are leaving: nothing after this is recorded. I9 */
  leave(): string {
    if (this.#left) return '';
    this.#left = true;
    this.#forget();
    return 'leave\n';
  }

  /** Whether a log of `bytes` is worth rewriting. */
  tooLong(bytes: number): boolean {
    return bytes > Math.max(compactBytesMin, this.#alive.size * bytesPerMember);
  }

  /** The whole log, as short as it can be. */
  compacted(): string {
    let out = '';
    for (const [name, address] of this.#alive) out += `alive: ${name} ${address}\n`;
    out += `clock: ${this.#clock}\nevent-clock: ${this.#eventClock}\nquery-clock: ${this.#queryClock}\n`;
    return this.#left ? `${out}leave\n` : out;
  }

  #here(m: SerfMember): string {
    if (m.name.includes('\n')) return ''; // a name that would forge lines
    const address = addressText(m);
    this.#alive.set(m.name, address);
    return `alive: ${m.name} ${address}\n`;
  }

  #gone(m: SerfMember): string {
    if (m.name.includes('\n')) return '';
    this.#alive.delete(m.name);
    return `not-alive: ${m.name}\n`;
  }

  #forget(): void {
    if (this.#rejoinAfterLeave) return;
    this.#alive.clear();
    this.#clock = 0n;
    this.#eventClock = 0n;
    this.#queryClock = 0n;
  }
}

/** `host:port`, an IPv6 host in brackets. */
export function addressText(o: { readonly host: string; readonly port: number }): string {
  return o.host.includes(':') ? `[${o.host}]:${o.port}` : `${o.host}:${o.port}`;
}

function time(text: string | undefined): LamportTime | undefined {
  if (text === undefined || !/^\d{1,20}$/.test(text)) return undefined;
  const value = BigInt(text);
  return value <= u64Max ? value : undefined;
}
