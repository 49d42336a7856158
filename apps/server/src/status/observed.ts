/**
 * observed.ts: what happens between datacenters, as it is counted, remembered and told.
 *
 * Rooms report here what they did; from it come the counters of /v1/agent/metrics, the last contacts and the troubles of
 * /v1/agent/federation, and the log lines about gateways: one when a way breaks or changes how it is broken, one when it
 * works again, none for repetitions.
 * Lives here: from an event to its counter, its memory and its line. Must not live here: what happens next.
 */
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { type DialLesson, splitWanName } from '@fed/alpn-mux';
import { type EntryReport, type Hop, type HostPort, renderHostPort } from '@fed/gateway-locator';
import type { AntiEntropyEvent, Round } from '@fed/replication';
import type { Log } from '../log.ts';
import { isNotPrimary } from '../rpc/ask.ts';
import type { World } from '../world.ts';
import { Contacts } from './contacts.ts';
import { Metrics } from './metrics.ts';
import { Troubles } from './troubles.ts';

export interface ObservedOptions {
  readonly datacenter: string;
  readonly primary: string;
  readonly world: Pick<World, 'clock' | 'wallMs'>;
  readonly log: Log;
}

/** Gateways times datacenters whose last outcome is remembered. */
const waysMax = 8192;

/** Something listens at such a gateway, and it is not what leads to a server of the datacenter. */
const wrongService: ReadonlySet<string> = new Set([
  'tls_failed',
  'certificate_untrusted',
  'certificate_name',
  'alpn_refused',
]);

export class Observed {
  readonly metrics = new Metrics();
  readonly contacts: Contacts;
  readonly troubles: Troubles;
  readonly #o: ObservedOptions;
  /** The code of the last failure by gateway and datacenter; absent: it worked, or was never tried. */
  readonly #failing = new Map<string, string>();

  constructor(o: ObservedOptions) {
    this.#o = o;
    this.contacts = new Contacts(() => o.world.clock.now());
    this.troubles = new Troubles({
      wallMs: o.world.wallMs,
      began: ({ code, subject, text }) => o.log.error({ room: 'status', code, subject }, text),
      ended: ({ code, subject }) =>
        o.log.info({ room: 'status', code, subject }, `over: ${code} (${subject})`),
    });
  }

