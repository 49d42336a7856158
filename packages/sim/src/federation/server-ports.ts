/**
 * server-ports.ts: what listens on a server's host: the door, the API for gateways, the feed of configurations.
 */
import type { Accepted, Alpn, FrontDoor, FrontDoorOptions, Handler, TypeByte } from '@fed/alpn-mux';
import type { Running } from '@fed/server/inside';
import type { GatewayWorld, XdsServer, XdsServerOptions } from '@fed/xds';
import type { Conduit } from './conduit.ts';
import type { Found, HostPort, Identity, Listener, RouteRequest, SimHost } from './network.ts';

export const httpPort = 8500;
export const xdsPort = 8502;

/** Nobody comes to these through a gateway, or speaks TLS by name there. */
const closed = (_o: RouteRequest, done: (found: Found) => void): void => done({ kind: 'closed' });

/** The server's one port. Which protocol, is the ALPN's or the type byte's; who comes, is what his certificate says. */
export class DoorPort implements Listener, FrontDoor {
  readonly host: SimHost;
  readonly address: HostPort;
  readonly #o: FrontDoorOptions;
  readonly #identity: Identity;
  readonly #open = new Set<Conduit>();
  #accepted = 0;

  constructor(host: SimHost, identity: Identity, o: FrontDoorOptions) {
    this.host = host;
    this.address = o.bind;
    this.#o = o;
    this.#identity = identity;
    host.listeners.set(o.bind.port, this);
  }

  route(o: RouteRequest, done: (found: Found) => void): void {
    const handle = this.#o.alpn[o.alpn as Alpn];
    if (handle === undefined) {
      done({ kind: 'alpnRefused' });
      return;
    }
    const accept = (conduit: Conduit): void => this.#accept(conduit, o, handle, { alpn: o.alpn as Alpn });
    done({ kind: 'server', hops: o.hops, identity: this.#identity, accept });
  }

  /** Within the datacenter: a type byte, inside TLS. */
  direct(conduit: Conduit, client: Identity, typeByte: TypeByte): void {
    const handle = this.#o.typeBytes?.[typeByte];
    const request = { sni: '', alpn: '', client, hops: conduit.hops };
    if (handle === undefined) conduit.far.destroy();
    else this.#accept(conduit, request, handle, { typeByte });
  }

  #accept(
    conduit: Conduit,
    { client, sni, hops }: RouteRequest,
    handle: Handler,
    by: Pick<Accepted, 'alpn' | 'typeByte'>,
  ): void {
    this.#accepted++;
    this.#open.add(conduit);
    conduit.far.once('close', () => this.#open.delete(conduit));
    conduit.far.allowHalfOpen = true;
    const { node, datacenter } = client;
    const { domain } = this.#o;
    const names = [`${node}.server.${datacenter}.${domain}`, `server.${datacenter}.${domain}`, 'localhost'];
    handle({
      stream: conduit.far,
      remote: { host: hops.at(-1)!.from.address, port: 1_024 + (this.#accepted % 60_000) },
      local: this.address,
      tls: true,
      sni,
      blame: () => {}, // nobody is turned away here: addresses are whole datacenters
      ...by,
      peer: { names, server: { node, datacenter }, fingerprint: `${node}.${datacenter}` },
    });
  }

  stats(): ReturnType<FrontDoor['stats']> {
    return {
      accepted: this.#accepted,
      open: this.#open.size,
      handshaking: 0,
      handedOver: this.#accepted,
      leftEarly: 0,
      addressesWatched: 0,
      acceptErrors: 0,
      refused: {},
    };
  }

  shut(): void {
    if (this.host.listeners.get(this.address.port) === this) this.host.listeners.delete(this.address.port);
  }

  reconfigure(): void {}

  async [Symbol.asyncDispose](): Promise<void> {
    this.shut();
    for (const conduit of this.#open) conduit.far.destroy();
  }
}

/** The HTTP API, as far as gateways use it: the agent behind it, once the server is up. */
export class HttpPort implements Listener {
  readonly host: SimHost;
  readonly nodeName: string;
  running: Running | undefined;
  readonly route: Listener['route'] = closed;

  constructor(host: SimHost, nodeName: string) {
    this.host = host;
    this.nodeName = nodeName;
    host.listeners.set(httpPort, this);
  }
}

/** The feed of a gateway's world, without the gRPC around it. */
export class XdsPort implements Listener, XdsServer {
  readonly host: SimHost;
  readonly address: HostPort;
  readonly route: Listener['route'] = closed;
  readonly #watchGateway: XdsServerOptions['watchGateway'];
  readonly #streams = new Set<() => void>();

  constructor(host: SimHost, watchGateway: XdsServerOptions['watchGateway']) {
    this.host = host;
    this.address = { host: host.address, port: xdsPort };
    this.#watchGateway = watchGateway;
    host.listeners.set(xdsPort, this);
  }

  watch(id: string, onWorld: (world: GatewayWorld | undefined) => void, lost: () => void): Disposable {
    this.#streams.add(lost);
    const watching = this.#watchGateway({ id, cluster: 'mesh-gateway' }, onWorld);
    return {
      [Symbol.dispose]: () => {
        this.#streams.delete(lost);
        watching[Symbol.dispose]();
      },
    };
  }

  /** The server is gone: every stream ends. */
  cut(): void {
    const streams = [...this.#streams];
    this.#streams.clear();
    for (const lost of streams) lost();
  }

  readonly tlsAddress: undefined;

  replaceCertificate(): void {}

  clients(): readonly [] {
    return [];
  }

  holdings(): readonly [] {
    return [];
  }

  stats(): ReturnType<XdsServer['stats']> {
    return { streams: this.#streams.size, refused: {}, feeds: this.#streams.size };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.host.listeners.get(xdsPort) === this) this.host.listeners.delete(xdsPort);
    this.cut();
  }
}
