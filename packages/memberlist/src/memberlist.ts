/**
 * memberlist.ts: one member, running.
 *
 * The shell around core/swim.ts: packets and streams become events, effects become packets, streams and calls of hooks,
 * and one timer brings the core its deadline. Effects are carried out strictly in order, also when a hook calls back.
 * Lives here: wiring, waiting callers, counting. Must not live here: anything the protocol decides.
 */
import type { Hooks, JoinResult, Memberlist, MemberlistOptions, MemberlistStats } from './api.ts';
import { codecsOf, messagesOf } from './codecs.ts';
import { checkConfig, lan, type MemberlistConfig } from './config.ts';
import type { Effect, Event } from './core/event.ts';
import { metaBytesMax, nameCharsMax } from './core/members.ts';
import type { Row } from './core/row.ts';
import { Swim } from './core/swim.ts';
import { MemberlistError, PeerError } from './errors.ts';
import { guardHooks } from './guarded-hooks.ts';
import { asKnown, joinAll } from './join.ts';
import type { Member } from './member.ts';
import { type Policies, policiesOf } from './policy.ts';
import type { Address, Clock, HostPort, LogEvent, Millis, Transport } from './ports.ts';
import { aborted, nameRequired, Streams, text } from './streams.ts';
import { systemClock, systemRng } from './system.ts';
import { resolveTarget, systemResolveHost } from './targets.ts';
import { Waiters } from './waiters.ts';
import { textToAddr } from './wire/address.ts';
import { encodeMessage } from './wire/codec.ts';
import type { WireError } from './wire/errors.ts';
import type { PushPull } from './wire/message.ts';
import type { PacketCodec } from './wire/packet.ts';

/** How long updateMeta waits by default for its broadcast. serf config.go, BroadcastTimeout. */
const updateTimeoutMs = 5_000;
/** Receivers from this protocol version on read checksums. */
const crcProtocolMin = 5;

const noBytes: Uint8Array = new Uint8Array(0);

/**
 * Opens a member on `transport`, which it owns from then on. `hooks.changed` hears of our own join before this resolves.
 * @throws MemberlistError 'bad_config' | 'meta_too_large'
 */
export function openMemberlist(o: MemberlistOptions): Promise<Memberlist> {
  return openAcquainted(o, undefined);
}

/** The same, in the middle of its life: as if `known` were its table for long. For simulations; not part of the package. */
export async function openAcquainted(
  o: MemberlistOptions,
  known: readonly Row[] | undefined,
): Promise<Memberlist> {
  try {
    const member = new RunningMember(o, known);
    member.start();
    return member;
  } catch (cause) {
    await o.transport[Symbol.asyncDispose]();
    throw cause;
  }
}

class RunningMember implements Memberlist {
  readonly name: string;
  readonly #transport: Transport;
  readonly #config: MemberlistConfig;
  readonly #joinPort: number;
  readonly #hooks: Hooks;
  readonly #clock: Clock;
  readonly #log: (event: LogEvent) => void;
  readonly #resolveHost: NonNullable<MemberlistOptions['resolveHost']>;
  readonly #packets: PacketCodec;
  readonly #streams: Streams;
  readonly #waiters: Waiters;
  readonly #swim: Swim;
  readonly #policies: Policies;
  readonly #counts = { packetsIn: 0, packetsOut: 0, bytesIn: 0, bytesOut: 0 };
  readonly #drops: Record<string, number> = {};
  /** Effects waiting to be carried out; not empty only while they are. */
  readonly #effects: Effect[] = [];
  #thinking = false;
  #alarm: { readonly at: Millis; readonly timer: Disposable } | undefined;
  #closed: Promise<void> | undefined;

