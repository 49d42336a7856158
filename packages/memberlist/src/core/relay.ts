/**
 * relay.ts: pinging on behalf of others.
 *
 * Somebody got no answer and asks us to try: we ping with a sequence number of our own and pass the ack on under the
 * asker's; if it stays away, a nack tells the asker that at least we are there. memberlist net.go, handleIndirectPing.
 * Lives here: the favours in progress. Must not live here: our own probes.
 */
import type { MemberlistConfig } from '../config.ts';
import type { Address, HostPort, Millis } from '../ports.ts';
import { addrToText } from '../wire/address.ts';
import type { IndirectPing, Ping } from '../wire/message.ts';
import type { Agenda, Entry } from './agenda.ts';
import type { Due, Emit } from './event.ts';
import type { Gossip } from './gossip.ts';
import type { Members } from './members.ts';

/** I5: favours at a time: each lives for probeTimeoutMs, and a healthy cluster asks for a handful. */
export const relaysMax = 4_096;

/** Where an answer goes: to the source a ping names, or back to where it came from. */
export function replyTo(request: Ping | IndirectPing, from: HostPort): Address {
  const { sourceAddr, sourcePort, sourceNode } = request;
  const name = sourceNode ?? '';
  const host = sourceAddr === undefined ? undefined : addrToText(sourceAddr);
  if (host !== undefined && sourcePort !== undefined && sourcePort > 0)
    return { host, port: sourcePort, name };
  return { host: from.host, port: from.port, name };
}

export interface RelaysOptions {
  readonly config: MemberlistConfig;
  readonly members: Members;
  readonly gossip: Gossip;
  readonly agenda: Agenda<Due>;
  readonly emit: Emit;
  readonly nextSeqNo: () => number;
}

export class Relays {
  readonly #o: RelaysOptions;
  readonly #open = new Map<
    number,
    { readonly asker: Address; readonly seqNo: number; readonly nack: boolean; readonly entry: Entry<Due> }
  >();

  constructor(o: RelaysOptions) {
    this.#o = o;
  }

  request(r: IndirectPing, from: HostPort, now: Millis): void {
    const { members, gossip, agenda, config, emit, nextSeqNo } = this.#o;
    const host = addrToText(r.target);
    if (host === undefined) {
      emit({ kind: 'dropped', code: 'bad_address', detail: `indirect ping of '${r.node}'` });
      return;
    }
    if (this.#open.size >= relaysMax) {
      emit({
        kind: 'dropped',
        code: 'relays_full',
        detail: `indirect ping of '${r.node}' for '${r.sourceNode ?? ''}'`,
      });
      return;
    }
    const seqNo = nextSeqNo();
    const entry = agenda.add(now + config.probeTimeoutMs, { kind: 'relay', seqNo });
    this.#open.set(seqNo, { asker: replyTo(r, from), seqNo: r.seqNo, nack: r.nack, entry });
    // Port 0: protocol 1 had no port, everybody used the same.
    const port = r.port === 0 ? members.source.sourcePort : r.port;
    const ping: Ping = { kind: 'ping', seqNo, node: r.node, ...members.source };
    gossip.piggyback({ host, port, name: r.node }, ping);
  }

  /** An ack; whether it answers one of these. */
  ack(seqNo: number): boolean {
    const relay = this.#open.get(seqNo);
    if (relay === undefined) return false;
    this.#open.delete(seqNo);
    this.#o.agenda.cancel(relay.entry);
    this.#o.gossip.piggyback(relay.asker, { kind: 'ack', seqNo: relay.seqNo, payload: new Uint8Array(0) });
    return true;
  }

  timeout(seqNo: number): void {
    const relay = this.#open.get(seqNo);
    if (relay === undefined) return;
    this.#open.delete(seqNo);
    if (relay.nack) this.#o.gossip.piggyback(relay.asker, { kind: 'nack', seqNo: relay.seqNo });
  }
}