  /** One gateway was tried. */
  dialled(lesson: DialLesson): void {
    const { datacenter, ok, code = '', tookMs, alpn } = lesson;
    const gateway = renderHostPort(lesson.gateway);
    this.metrics.count('wanfed.dial', { datacenter, gateway, alpn, result: ok ? 'ok' : code });
    if (ok) this.metrics.sample('wanfed.dial.time', tookMs, { datacenter, gateway });
    if (code === 'aborted') return;
    const key = `${gateway} ${datacenter}`;
    const before = this.#failing.get(key);
    if (before === (ok ? undefined : code)) return;
    const line = { room: 'gateways', gateway, datacenter, alpn };
    if (ok) {
      this.#failing.delete(key);
      this.#o.log.info(line, `${gateway} leads to ${datacenter} again`);
    } else {
      if (before === undefined && this.#failing.size >= waysMax) return;
      this.#failing.set(key, code);
      this.#o.log.warn({ ...line, code }, `${gateway} does not lead to ${datacenter}: ${code}`);
    }
    this.#judgeDoor(gateway, datacenter, ok ? undefined : code);
  }

  /** A member of the WAN pool answered a probe. */
  answered(name: string): void {
    const of = splitWanName(name)?.datacenter;
    if (of !== undefined && of !== this.#o.datacenter) this.contacts.reached(of);
  }

  /** Gossip through this gateway to this datacenter stays unanswered. */
  doubted(gateway: HostPort, datacenter: string): void {
    this.metrics.count('wanfed.unanswered', { datacenter, gateway: renderHostPort(gateway) });
  }

  /** A server of that datacenter answered a question. */
  reached(datacenter: string): void {
    this.contacts.reached(datacenter);
  }

  /** A connection to a server of that datacenter stands. */
  arrived(datacenter: string, socket: Duplex): void {
    this.contacts.reached(datacenter);
    if (!(socket instanceof TLSSocket)) return;
    const expiresAtMs = Date.parse(socket.getPeerX509Certificate()?.validTo ?? '');
    if (Number.isFinite(expiresAtMs)) this.contacts.showed(datacenter, expiresAtMs);
  }

  /** A question went to another datacenter. */
  asked(datacenter: string): void {
    this.metrics.count('rpc.cross-dc', { datacenter });
  }

  /** A question to another datacenter got no answer. */
  unanswered(datacenter: string, hop: Hop | 'none'): void {
    this.metrics.count('rpc.cross-dc.failed', { datacenter, hop });
  }

  /** A server of another datacenter came in by the front door. */
  visited(peer: { readonly datacenter: string; readonly expiresAtMs?: number | undefined }): void {
    this.contacts.heard(peer.datacenter);
    if (peer.expiresAtMs !== undefined) this.contacts.showed(peer.datacenter, peer.expiresAtMs);
  }

  /** Replication went round once. */
  replicated(round: Round): void {
    const { metrics } = this;
    metrics.sample('leader.replication.federation-state.fetch', round.fetchMs);
    metrics.sample('leader.replication.federation-state.apply', round.applyMs);
    if (!round.ok)
      metrics.count('leader.replication.federation-state.failed', { kind: round.failure?.kind ?? '' });
    if (round.remoteIndex === undefined) return;
    const { datacenter, primary } = this.#o;
    if (round.secondhand)
      this.troubles.seen(
        'wrong_primary',
        primary,
        `${primary} is itself a secondary: its records carry another primary's indexes. Set primary_datacenter of ${datacenter} to the datacenter that ${primary} names as its own primary`,
      );
  }

  /** Our own record was published, or was not, or somebody else wrote it. */
  published(event: AntiEntropyEvent): void {
    const { datacenter } = this.#o;
    switch (event.kind) {
      case 'published':
        this.metrics.count('federation_state.ae_writes', { reason: event.reason });
        this.troubles.over('wrong_primary', this.#o.primary);
        this.metrics.sample('federation_state.ae_write', event.tookMs);
        break;
      case 'failed':
        this.metrics.count('federation_state.ae_failures', { stage: event.stage, kind: event.failure });
        if (isNotPrimary(messageOf(event.error)))
          this.troubles.seen('wrong_primary', this.#o.primary, messageOf(event.error));
        break;
      case 'foreign':
        this.metrics.count('federation_state.foreign_writes');
        this.troubles.seen(
          'foreign_writer',
          datacenter,
          `the record of ${datacenter} was written by somebody else, with ${event.gateways.length === 0 ? 'no gateway' : event.gateways.join(', ')}: either another datacenter is called ${datacenter} too, or somebody with operator:write edits it; it has been set right`,
        );
        break;
    }
  }

  /** Somebody was refused who wanted to write what is another datacenter's. */
  refusedWrite(datacenter: string, by: readonly string[], what: string): void {
    const whom = by.length === 0 ? 'a peer without a server certificate' : `a server of ${by.join(', ')}`;
    this.metrics.count('federation_state.refused_writes', { datacenter });
    this.troubles.seen(
      'foreign_write_refused',
      datacenter,
      `${whom} wanted to write ${what} of ${datacenter} and was refused; if that is right, give it a certificate of ${datacenter}`,
    );
  }

  /** An entry of primary_gateways was resolved, or was not. */
  resolved(report: EntryReport): void {
    const { entry, addresses, cause } = report;
    if (cause === undefined) {
      this.#o.log.info({ room: 'discovery', entry, addresses }, `primary_gateways: ${entry} is resolved`);
      this.troubles.over('primary_gateway_unresolved', entry);
    } else
      this.troubles.seen(
        'primary_gateway_unresolved',
        entry,
        `primary_gateways: ${entry} leads to no address (${messageOf(cause)}); ${addresses.length === 0 ? 'mend the name, the file or the resolver' : 'its last addresses stay in use'}. It is asked again and again`,
      );
  }

  /** What answers at a configured address must lead to the primary, or there is no point in its being configured. */
  #judgeDoor(gateway: string, datacenter: string, code: string | undefined): void {
    const { primary } = this.#o;
    if (datacenter !== primary) return;
    if (code === undefined || !wrongService.has(code)) {
      this.troubles.over('primary_gateway_wrong', gateway);
      return;
    }
    this.troubles.seen(
      'primary_gateway_wrong',
      gateway,
      `${gateway} answers, and is no way to a server of ${primary} (${code}): if primary_gateways names it, name a mesh gateway of ${primary} instead; and both sides must trust one CA`,
    );
  }
}

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));
