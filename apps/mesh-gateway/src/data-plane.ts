/**
 * data-plane.ts: whoever carries the connections, as `main` sees it.
 *
 * Lives here: the door both data planes share. Must not live here: either of them (embedded.ts, envoy/plane.ts).
 */
import type { HostPort } from '@fed/alpn-mux';

/** Whom the xDS server has to prove to be. */
export interface XdsTls {
  /** PEM; absent: the authorities this machine trusts. */
  readonly ca?: string;
  /** The name its certificate must have; absent: the host that is dialled (Envoy: any). */
  readonly serverName?: string;
}

/** What can be known once the agent has the registration. */
export interface Assignment {
  /** xDS as a gRPC target: `host:port` or `unix:///path`. */
  readonly target: string;
  /** Further xDS servers, for a data plane that cannot be told of another one later. */
  readonly others?: readonly string[];
  /** How often the server may be asked for a sign of life, in ms, where that is known. */
  readonly keepaliveMs?: number;
  /** Absent: plain text. */
  readonly tls?: XdsTls;
  readonly datacenter?: string;
  /** The proxy configuration under which the instance is registered. */
  readonly proxyConfig?: Readonly<Record<string, unknown>>;
}

export interface DataPlane extends AsyncDisposable {
  /** Begins to take configuration and to relay. Called once. Rejects if it cannot begin. */
  start(a: Assignment): Promise<void>;
  /** From now on, configuration comes from there. One that has been given all servers at the start chooses by itself. */
  redirect(a: Assignment): void;
  /** An exit status, if it ends without being asked to; otherwise pending for ever. */
  readonly ended: Promise<number>;
  /** Connections being relayed. */
  connections(): Promise<number>;
  /** No new connections; resolves with the exit status once the open ones are over, or `withinMs` later, when the rest is cut. */
  drain(withinMs: number): Promise<number>;
}

/** How a data plane says that it is ready. */
export type Announce = (binds: readonly HostPort[], admin: HostPort) => void;
