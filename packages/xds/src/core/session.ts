/**
 * session.ts: one client's stream from its first byte to its last answer: who it is, whether it may, what it hears.
 *
 * I7. The order is fixed: a token is looked at before anything else; the first request says which gateway is meant; once
 * that gateway's first configuration exists, the token must be allowed to write its service; only then is anything
 * sent. Every later request and configuration looks at the token again, and so does an idle stream from time to time.
 * Lives here: identity, permission, patience. Must not live here: what is sent when (delta.ts, sotw.ts), sockets.
 * Source: Consul agent/xds/server.go, delta.go (processDelta).
 */
import type { Notice } from '../ports.ts';
import { DeltaStream } from './delta.ts';
import type { Holding } from './holdings.ts';
import { ClientFault, type NodeIdentity, parseDeltaRequest, parseSotwRequest } from './request.ts';
import type { ResourceType } from './resource.ts';
import { encodeDeltaResponse, encodeSotwResponse, type Snapshot } from './snapshot.ts';
import { SotwStream } from './sotw.ts';
import type { Nack } from './subscription.ts';

export type Verdict = 'allow' | 'unauthenticated' | 'denied';
/** `service` absent: is the token known at all. Else: may it write that service. */
export type Authorize = (o: { readonly token?: string; readonly service?: string }) => Verdict;

/** An idle stream's token is looked at again after this long. */
export const recheckMs: number = 5 * 60_000;
/** A stream that is open and says nothing at all is ended after this long. */
const firstRequestMsMax = 30_000;
/** A response without an answer is worth a warning, then the end of the stream. */
const unansweredWarnMs = 60_000;
const unansweredCloseMs = 10 * 60_000;
/** Oldest Envoy served. Newer ones are never refused. */
const envoyVersionMin: readonly [number, number] = [1, 30];

export interface TypeStatus {
  /** 'all', or the number of names subscribed to. */
  readonly subscribed: 'all' | number;
  /** Resources the client has accepted. */
  readonly held: number;
  readonly pendingNonce?: string;
  readonly pendingSince?: number;
  readonly lastAckAt?: number;
  readonly nacks: number;
  readonly lastNack?: Nack;
}

export class Session {
  readonly mode: 'delta' | 'sotw';
  node: NodeIdentity | undefined;
  responses = 0;
  responseBytes = 0;
  readonly #token: string | undefined;
  readonly #authorize: Authorize;
  readonly #notice: (n: Notice) => void;
  readonly #delta = new DeltaStream();
  readonly #sotw = new SotwStream();
  #service: string | undefined;
  readonly #openedAt: number;
  #checkedAt: number;
  readonly #warned = new Set<string>();

  /** Throws ClientFault if the token is not known. */
  constructor(o: {
    mode: 'delta' | 'sotw';
    token?: string;
    authorize: Authorize;
    notice: (n: Notice) => void;
    now: number;
  }) {
    this.mode = o.mode;
    this.#token = o.token;
    this.#authorize = o.authorize;
    this.#notice = o.notice;
    this.#openedAt = o.now;
    this.#checkedAt = o.now;
    this.#check(o.now);
  }

  /** `node` is set afterwards. Throws ClientFault. */
  request(bytes: Uint8Array, now: number): readonly Uint8Array[] {
    this.#check(now);
    const r = this.mode === 'delta' ? parseDeltaRequest(bytes) : parseSotwRequest(bytes);
    if (r.typeUrl === '') throw new ClientFault('invalid_argument', 'type_url is empty');
    this.node ??= admit(r.node);
    if (r.error !== undefined) this.#rejected(r.typeUrl, r.error.message);
    return 'subscribe' in r
      ? this.#deltas(this.#delta.request(r, now))
      : this.#sets(this.#sotw.request(r, now));
  }

  offer(snapshot: Snapshot, now: number): readonly Uint8Array[] {
    this.#service = snapshot.service;
    this.#check(now);
    return this.mode === 'delta'
      ? this.#deltas(this.#delta.offer(snapshot, now))
      : this.#sets(this.#sotw.offer(snapshot, now));
  }

