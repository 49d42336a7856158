/**
 * discovery.ts: what `primary_gateways` stand for, at every moment.
 *
 * Each entry is resolved again and again, for as long as we live: addresses change, and the only way back to
 * a primary that moved may be the name that now points elsewhere. Entries do not wait for each other,
 * literals for nothing. An entry that fails keeps its last addresses: a way that may be stale is better than
 * none.
 * Lives here: the loop and its budgets. Must not live here: choosing among the addresses.
 */
import { redactEntry, renderHostPort, sortedUnique } from './address.ts';
import type { Clock, HostPort, ReadText, Resolve, Rng } from './ports.ts';
import { type AddressSource, type EntrySource, parseEntry, parseFile } from './source.ts';
import { systemClock, systemReadText, systemResolve, systemRng } from './system.ts';

export interface DiscoveryOptions {
  readonly entries: readonly string[];
  /** Between two rounds, in ms. Default 30 s. */
  readonly intervalMs?: number;
  /** Called when the addresses changed; for literals before `openDiscovery` returns. Sorted, each once. */
  readonly onAddresses: (addresses: readonly HostPort[]) => void;
  /**
   * Called when an entry begins to fail, fails differently or works again (`cause` absent). Without secrets.
   */
  readonly onEntry?: (report: EntryReport) => void;
  readonly resolve?: Resolve;
  readonly readText?: ReadText;
  readonly clock?: Clock;
  readonly rng?: Rng;
}

export interface EntryReport {
  /** As configured, values of `key=value` left out. */
  readonly entry: string;
  readonly addresses: readonly HostPort[];
  /** Why the last round failed; the addresses are then those of an earlier one. */
  readonly cause?: unknown;
}

export interface Discovery extends AsyncDisposable {
  current(): readonly HostPort[];
  /** A new round now, unless one is under way; for example because nothing can be reached. */
  refresh(): void;
  /** Other entries, after a reload. Throws AddressError and changes nothing when one cannot be read. */
  replace(entries: readonly string[]): void;
  status(): readonly EntryReport[];
}

const intervalMsDefault = 30_000;
/**
 * After a round in which an entry failed, or while no address is known, the next comes this soon, doubling.
 */
const retryMsMin = 1_000;
/** For one entry in one round: a resolver that hangs is a failure. */
const resolveMs = 5_000;
/** Addresses kept per entry and in all: DNS answers are made by others. */
const entryAddressesMax = 64;
const addressesMax = 256;

interface Entry {
  readonly shown: string;
  readonly source: EntrySource;
  addresses: readonly HostPort[];
  cause: unknown;
}

/** Throws AddressError when an entry cannot be read. */
export function openDiscovery(o: DiscoveryOptions): Discovery {
  return new ContinuousDiscovery(o);
}

class ContinuousDiscovery implements Discovery {
  readonly #o: Required<DiscoveryOptions>;
  #entries: readonly Entry[] = [];
  #current: readonly HostPort[] = [];
  /** Ends the round under way; a new one per round. */
  #round = new AbortController();
  #running = false;
  #timer: Disposable | undefined;
  #failedRounds = 0;
  #closed = false;

