/**
 * probe.ts: is this member there? One at a time, all in turn.
 *
 * A ping; if it stays unanswered, or the transport knows that it cannot arrive, others are asked to ping on our behalf
 * and a stream is tried, and only when all of that is silent too the member becomes a suspect. Helpers that are there
 * but cannot reach it say so (nack): if even they are silent, the trouble is probably ours. SWIM §3, §4.3; Lifeguard;
 * memberlist state.go (probe, probeNode).
 * Lives here: the probe in progress, the turn. Must not live here: answering others (relay.ts), what a suspicion does.
 */
import type { MemberlistConfig } from '../config.ts';
import type { Member } from '../member.ts';
import type { Address, Millis, Rng } from '../ports.ts';
import { encodeMessage } from '../wire/codec.ts';
import type { IndirectPing, Ping } from '../wire/message.ts';
import type { Agenda, Entry } from './agenda.ts';
import type { Awareness } from './awareness.ts';
import type { Due, Emit, Policy } from './event.ts';
import { type Gossip, readsCrc } from './gossip.ts';
import type { Members } from './members.ts';
import { pickRandom } from './random.ts';
import { addressOf, glance, isGone, type Row } from './row.ts';

/** Members from these protocol versions on answer TCP pings and send nacks. */
const tcpPingProtocolMin = 3;
const nackProtocolMin = 4;

interface Probe {
  readonly target: Member;
  readonly to: Address;
  readonly ping: Ping;
  readonly sentAt: Millis;
  readonly endsAt: Millis;
  readonly timeout: Entry<Due>;
  readonly end: Entry<Due>;
  phase: 'direct' | 'indirect';
  nacksWanted: number;
  nacks: number;
  tcpContacted: boolean;
}

export interface ProberOptions {
  readonly name: string;
  readonly config: MemberlistConfig;
  readonly members: Members;
  readonly gossip: Gossip;
  readonly awareness: Awareness;
  readonly agenda: Agenda<Due>;
  readonly rng: Rng;
  readonly policy: Policy;
  readonly emit: Emit;
  /** Shared with all who wait for acks. */
  readonly nextSeqNo: () => number;
}

export class Prober {
  readonly #o: ProberOptions;
  #cursor = 0;
  #probe: Probe | undefined;
  #tickOwed = false;

  constructor(o: ProberOptions) {
    this.#o = o;
  }

  /** The probe interval has passed. While a probe is running, one tick is remembered, and no more. */
  tick(now: Millis): void {
    if (this.#probe !== undefined) {
      this.#tickOwed = true;
      return;
    }
    const row = this.#nextTarget(now);
    if (row !== undefined) this.#start(row, now);
  }

  /** An ack; whether it was ours. */
  ack(seqNo: number, payload: Uint8Array, now: Millis): boolean {
    const probe = this.#probe;
    if (probe?.ping.seqNo !== seqNo) return false;
    if (probe.phase === 'direct')
      this.#o.emit({ kind: 'pingCompleted', member: probe.target, rttMs: now - probe.sentAt, payload });
    this.#o.awareness.apply(-1);
    this.#finish(probe, now);
    return true;
  }

  nack(seqNo: number): void {
    const probe = this.#probe;
    if (probe?.ping.seqNo === seqNo && probe.nacks < probe.nacksWanted) probe.nacks++;
  }