  /** The time asked for by `deadline` has come, perhaps late. */
  wake(now: number): readonly Uint8Array[] {
    if (this.node === undefined && now >= this.#openedAt + firstRequestMsMax)
      throw new ClientFault('aborted', `no request for ${firstRequestMsMax / 1000} s`);
    if (now >= this.#checkedAt + recheckMs) this.#check(now);
    for (const { type, nonce, since } of this.#unanswered()) {
      if (now >= since + unansweredCloseMs)
        throw new ClientFault(
          'aborted',
          `no answer to response ${nonce} (${type}) for ${unansweredCloseMs / 1000} s`,
        );
      if (now < since + unansweredWarnMs || this.#warned.has(nonce)) continue;
      this.#warned.add(nonce);
      const text = `${this.node?.id} has not answered response ${nonce} (${type}) for ${unansweredWarnMs / 1000} s`;
      this.#notice({ level: 'warn', code: 'unanswered', text });
    }
    return this.mode === 'delta' ? this.#deltas(this.#delta.wake(now)) : [];
  }

  deadline(): number {
    const patience = this.#unanswered().map(
      ({ nonce, since }) => since + (this.#warned.has(nonce) ? unansweredCloseMs : unansweredWarnMs),
    );
    const held = this.mode === 'delta' ? this.#delta.deadline() : undefined;
    if (this.node === undefined) return this.#openedAt + firstRequestMsMax;
    return Math.min(this.#checkedAt + recheckMs, held ?? Number.POSITIVE_INFINITY, ...patience);
  }

  types(): Partial<Record<ResourceType, TypeStatus>> {
    const status: Partial<Record<ResourceType, TypeStatus>> = {};
    for (const s of this.#delta.subscriptions.values())
      status[s.type] = { ...common(s), subscribed: s.wildcard ? 'all' : s.explicit.size, held: s.acked.size };
    for (const s of this.#sotw.subscriptions.values())
      status[s.type] = {
        ...common(s),
        subscribed: s.wildcard ? 'all' : s.names.size,
        held: s.accepted.size,
      };
    return status;
  }

  /** Resource by resource, for each type asked for. */
  holdings(): Partial<Record<ResourceType, readonly Holding[]>> {
    const { subscriptions, snapshot } = this.mode === 'delta' ? this.#delta : this.#sotw;
    const held: Partial<Record<ResourceType, readonly Holding[]>> = {};
    for (const subscription of subscriptions.values())
      held[subscription.type] = subscription.holdings(snapshot?.resources[subscription.type] ?? new Map());
    return held;
  }

  #unanswered(): { type: ResourceType; nonce: string; since: number }[] {
    const subscriptions = this.mode === 'delta' ? this.#delta.subscriptions : this.#sotw.subscriptions;
    const waiting: { type: ResourceType; nonce: string; since: number }[] = [];
    for (const { type, pending } of subscriptions.values())
      if (pending !== undefined) waiting.push({ type, nonce: pending.nonce, since: pending.since });
    return waiting;
  }

  #check(now: number): void {
    this.#checkedAt = now;
    const token = this.#token !== undefined ? { token: this.#token } : {};
    const service = this.#service !== undefined ? { service: this.#service } : {};
    switch (this.#authorize({ ...token, ...service })) {
      case 'allow':
        return;
      case 'unauthenticated':
        throw new ClientFault('unauthenticated', 'the token is not known');
      case 'denied':
        throw new ClientFault(
          'permission_denied',
          `the token may not write service ${this.#service ?? ''}`.trim(),
        );
    }
  }

  #rejected(typeUrl: string, message: string): void {
    const type = typeUrl.slice(typeUrl.lastIndexOf('.') + 1);
    this.#notice({ level: 'warn', code: 'nack', text: `${this.node?.id} refused ${type}: ${message}` });
  }

  #deltas(responses: ReturnType<DeltaStream['request']>): readonly Uint8Array[] {
    return this.#count(responses.map(encodeDeltaResponse));
  }

  #sets(responses: ReturnType<SotwStream['request']>): readonly Uint8Array[] {
    return this.#count(responses.map(encodeSotwResponse));
  }

  #count(encoded: readonly Uint8Array[]): readonly Uint8Array[] {
    this.responses += encoded.length;
    for (const bytes of encoded) this.responseBytes += bytes.length;
    return encoded;
  }
}

/** What every client must say once, and Envoys too old for what we send. */
function admit(node: NodeIdentity | undefined): NodeIdentity {
  if (node === undefined || node.id === '')
    throw new ClientFault(
      'invalid_argument',
      'the first request must carry node.id, the service id of the gateway',
    );
  const [major, minor] = node.userAgentVersion ?? [Number.POSITIVE_INFINITY, 0];
  const [majorMin, minorMin] = envoyVersionMin;
  if (node.userAgent === 'envoy' && (major < majorMin || (major === majorMin && minor < minorMin)))
    throw new ClientFault(
      'invalid_argument',
      `Envoy ${major}.${minor} is too old: use ${majorMin}.${minorMin} or newer`,
    );
  return node;
}

function common(s: {
  readonly pending: { readonly nonce: string; readonly since: number } | undefined;
  readonly nacks: number;
  readonly lastNack: Nack | undefined;
  readonly lastAckAt: number | undefined;
}): Omit<TypeStatus, 'subscribed' | 'held'> {
  return {
    nacks: s.nacks,
    ...(s.pending !== undefined ? { pendingNonce: s.pending.nonce, pendingSince: s.pending.since } : {}),
    ...(s.lastAckAt !== undefined ? { lastAckAt: s.lastAckAt } : {}),
    ...(s.lastNack !== undefined ? { lastNack: s.lastNack } : {}),
  };
}
