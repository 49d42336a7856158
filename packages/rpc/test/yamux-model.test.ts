/** Two cores, any story, any cutting of the bytes between them: what is read is what was written. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { YamuxCore } from '../src/yamux/session-core.ts';
import { type Effect, type Event, yamuxDefaults } from '../src/yamux/session-events.ts';

type Action =
  | { readonly kind: 'open' }
  | { readonly kind: 'write'; readonly nth: number; readonly size: number }
  | { readonly kind: 'end' | 'drop'; readonly nth: number }
  | { readonly kind: 'read'; readonly nth: number; readonly size: number }
  | { readonly kind: 'carry'; readonly size: number }; // so many bytes of the wire arrive

interface Turn {
  readonly who: 0 | 1;
  readonly action: Action;
}

const nth = fc.nat(5);
const action: fc.Arbitrary<Action> = fc.oneof(
  fc.record({ kind: fc.constant('open' as const) }),
  fc.record({ kind: fc.constant('write' as const), nth, size: fc.integer({ min: 1, max: 200_000 }) }),
  fc.record({ kind: fc.constantFrom('end' as const, 'drop' as const), nth }),
  fc.record({ kind: fc.constant('read' as const), nth, size: fc.integer({ min: 1, max: 200_000 }) }),
  fc.record({ kind: fc.constant('carry' as const), size: fc.integer({ min: 1, max: 100_000 }) }),
);
const story = fc.array(fc.record({ who: fc.constantFrom(0 as const, 1 as const), action }), {
  maxLength: 60,
});

/** What one end knows of one stream. */
interface Known {
  readonly id: number;
  wrote: number;
  got: number;
  unread: number;
  busy: boolean;
  ended: boolean;
  dropped: boolean;
  peerEnded: boolean;
  reset: boolean;
}

class Party {
  readonly core: YamuxCore;
  readonly known = new Map<number, Known>();
  wire: Buffer[] = [];
  closed: string | undefined;
  constructor(role: 'client' | 'server') {
    this.core = new YamuxCore(role, { ...yamuxDefaults, acceptBacklog: 3 }, 0);
  }

  know(id: number): Known {
    const fresh = {
      wrote: 0,
      got: 0,
      unread: 0,
      busy: false,
      ended: false,
      dropped: false,
      peerEnded: false,
      reset: false,
    };
    const known = { id, ...fresh };
    this.known.set(id, known);
    return known;
  }

  step(event: Event): void {
    this.note(this.core.step(event, 0));
    while (this.core.wantsToSend) this.note(this.core.step({ kind: 'transmit', bytesMax: 65_536 }, 0));
  }

  note(effects: readonly Effect[]): void {
    for (const e of effects) {
      if (e.kind === 'send') this.wire.push(Buffer.concat([e.header, e.payload ?? new Uint8Array(0)]));
      else if (e.kind === 'incoming') {
        this.know(e.id);
        this.step({ kind: 'accept', id: e.id });
      } else if (e.kind === 'closed') this.closed = e.text;
      else if ('id' in e) this.#stream(e, this.known.get(e.id)!);
    }
  }

  act(a: Action): void {
    if (a.kind === 'open') {
      const verdict = this.core.open(0);
      if (verdict.kind === 'opened') this.know(verdict.id);
    }
    const s = 'nth' in a ? [...this.known.values()][a.nth] : undefined;
    if (s === undefined || s.dropped || s.reset) return;
    if (a.kind === 'write' && !s.busy && !s.ended) {
      s.busy = true;
      const bytes = pattern(s.id, s.wrote, a.size);
      s.wrote += a.size;
      this.step({ kind: 'write', id: s.id, bytes });
    } else if (a.kind === 'end') {
      s.ended = true;
      this.step({ kind: 'end', id: s.id });
    } else if (a.kind === 'drop') {
      s.dropped = true;
      this.step({ kind: 'drop', id: s.id });
    } else if (a.kind === 'read' && s.unread > 0) {
      const bytes = Math.min(a.size, s.unread);
      s.unread -= bytes;
      this.step({ kind: 'consumed', id: s.id, bytes });
    }
  }

  #stream(e: Exclude<Effect, { kind: 'send' | 'closed' | 'incoming' }>, s: Known): void {
    if (e.kind === 'data') {
      expect(Buffer.compare(e.bytes, pattern(s.id, s.got, e.bytes.length))).toBe(0);
      s.got += e.bytes.length;
      s.unread += e.bytes.length;
    } else if (e.kind === 'ended') s.peerEnded = true;
    else if (e.kind === 'reset') s.reset = true;
    else if (e.kind === 'flushed') s.busy = false;
  }
}

/** Bytes that tell where in which stream they belong. */
function pattern(id: number, from: number, size: number): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  for (let n = 0; n < size; n += 1) bytes[n] = (id * 31 + (from + n) * 7) & 0xff;
  return bytes;
}

function carry(from: Party, to: Party, size: number): void {
  const all = Buffer.concat(from.wire);
  from.wire = all.length > size ? [all.subarray(size)] : [];
  if (all.length > 0) to.step({ kind: 'received', bytes: all.subarray(0, size) });
}

test('any story between two honest ends: bytes arrive in order, nothing is lost, nobody is accused', () => {
  fc.assert(
    fc.property(story, (turns: readonly Turn[]) => {
      const parties = [new Party('client'), new Party('server')] as const;
      for (const { who, action: a } of turns) {
        if (a.kind === 'carry') carry(parties[who], parties[1 - who]!, a.size);
        else parties[who].act(a);
      }
      // Then everybody reads everything, ends everything, and the wire runs dry.
      for (let idle = false; !idle; ) {
        idle = true;
        for (const who of [0, 1] as const) {
          const party = parties[who];
          if (party.wire.length > 0) idle = false;
          carry(party, parties[1 - who]!, 1_000_000);
          for (let n = 0; n < party.known.size; n += 1) {
            party.act({ kind: 'read', nth: n, size: 1_000_000 });
            party.act({ kind: 'end', nth: n });
          }
        }
        if (parties.some((party) => party.wire.length > 0)) idle = false;
      }
      expect(parties.map((p) => p.closed)).toEqual([undefined, undefined]);
      for (const who of [0, 1] as const)
        for (const s of parties[who].known.values()) {
          const other = parties[1 - who]!.known.get(s.id);
          if (s.dropped || s.reset || other?.dropped === true || other?.reset === true) continue;
          expect([s.got, s.peerEnded]).toEqual([other?.wrote ?? 0, true]);
          parties[who].step({ kind: 'drop', id: s.id });
        }
      for (const party of parties) expect(party.core.bufferedBytes).toBe(0);
    }),
    { numRuns: 200 },
  );
});