  /** The ping surely did not arrive: no need to wait for an answer. */
  sendFailed(seqNo: number, now: Millis): void {
    if (this.#probe?.ping.seqNo === seqNo) this.#askAround(now);
  }

  tcpPingDone(seqNo: number, contacted: boolean): void {
    if (this.#probe?.ping.seqNo === seqNo && contacted) this.#probe.tcpContacted = true;
  }

  /** No direct ack within probeTimeoutMs. */
  timeout(now: Millis): void {
    if (this.#probe?.phase !== 'direct') return;
    this.#askAround(now);
    this.#o.emit({ kind: 'unanswered', to: this.#probe.to });
  }

  #askAround(now: Millis): void {
    const probe = this.#probe;
    if (probe === undefined || probe.phase === 'indirect') return;
    probe.phase = 'indirect';
    this.#o.agenda.cancel(probe.timeout);
    const { config, members, gossip, rng, name, policy, emit } = this.#o;
    const { target, to, ping } = probe;
    const helpful = (row: Row): boolean =>
      row.state === 'alive' && row.name !== name && row.name !== target.name;
    for (const helper of pickRandom(config.indirectChecks, members.list, rng, helpful)) {
      const nack = helper.vsn[1]! >= nackProtocolMin;
      if (nack) probe.nacksWanted++;
      const request: IndirectPing = {
        ...ping,
        kind: 'indirectPing',
        target: target.addr,
        port: target.port,
        nack,
      };
      gossip.piggyback(addressOf(helper), request);
    }
    const tcpPings =
      !config.disableTcpPings &&
      !(config.disableTcpPingsForNode?.(target.name) ?? false) &&
      !(policy.tcpPingsDisabled?.(to) ?? false) &&
      target.vsn.pMax >= tcpPingProtocolMin;
    if (tcpPings && now < probe.endsAt) emit({ kind: 'tcpPing', to, ping, deadline: probe.endsAt });
  }

  /** The scaled interval is over and nobody has acked. */
  end(now: Millis): void {
    const probe = this.#probe;
    if (probe === undefined) return;
    if (probe.phase === 'direct') this.timeout(now); // an interval no longer than the timeout
    const { target, nacksWanted, nacks } = probe;
    const { awareness, members, emit, name } = this.#o;
    if (probe.tcpContacted) {
      emit({
        kind: 'noted',
        level: 'warn',
        code: 'tcp_only',
        text: `'${target.name}' answers over TCP but not over UDP: allow UDP to ${target.host}:${target.port}`,
      });
      awareness.apply(-1);
    } else {
      awareness.apply(nacksWanted > 0 ? nacksWanted - nacks : 1);
      emit({ kind: 'noted', level: 'info', code: 'suspect', text: `no acks received from '${target.name}'` });
      const { incarnation } = target;
      members.suspect({ kind: 'suspect', incarnation, node: target.name, from: name }, now);
    }
    this.#finish(probe, now);
  }

  #start(row: Row, now: Millis): void {
    const { config, awareness, agenda, members, gossip, name, nextSeqNo } = this.#o;
    const seqNo = nextSeqNo();
    const ping: Ping = { kind: 'ping', seqNo, node: row.name, ...members.source };
    const endsAt = now + awareness.scaleMs(config.probeIntervalMs);
    const to = addressOf(row);
    this.#probe = {
      target: glance(row),
      to,
      ping,
      sentAt: now,
      endsAt,
      timeout: agenda.add(now + config.probeTimeoutMs, { kind: 'probeTimeout' }),
      end: agenda.add(endsAt, { kind: 'probeEnd' }),
      phase: 'direct',
      nacksWanted: 0,
      nacks: 0,
      tcpContacted: false,
    };
    if (row.state === 'alive') {
      gossip.piggyback(to, ping, seqNo);
      return;
    }
    // A suspect hears of the suspicion together with the ping, so that it can refute at once.
    const { incarnation } = row;
    const accusation = encodeMessage({ kind: 'suspect', incarnation, node: row.name, from: name });
    gossip.send(to, [encodeMessage(ping), accusation], readsCrc(row), seqNo);
  }

  #finish(probe: Probe, now: Millis): void {
    this.#o.agenda.cancel(probe.timeout);
    this.#o.agenda.cancel(probe.end);
    this.#probe = undefined;
    if (!this.#tickOwed) return;
    this.#tickOwed = false;
    this.tick(now);
  }

  /** The next one in turn that is neither us nor gone; at the end of the list a new round starts. */
  #nextTarget(now: Millis): Row | undefined {
    const { members } = this.#o;
    for (let checked = 0; checked <= members.size; checked++) {
      if (this.#cursor >= members.size) {
        members.startRound(now);
        this.#cursor = 0;
      }
      const row = members.list[this.#cursor++];
      if (row !== undefined && row !== members.self && !isGone(row)) return row;
    }
    return undefined;
  }
}
