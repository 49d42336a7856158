/**
 * plain-gateway.ts: a gateway whose routes are always right: it knows where everybody's present gateways are. The model of the
 * original gets these, so that what it fails at is its own.
 */
import { parseServerSni } from '@fed/alpn-mux';
import { domain } from './dial.ts';
import type { FedNetwork, Found, HostPort, Listener, RouteRequest, SimHost } from './network.ts';

const connectMs = 5_000;

export class PlainGateway implements Listener {
  readonly host: SimHost;
  readonly #net: FedNetwork;
  readonly #routes: (datacenter: string) => readonly HostPort[];

  constructor(net: FedNetwork, host: SimHost, routes: (datacenter: string) => readonly HostPort[]) {
    this.#net = net;
    this.host = host;
    this.#routes = routes;
  }

  route(o: RouteRequest, done: (found: Found) => void): void {
    const { clock, rng } = this.#net;
    const to = this.#routes(parseServerSni(o.sni, domain)?.datacenter ?? '');
    if (to.length === 0) {
      done({ kind: 'closed' });
      return;
    }
    let over = false;
    const end = (then: () => void): void => {
      if (over) return;
      over = true;
      late[Symbol.dispose]();
      then();
    };
    const late = clock.at(clock.now() + connectMs, () => end(() => done({ kind: 'closed' })));
    this.#net.connect(this.host, rng.pick(to), (answer) => {
      end(() => {
        if (answer === 'refused') done({ kind: 'closed' });
        else answer.route({ ...o, hops: [...o.hops, { from: this.host, to: answer.host }] }, done);
      });
    });
  }
}
