/**
 * history.ts: addresses that once led to the primary, for when every list is wrong.
 *
 * A record can be overwritten, a file emptied, a name pointed elsewhere. Until then one of the gateways led there, and it may
 * still. What led there last is worth the most; after a day nothing is.
 * Lives here: these addresses and when they last led there. Must not live here: other lists, trying.
 */
import { renderHostPort } from './address.ts';
import type { HostPort, Millis } from './ports.ts';

export const historyMax = 16;
export const historyMs: Millis = 24 * 3_600_000;

export class History {
  /** Longest ago first. */
  readonly #led = new Map<string, { readonly gateway: HostPort; readonly at: Millis }>();

  led(gateway: HostPort, now: Millis): void {
    const key = renderHostPort(gateway);
    this.#led.delete(key);
    this.#led.set(key, { gateway: { host: gateway.host, port: gateway.port }, at: now });
    if (this.#led.size > historyMax) this.#led.delete(this.#led.keys().next().value as string);
  }

  /** Latest first. */
  addresses(now: Millis): readonly HostPort[] {
    return [...this.#led.values()]
      .filter(({ at }) => now - at < historyMs)
      .map(({ gateway }) => gateway)
      .reverse();
  }
}
