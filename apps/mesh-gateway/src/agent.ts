/**
 * agent.ts: the few things the gateway asks of the local agent's HTTP API.
 *
 * Lives here: requests, their deadline, and what went wrong. Must not live here: when to ask (keep-registered.ts).
 * Source: Consul api/agent.go.
 */
import type { Exchange, ExchangeAnswer, ExchangeRequest } from './exchange.ts';
import type { RegistrationBody } from './registration.ts';
import type { Clock } from './relay/ports.ts';

/** Longest wait for one answer. */
const answerMsMax = 5_000;
/** When stopping, for the answer to the last request: whoever stops us is waiting. */
const farewellMsMax = 2_000;

export class AgentError extends Error {
  override readonly name = 'AgentError';
  /** `unreachable`: no answer came. `refused`: it said no (4xx). `failed`: it could not (5xx), or talked nonsense. */
  readonly code: 'unreachable' | 'refused' | 'failed';
  constructor(code: AgentError['code'], detail: string, options?: ErrorOptions) {
    super(`[${code}] ${detail}`, options);
    this.code = code;
  }
}

export interface Instance {
  /** '' for the node's own. */
  readonly address: string;
  readonly port: number;
  readonly proxyConfig?: Readonly<Record<string, unknown>>;
}

export interface AgentOptions {
  /** Without a slash at the end. */
  readonly url: string;
  readonly token?: string;
  readonly exchange: Exchange;
  readonly clock: Clock;
}

export class Agent {
  readonly #o: AgentOptions;

  constructor(o: AgentOptions) {
    this.#o = o;
  }

  get url(): string {
    return this.#o.url;
  }

  async register(body: RegistrationBody, signal: AbortSignal): Promise<void> {
    await this.#ask('PUT', '/v1/agent/service/register?replace-existing-checks=true', signal, {
      body: JSON.stringify(body),
    });
  }

  /** The last thing asked before the end, so it is not waited for as long as the others. */
  async deregister(id: string, signal: AbortSignal): Promise<void> {
    await this.#ask('PUT', `/v1/agent/service/deregister/${encodeURIComponent(id)}`, signal, {
      withinMs: farewellMsMax,
    });
  }

  /** Takes an instance away from another node of the datacenter: its own agent is out of reach. */
  async forget(node: string, id: string, signal: AbortSignal): Promise<void> {
    const body = JSON.stringify({ Node: node, ServiceID: id });
    await this.#ask('PUT', '/v1/catalog/deregister', signal, { body });
  }

  /** Instances of this service, healthy ones alone, that carry traffic between servers. Asked on the way out, too. */
  async carriers(service: string, signal: AbortSignal): Promise<readonly string[]> {
    const path = `/v1/health/service/${encodeURIComponent(service)}?passing=1`;
    const { text } = await this.#ask('GET', path, signal, { withinMs: farewellMsMax });
    const rows = this.#parse<
      readonly { Service?: { ID?: string; Meta?: Readonly<Record<string, string>> | null } }[]
    >(text, path);
    return rows.flatMap(({ Service: s }) =>
      s?.ID !== undefined && s.Meta?.['consul-wan-federation'] === '1' ? [s.ID] : [],
    );
  }

  /** What it has under this id; undefined if nothing. */
  async instance(id: string, signal: AbortSignal): Promise<Instance | undefined> {
    const path = `/v1/agent/service/${encodeURIComponent(id)}`;
    const { status, text } = await this.#ask('GET', path, signal, { fine: [404] });
    if (status === 404) return undefined;
    const row = this.#parse<{ Address?: unknown; Port?: unknown; Proxy?: { Config?: unknown } | null }>(
      text,
      path,
    );
    const config = row.Proxy?.Config;
    return {
      address: typeof row.Address === 'string' ? row.Address : '',
      port: typeof row.Port === 'number' ? row.Port : 0,
      ...(typeof config === 'object' &&
        config !== null && { proxyConfig: config as Record<string, unknown> }),
    };
  }

  /** Its datacenter and node, and the ports of its xDS server, in plain text and over TLS; what it does not have or say is absent. */
  async self(signal: AbortSignal): Promise<{
    readonly datacenter?: string;
    readonly node?: string;
    readonly xdsPort?: number;
    readonly xdsTlsPort?: number;
  }> {
    const path = '/v1/agent/self';
    const { text } = await this.#ask('GET', path, signal);
    const self = this.#parse<{
      Config?: { Datacenter?: unknown; NodeName?: unknown };
      xDS?: { Port?: unknown; Ports?: { Plaintext?: unknown; TLS?: unknown } };
    }>(text, path);
    const port = self.xDS?.Ports?.Plaintext ?? self.xDS?.Port;
    const tlsPort = self.xDS?.Ports?.TLS;
    const datacenter = self.Config?.Datacenter;
    const node = self.Config?.NodeName;
    return {
      ...(typeof datacenter === 'string' && { datacenter }),
      ...(typeof node === 'string' && node !== '' && { node }),
      ...(typeof port === 'number' && port > 0 && { xdsPort: port }),
      ...(typeof tlsPort === 'number' && tlsPort > 0 && { xdsTlsPort: tlsPort }),
    };
  }

  #parse<T>(text: string, path: string): T {
    try {
      return JSON.parse(text) as T;
    } catch (cause) {
      throw new AgentError('failed', `${this.#o.url}${path} is no JSON`, { cause });
    }
  }

  async #ask(
    method: ExchangeRequest['method'],
    path: string,
    signal: AbortSignal,
    o: { readonly body?: string; readonly fine?: readonly number[]; readonly withinMs?: number } = {},
  ): Promise<ExchangeAnswer> {
    const { url, token, clock, exchange } = this.#o;
    const { body, fine = [], withinMs = answerMsMax } = o;
    const given = new AbortController();
    using _deadline = clock.at(clock.now() + withinMs, () =>
      given.abort(new Error(`no answer within ${withinMs} ms`)),
    );
    const giveUp = (): void => given.abort(signal.reason);
    if (signal.aborted) giveUp();
    signal.addEventListener('abort', giveUp, { once: true });
    let answer: ExchangeAnswer;
    try {
      answer = await exchange(url + path, {
        method,
        signal: given.signal,
        headers: {
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...(token !== undefined && { 'x-consul-token': token }),
        },
        ...(body !== undefined && { body }),
      });
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : cause;
      throw new AgentError('unreachable', `${url}: ${why}; is the agent running, and is --http-addr right?`, {
        cause,
      });
    } finally {
      signal.removeEventListener('abort', giveUp);
    }
    const { status, text } = answer;
    if ((status >= 200 && status < 300) || fine.includes(status)) return answer;
    const code = status >= 400 && status < 500 ? 'refused' : 'failed';
    throw new AgentError(
      code,
      `${url} answered ${status} to ${method} ${path.split('?')[0]}: ${text.trim()}`,
    );
  }
}