  constructor(o: DiscoveryOptions) {
    this.#o = {
      intervalMs: intervalMsDefault,
      onEntry: () => {},
      resolve: systemResolve,
      readText: systemReadText,
      clock: systemClock,
      rng: systemRng,
      ...o,
    };
    this.replace(o.entries);
  }

  current(): readonly HostPort[] {
    return this.#current;
  }

  status(): readonly EntryReport[] {
    return this.#entries.map(reportOf);
  }

  replace(entries: readonly string[]): void {
    const known = new Map(this.#entries.map((entry) => [entry.shown, entry]));
    this.#entries = entries.map((text) => {
      const source = parseEntry(text);
      const shown = redactEntry(text.trim());
      const addresses = source.kind === 'literal' ? [source.address] : (known.get(shown)?.addresses ?? []);
      return { shown, source, addresses, cause: undefined };
    });
    this.#failedRounds = 0;
    this.#publish();
    this.#startRound();
  }

  refresh(): void {
    if (this.#running) return; // its answer is fresh enough, and whoever keeps asking must not keep it from coming
    this.#failedRounds = 0;
    this.#startRound();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#round.abort();
    this.#timer?.[Symbol.dispose]();
  }

  #startRound(): void {
    if (this.#closed) return;
    this.#timer?.[Symbol.dispose]();
    this.#round.abort();
    this.#running = false;
    const round = new AbortController();
    this.#round = round;
    const moving = this.#entries.filter((entry) => entry.source.kind !== 'literal');
    if (moving.length === 0) return; // nothing can ever change
    this.#running = true;
    void Promise.all(moving.map((entry) => this.#renew(entry, round.signal))).then((renewed) => {
      if (!round.signal.aborted) this.#endRound(renewed.every((ok) => ok));
    });
  }

  #endRound(ok: boolean): void {
    const { clock, intervalMs, rng } = this.#o;
    this.#running = false;
    this.#failedRounds = ok && this.#current.length > 0 ? 0 : this.#failedRounds + 1;
    const fullMs =
      this.#failedRounds === 0
        ? intervalMs
        : Math.min(intervalMs, retryMsMin * 2 ** Math.min(this.#failedRounds - 1, 20));
    const waitMs = fullMs - rng.below(Math.floor(fullMs / 10) + 1); // servers must not ask in step
    this.#timer = clock.at(clock.now() + waitMs, () => this.#startRound());
  }

  /** Whether the entry has fresh addresses now. */
  async #renew(entry: Entry, round: AbortSignal): Promise<boolean> {
    const budget = new AbortController();
    const give = (): void => budget.abort(new Error(`no answer within ${resolveMs} ms`));
    const timer = this.#o.clock.at(this.#o.clock.now() + resolveMs, give);
    const end = (): void => budget.abort();
    round.addEventListener('abort', end);
    try {
      const { addresses, cause } = await unlessAborted(
        this.#resolveEntry(entry.source, budget.signal),
        budget.signal,
      );
      if (round.aborted) return false;
      this.#note(entry, sortedUnique(addresses).slice(0, entryAddressesMax), cause);
      return cause === undefined;
    } catch (cause) {
      if (!round.aborted) this.#note(entry, entry.addresses, cause);
      return false;
    } finally {
      timer[Symbol.dispose]();
      round.removeEventListener('abort', end);
    }
  }

  #note(entry: Entry, addresses: readonly HostPort[], cause: unknown): void {
    const changed = messageOf(entry.cause) !== messageOf(cause);
    entry.addresses = addresses;
    entry.cause = cause;
    if (changed) this.#o.onEntry(reportOf(entry));
    this.#publish();
  }

  #publish(): void {
    const addresses = sortedUnique(this.#entries.flatMap((entry) => entry.addresses)).slice(0, addressesMax);
    const same = addresses.map(renderHostPort).join() === this.#current.map(renderHostPort).join();
    if (same) return;
    this.#current = addresses;
    this.#o.onAddresses(addresses);
  }

  /** A file may yield addresses and complaints at once. */
  async #resolveEntry(source: EntrySource, signal: AbortSignal): Promise<Resolved> {
    if (source.kind !== 'file') return { addresses: await this.#resolve(source, signal), cause: undefined };
    const { sources, errors } = parseFile(await this.#o.readText(source.path, signal));
    const settled = await Promise.allSettled(sources.map((each) => this.#resolve(each, signal)));
    const causes: unknown[] = [...errors];
    const addresses: HostPort[] = [];
    for (const result of settled) {
      if (result.status === 'fulfilled') addresses.push(...result.value);
      else causes.push(result.reason);
    }
    if (addresses.length === 0) throw causes[0] ?? new Error('the file names no address');
    return { addresses, cause: causes[0] };
  }

  async #resolve(source: AddressSource, signal: AbortSignal): Promise<readonly HostPort[]> {
    const { resolve } = this.#o;
    switch (source.kind) {
      case 'literal':
        return [source.address];
      case 'name': {
        const hosts = await resolve.addresses(source.host, signal);
        if (hosts.length === 0) throw new Error('the name has no address');
        return hosts.map((host) => ({ host, port: source.port }));
      }
      case 'srv': {
        const targets = (await resolve.services(source.name, signal)).slice(0, entryAddressesMax);
        const found = await Promise.all(
          targets.map(async ({ name, port }) =>
            (await resolve.addresses(name, signal)).map((host) => ({ host, port })),
          ),
        );
        if (found.flat().length === 0) throw new Error('the SRV name has no target with an address');
        return found.flat();
      }
    }
  }
}

interface Resolved {
  readonly addresses: readonly HostPort[];
  readonly cause: unknown;
}

function reportOf({ shown, addresses, cause }: Entry): EntryReport {
  return { entry: shown, addresses, ...(cause !== undefined && { cause }) };
}

const messageOf = (cause: unknown): string | undefined =>
  cause === undefined ? undefined : cause instanceof Error ? cause.message : String(cause);

/** Resolvers need not heed the signal; we do. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const aborted = (): void => reject(signal.reason);
    if (signal.aborted) return aborted();
    signal.addEventListener('abort', aborted, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', aborted));
  });
}
