/**
 * gossip-port.ts: memberlist's own transport within a datacenter, on the simulated network.
 */
import type { Duplex } from 'node:stream';
import type { Address, Inbound, Transport } from '@fed/memberlist';
import type { FedNetwork, Found, HostPort, Listener, RouteRequest, SimHost } from './network.ts';

const gossip = 'gossip stream';

export class GossipPort implements Transport, Listener {
  readonly host: SimHost;
  readonly advertise: HostPort;
  readonly #net: FedNetwork;
  #inbound: Inbound | undefined;

  constructor(net: FedNetwork, host: SimHost, port: number) {
    this.#net = net;
    this.host = host;
    this.advertise = { host: host.address, port };
    host.listeners.set(port, this);
  }

  listen(inbound: Inbound): void {
    this.#inbound = inbound;
  }

  sendPacket(to: Address, packet: Uint8Array): void {
    const bytes = packet.slice();
    this.#net.datagram(this.host, to, (host) => {
      const port = host.listeners.get(to.port);
      if (port instanceof GossipPort) port.#inbound?.packet(bytes, this.advertise);
    });
  }

  dialStream(to: Address, o: { readonly timeoutMs: number; readonly signal?: AbortSignal }): Promise<Duplex> {
    return new Promise((resolve, reject) => {
      const { clock } = this.#net;
      const late = clock.at(clock.now() + o.timeoutMs, () => reject(new Error('no answer in time')));
      o.signal?.addEventListener('abort', () => reject(o.signal?.reason), { once: true });
      this.#net.connect(this.host, to, (answer) => {
        late[Symbol.dispose]();
        if (answer === 'refused') return reject(new Error('connection refused'));
        if (!(answer instanceof GossipPort)) return reject(new Error('no gossip there'));
        const conduit = this.#net.open([{ from: this.host, to: answer.host }], gossip);
        answer.#inbound?.stream(conduit.far, this.advertise);
        resolve(conduit.near);
      });
    });
  }

  /** Nobody comes here through a gateway. */
  route(_o: RouteRequest, done: (found: Found) => void): void {
    done({ kind: 'closed' });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.host.listeners.get(this.advertise.port) === this)
      this.host.listeners.delete(this.advertise.port);
    this.#inbound = undefined;
  }
}
