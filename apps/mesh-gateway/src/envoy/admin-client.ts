/**
 * admin-client.ts: the few things we ask of Envoy's admin port.
 *
 * Lives here: requests and what their answers mean. Must not live here: when to ask (plane.ts).
 * Source: Envoy docs, "Administration interface".
 */
import { type HostPort, renderHostPort } from '@fed/alpn-mux';
import type { Exchange, ExchangeAnswer } from '../exchange.ts';
import type { Clock } from '../relay/ports.ts';

/** Longest wait for one answer. */
const answerMsMax = 2_000;

export class EnvoyAdmin {
  readonly #url: string;
  readonly #exchange: Exchange;
  readonly #clock: Clock;

  constructor(o: { readonly address: HostPort; readonly exchange: Exchange; readonly clock: Clock }) {
    this.#url = `http://${renderHostPort(o.address)}`;
    this.#exchange = o.exchange;
    this.#clock = o.clock;
  }

  /** Whether it answers at all, and if so whether all configuration is in force. */
  async state(): Promise<'silent' | 'initializing' | 'live'> {
    try {
      return (await this.#ask('GET', '/ready')).status === 200 ? 'live' : 'initializing';
    } catch {
      return 'silent';
    }
  }

  /** Where it listens for connections to relay. Rejects without an answer. */
  async listeners(): Promise<readonly HostPort[]> {
    const { text } = await this.#ask('GET', '/listeners?format=json');
    const { listener_statuses: all = [] } = JSON.parse(text) as {
      listener_statuses?: { local_address?: { socket_address?: { address: string; port_value: number } } }[];
    };
    return all.flatMap(({ local_address: a }) =>
      a?.socket_address ? [{ host: a.socket_address.address, port: a.socket_address.port_value }] : [],
    );
  }

  /** Takes no new connections from now on; open ones go on. */
  async stopListening(): Promise<void> {
    await this.#ask('POST', '/drain_listeners');
  }

  /** Connections it relays at this moment. Rejects without an answer. */
  async connections(): Promise<number> {
    const filter = encodeURIComponent('^listener\\..*[0-9]\\.downstream_cx_active$');
    const { text } = await this.#ask('GET', `/stats?filter=${filter}`);
    return [...text.matchAll(/: (\d+)$/gm)].reduce((sum, [, count]) => sum + Number(count), 0);
  }

  async #ask(method: 'GET' | 'POST', path: string): Promise<ExchangeAnswer> {
    const timeout = new AbortController();
    using _deadline = this.#clock.at(this.#clock.now() + answerMsMax, () =>
      timeout.abort(new Error(`no answer within ${answerMsMax} ms`)),
    );
    return await this.#exchange(this.#url + path, { method, signal: timeout.signal });
  }
}
