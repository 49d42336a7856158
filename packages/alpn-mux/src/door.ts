/**
 * door.ts: one connection on its way to whoever serves it. Events in, effects out.
 *
 * The doorkeeper asks at most three questions: what is your first byte, who are you (TLS), and if you came in by byte 3,
 * what is your byte inside. Each has one right answer, a list of wrong ones, and one deadline over all of it that
 * starts again only after byte 3's TLS. After a hand-off or a refusal nothing more is asked (I2).
 *
 *   firstByte ──22…──► nativeTls ──secured──► done (by ALPN)
 *       │────── 3 ───► byteTls ───secured──► innerByte ──► done (by type byte)
 *       └────── 0…9 ─────────────────────────────────────► done (by type byte)
 *
 * Lives here: that automaton, the only place where `#phase` changes. Must not live here: sockets, timers, TLS.
 * Source: Consul agent/consul/rpc.go (handleConn, handleNativeTLS).
 */
import { type Alpn, isAlpn } from './alpn.ts';
import { judgeFirstByte, type Layer, type TypeByte } from './first-byte.ts';

/** What a door is built to let through. */
export interface DoorRules {
  /** There is a CA and a certificate of our own. */
  readonly tlsCapable: boolean;
  readonly verifyIncoming: boolean;
  readonly alpn: ReadonlySet<Alpn>;
  readonly typeBytes: ReadonlySet<TypeByte>;
}

/** Every way to be sent away; stable, and the key of the door's counters. */
export type RefusalCode =
  | 'too_many_connections'
  | 'too_many_failures'
  | 'silence'
  | 'plain_refused'
  | 'tls_nested'
  | 'tls_unavailable'
  | 'tls_timeout'
  | 'tls_failed'
  | 'tls_version'
  | 'not_tls'
  | 'certificate_missing'
  | 'certificate_untrusted'
  | 'alpn_unknown'
  | 'alpn_missing'
  | 'type_byte_unknown'
  | 'type_byte_unhandled'
  | 'handler_threw';

export type DoorEvent =
  /** The first bytes of the present layer, at least one. */
  | { readonly kind: 'bytes'; readonly firstByte: number }
  /** TLS stands. `authenticated`: the peer showed a certificate of our CA. */
  | { readonly kind: 'secured'; readonly alpn: string | undefined; readonly authenticated: boolean }
  | { readonly kind: 'tlsFailed'; readonly code: RefusalCode; readonly detail: string }
  /** The peer ended the present layer, or the connection broke. */
  | { readonly kind: 'ended' }
  | { readonly kind: 'deadline' };

export type Destination =
  | { readonly kind: 'alpn'; readonly alpn: Alpn }
  | { readonly kind: 'typeByte'; readonly typeByte: TypeByte };

export type DoorEffect =
  /** Replay everything but the first `consume` bytes into a TLS server. */
  | { readonly kind: 'startTls'; readonly mode: 'native' | 'typeByte'; readonly consume: 0 | 1 }
  /** Read the first byte of the TLS stream. */
  | { readonly kind: 'readInner' }
  | { readonly kind: 'restartDeadline' }
  | { readonly kind: 'handOff'; readonly to: Destination; readonly consume: 0 | 1 }
  | { readonly kind: 'refuse'; readonly code: RefusalCode; readonly detail: string }
  /** Close without a word: the peer left before it said anything, as port scans and health checks do. */
  | { readonly kind: 'close' };

type Phase = 'firstByte' | 'nativeTls' | 'byteTls' | 'innerByte' | 'done';

const nothing: readonly DoorEffect[] = [];
const startNativeTls: readonly DoorEffect[] = [{ kind: 'startTls', mode: 'native', consume: 0 }];
const startByteTls: readonly DoorEffect[] = [{ kind: 'startTls', mode: 'typeByte', consume: 1 }];
const askInside: readonly DoorEffect[] = [{ kind: 'restartDeadline' }, { kind: 'readInner' }];
const close: readonly DoorEffect[] = [{ kind: 'close' }];

export class Door {
  readonly #rules: DoorRules;
  #phase: Phase = 'firstByte';

  constructor(rules: DoorRules) {
    this.#rules = rules;
  }

  step(event: DoorEvent): readonly DoorEffect[] {
    const phase = this.#phase;
    if (phase === 'done') return nothing; // a late event of a connection already decided (I2)
    switch (event.kind) {
      case 'bytes':
        return this.#firstByte(event.firstByte, phase === 'innerByte' ? 'insideTls' : 'bare');
      case 'secured':
        return this.#secured(event.alpn, event.authenticated);
      case 'tlsFailed':
        return this.#refuse(event.code, event.detail);
      case 'deadline':
        return phase === 'nativeTls' || phase === 'byteTls'
          ? this.#refuse('tls_timeout', 'the TLS handshake was not finished in time')
          : this.#refuse('silence', 'no first byte in time');
      case 'ended':
        if (phase === 'nativeTls' || phase === 'byteTls')
          return this.#refuse('tls_failed', 'the connection ended during the TLS handshake');
        this.#phase = 'done';
        return close;
    }
  }

  #firstByte(byte: number, layer: Layer): readonly DoorEffect[] {
    const verdict = judgeFirstByte(byte, layer, this.#rules);
    switch (verdict.kind) {
      case 'nativeTls':
        this.#phase = 'nativeTls';
        return startNativeTls;
      case 'typeByteTls':
        this.#phase = 'byteTls';
        return startByteTls;
      case 'refuse':
        return this.#refuse(verdict.code, `first byte ${byte}${layer === 'insideTls' ? ' inside TLS' : ''}`);
      case 'dispatch': {
        const { typeByte } = verdict;
        if (!this.#rules.typeBytes.has(typeByte))
          return this.#refuse('type_byte_unhandled', `type byte ${byte} has no handler here`);
        return this.#handOff({ kind: 'typeByte', typeByte }, 1);
      }
    }
  }

  #secured(offer: string | undefined, authenticated: boolean): readonly DoorEffect[] {
    const byType = this.#phase === 'byteTls';
    if (!authenticated && (!byType || this.#rules.verifyIncoming))
      return this.#refuse('certificate_untrusted', 'the peer showed no certificate of our CA');
    if (byType) {
      this.#phase = 'innerByte';
      return askInside;
    }
    if (offer === undefined) return this.#refuse('alpn_missing', 'TLS without a negotiated protocol');
    if (!isAlpn(offer) || !this.#rules.alpn.has(offer))
      return this.#refuse('alpn_unknown', `protocol ${offer}`);
    return this.#handOff({ kind: 'alpn', alpn: offer }, 0);
  }

  #handOff(to: Destination, consume: 0 | 1): readonly DoorEffect[] {
    this.#phase = 'done';
    return [{ kind: 'handOff', to, consume }];
  }

  #refuse(code: RefusalCode, detail: string): readonly DoorEffect[] {
    this.#phase = 'done';
    return [{ kind: 'refuse', code, detail }];
  }
}
