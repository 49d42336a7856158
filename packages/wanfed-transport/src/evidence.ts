/**
 * evidence.ts: a server that does not answer, or a gateway that swallows what is meant for it?
 *
 * Gossip sends without being told whether anything arrives: a connection through a gateway that a network has swallowed
 * takes bytes for minutes. What tells is a probe that stays unanswered. If others of the same datacenter answer through the
 * same gateway, it is the server; if nobody has since, it may as well be the gateway, and one bad gateway must not be read
 * as many dead servers.
 * Lives here: that judgement, by pair of gateway and datacenter. Must not live here: connections, what follows.
 */
import type { Millis } from './ports.ts';

/** As old as this, an answer through a gateway says nothing about it any more: two rounds of probes. */
const freshMs: Millis = 10_000;
/** Gateways times datacenters remembered; the longest silent go. */
const pairsMax = 4_096;

export class Evidence {
  readonly #answeredAt = new Map<string, Millis>();

  answered(gateway: string, datacenter: string, now: Millis): void {
    const key = `${gateway} ${datacenter}`;
    this.#answeredAt.delete(key);
    this.#answeredAt.set(key, now);
    if (this.#answeredAt.size > pairsMax)
      this.#answeredAt.delete(this.#answeredAt.keys().next().value as string);
  }

  /** A probe through it stayed unanswered. */
  judge(gateway: string, datacenter: string, now: Millis): 'server' | 'gateway' {
    const answeredAt = this.#answeredAt.get(`${gateway} ${datacenter}`);
    return answeredAt !== undefined && now - answeredAt < freshMs ? 'server' : 'gateway';
  }
}