  constructor(o: MemberlistOptions, known: readonly Row[] | undefined) {
    this.name = o.name;
    this.#transport = o.transport;
    this.#config = checkConfig({ ...lan, ...o.config });
    this.#joinPort = o.config?.bindPort ?? o.transport.advertise.port;
    this.#clock = o.clock ?? systemClock;
    this.#log = o.log ?? (() => {});
    this.#hooks = guardHooks(o.hooks ?? {}, this.#log);
    this.#resolveHost = o.resolveHost ?? systemResolveHost;
    this.#waiters = new Waiters(this.#clock);
    this.#policies = policiesOf(this.#hooks, this.#config, o.transport);
    if (o.name === '')
      throw new MemberlistError('bad_config', 'name is empty: give one that is unique in the cluster');

    if (o.name.length > nameCharsMax)
      throw new MemberlistError(
        'bad_config',
        `name has ${o.name.length} characters: give at most ${nameCharsMax}`,
      );
    const { host, port } = o.transport.advertise;
    const addr = textToAddr(host);
    if (addr === undefined)
      throw new MemberlistError('bad_config', `transport.advertise.host '${host}' is no IP address`);
    const codecs = codecsOf(o, this.#config);
    this.#packets = codecs.packets;
    this.#streams = new Streams({
      name: o.name,
      transport: o.transport,
      config: this.#config,
      codec: codecs.streams,
      clock: this.#clock,
      localState: (join) => this.#localState(join),
      merge: (remote) => this.#merge(remote),
      userMessage: (payload) => this.#hooks.userMessage?.(payload),
      dropped: (code, detail) => this.#drop(code, detail),
      log: this.#log,
    });
    this.#swim = new Swim(
      {
        name: o.name,
        addr,
        port,
        meta: this.#meta(),
        vsn: codecs.vsn,
        config: this.#config,
        rng: o.rng ?? systemRng,
        room: this.#packets,
        policy: this.#policies,
        ...(known && { known }),
      },
      this.#clock.now(),
    );
  }

  start(): void {
    this.#transport.listen({
      packet: (bytes, from) => this.#receive(bytes, from),
      stream: (conn, from) => void this.#streams.accept(conn, from),
    });
    this.#turn({ kind: 'deadline' });
  }

  // ---- What the outside asks

  local(): Member {
    return this.#swim.self;
  }

  members(): readonly Member[] {
    return this.#swim.present;
  }

  all(): readonly Member[] {
    return this.#swim.all;
  }

  member(name: string): Member | undefined {
    return this.#swim.member(name);
  }

  healthScore(): number {
    return this.#swim.healthScore;
  }

  get numEstimated(): number {
    return this.#swim.size;
  }

  async join(targets: readonly string[], o: { readonly signal?: AbortSignal } = {}): Promise<JoinResult> {
    this.#checkOpen();
    const signal = o.signal ?? new AbortController().signal;
    try {
      return await joinAll(
        targets,
        (target) => resolveTarget(target, this.#joinPort, this.#resolveHost, signal),
        (to) => this.#streams.pushPull(to, true, signal),
      );
    } catch (cause) {
      this.#checkOpen();
      throw signal.aborted ? aborted(signal) : cause;
    }
  }

  async sync(name: string, o: { readonly signal?: AbortSignal } = {}): Promise<void> {
    this.#checkOpen();
    const member = this.#swim.member(name);
    if (member === undefined) throw new MemberlistError('unknown_member', `'${name}' is not in the table`);
    await this.#streams.pushPull(member, false, o.signal);
    // Two who had given each other up have now learned of it and refuted, but gossip nothing to the long dead: it
    // takes a second exchange to hear each other's refutations.
    if (this.#swim.member(name)?.state === 'dead') await this.#streams.pushPull(member, false, o.signal);
  }

  async ping(to: Member | Address): Promise<{ readonly rttMs: number }> {
    this.#checkSendable(to);
    const { ticket, promise } = this.#waiters.wait<number | undefined>(`ping of ${text(to)}`, undefined);
    this.#turn({ kind: 'ping', to, ticket });
    const rttMs = await promise;
    if (rttMs !== undefined) return { rttMs };
    throw new MemberlistError('timeout', `no ack from ${text(to)} within ${this.#config.probeTimeoutMs} ms`);
  }

  async updateMeta(o: { readonly timeoutMs?: number } = {}): Promise<void> {
    this.#checkOpen();
    const meta = this.#meta();
    const { ticket, promise } = this.#waiters.wait('spreading our meta', o.timeoutMs ?? updateTimeoutMs);
    this.#turn({ kind: 'updateMeta', meta, ticket });
    await promise;
  }

  async leave(o: { readonly timeoutMs: number }): Promise<void> {
    this.#checkOpen();
    const { ticket, promise } = this.#waiters.wait('telling the others that we leave', o.timeoutMs);
    this.#turn({ kind: 'leave', ticket });
    await promise;
  }

  sendBestEffort(to: Member | Address, payload: Uint8Array): void {
    this.#checkSendable(to);
    const crc = 'vsn' in to && to.vsn.pMax >= crcProtocolMin;
    this.#send(to, [encodeMessage({ kind: 'user', payload })], crc, undefined);
  }

  async sendReliable(
    to: Member | Address,
    payload: Uint8Array,
    o: { readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    this.#checkSendable(to);
    await this.#streams.sendUser(to, payload, o.signal);
  }

  wake(): void {
    this.#turn({ kind: 'wake' });
  }

  stats(): MemberlistStats {
    const { in: streamsIn, out: streamsOut } = this.#streams.counts;
    return {
      ...this.#counts,
      streamsIn,
      streamsOut,
      pushPullsInProgress: this.#streams.pushPullsInProgress,
      broadcastsQueued: this.#swim.broadcastsQueued,
      inboxQueued: this.#swim.inboxQueued,
      drops: { ...this.#drops },
    };
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    const cause = new MemberlistError('closed', 'this memberlist has been shut down');
    this.#alarm?.timer[Symbol.dispose]();
    this.#streams.close(cause);
    this.#waiters.rejectAll(cause);
    await this.#transport[Symbol.asyncDispose]();
  }

  // ---- Events in, effects out

  /** One turn of the core, and everything it wants done. */
  #turn(event: Event): readonly Effect[] {
    if (this.#closed !== undefined) return [];
    const effects = this.#think(event);
    const busy = this.#effects.length > 0;
    this.#effects.push(...effects);
    // I1: a hook that calls back in the middle of a turn has its effects carried out after those before it.
    if (!busy) {
      try {
        for (let i = 0; i < this.#effects.length; i++) this.#perform(this.#effects[i]!);
      } finally {
        this.#effects.length = 0;
      }
      this.#setAlarm();
    }
    return effects;
  }

  #think(event: Event): readonly Effect[] {
    if (this.#thinking)
      throw new Error('a hook that is asked in the middle of a turn must not change the memberlist');
    this.#thinking = true;
    try {
      return this.#swim.step(event, this.#clock.now());
    } finally {
      this.#thinking = false;
    }
  }

  #setAlarm(): void {
    const at = this.#swim.deadline();
    if (this.#alarm?.at === at || this.#closed !== undefined) return;
    this.#alarm?.timer[Symbol.dispose]();
    this.#alarm = at === undefined ? undefined : { at, timer: this.#clock.at(at, () => this.#ring()) };
  }

  #ring(): void {
    this.#alarm = undefined;
    this.#turn({ kind: 'deadline' });
  }

  #receive(packet: Uint8Array, from: HostPort): void {
    this.#counts.packetsIn++;
    this.#counts.bytesIn += packet.length;
    const bad = (cause: WireError): void =>
      this.#drop(cause.code, `packet from ${text(from)}: ${cause.message}`);
    for (const message of messagesOf(this.#packets, packet, bad)) {
      if (message.kind === 'alive' && this.#policies.sourceAllowed?.(from.host) === false)
        this.#drop('address_not_allowed', `alive of '${message.node}' from ${text(from)}`);
      else this.#turn({ kind: 'message', message, from });
    }
  }

  #perform(effect: Effect): void {
    const hooks = this.#hooks;
    switch (effect.kind) {
      case 'send':
        // I6
        if (this.#config.requireNodeNames && effect.to.name === '')
          this.#drop('node_name_required', nameRequired(effect.to).message);
        else this.#send(effect.to, effect.messages, effect.crc, effect.probe);
        return;
      case 'unanswered':
        this.#transport.unanswered?.(effect.to);
        return;
      case 'tcpPing':
        void this.#tcpPing(effect);
        return;
      case 'pushPull':
        void this.#pushPull(effect.to);
        return;
      case 'changed':
        hooks.changed?.(effect.change);
        return;
      case 'conflict': {
        const { existing, other } = effect;
        this.#log({
          level: 'error',
          code: 'conflict',
          text: `'${existing.name}' at ${text(existing)} is claimed by ${text(other)}: names must be unique`,
        });
        hooks.conflict?.(existing, other);
        return;
      }
      case 'userMessage':
        hooks.userMessage?.(effect.payload);
        return;
      case 'userState':
        hooks.mergeRemoteState?.(effect.state, effect.join);
        return;
      case 'pingCompleted':
        hooks.pingCompleted?.(effect.member, effect.rttMs, effect.payload);
        return;
      case 'refused':
        return; // for whoever merged
      case 'settled':
        this.#waiters.resolve(effect.ticket, undefined);
        return;
      case 'pong':
        this.#waiters.resolve(effect.ticket, effect.rttMs);
        return;
      case 'dropped':
        this.#drop(effect.code, effect.detail);
        return;
      case 'noted':
        this.#log({ level: effect.level, code: effect.code, text: effect.text });
        return;
    }
  }

  #send(to: Address, messages: readonly Uint8Array[], crc: boolean, probe: number | undefined): void {
    const packet = this.#packets.seal(messages, { crc });
    this.#counts.packetsOut++;
    this.#counts.bytesOut += packet.length;
    this.#transport.sendPacket(to, packet, (cause) => {
      this.#drop('send_failed', `packet to ${text(to)}: ${cause.message}`);
      if (probe !== undefined) this.#turn({ kind: 'probeSendFailed', seqNo: probe });
    });
  }

  async #tcpPing(effect: Extract<Effect, { kind: 'tcpPing' }>): Promise<void> {
    const contacted = await this.#streams.ping(effect.to, effect.ping, effect.deadline);
    this.#turn({ kind: 'tcpPingDone', seqNo: effect.ping.seqNo, contacted });
  }

  async #pushPull(to: Address): Promise<void> {
    try {
      await this.#streams.pushPull(to, false);
    } catch (cause) {
      if (this.#closed !== undefined) return;
      this.#log({ level: 'warn', code: 'push_pull_failed', text: asKnown(cause).message, cause });
    }
  }

  #localState(join: boolean): PushPull {
    return { join, nodes: this.#swim.nodes, userState: this.#hooks.localState?.(join) ?? noBytes };
  }

  #merge(remote: PushPull): PeerError | undefined {
    const { join, nodes, userState } = remote;
    const refused = this.#turn({ kind: 'remoteState', join, nodes, userState }).find(
      (e) => e.kind === 'refused',
    );
    return refused && new PeerError(refused.code, refused.reason);
  }

  #meta(): Uint8Array {
    const meta = this.#hooks.meta?.() ?? noBytes;
    if (meta.length <= metaBytesMax) return meta.slice();
    throw new MemberlistError('meta_too_large', `${meta.length} bytes; meta has at most ${metaBytesMax}`);
  }

  #drop(code: string, detail: string): void {
    this.#drops[code] = (this.#drops[code] ?? 0) + 1;
    this.#log({ level: 'debug', code, text: detail });
  }

  #checkSendable(to: Member | Address): void {
    this.#checkOpen();
    if (this.#config.requireNodeNames && to.name === '') throw nameRequired(to);
  }

  #checkOpen(): void {
    if (this.#closed !== undefined)
      throw new MemberlistError('closed', 'this memberlist has been shut down: open another');
  }
}
