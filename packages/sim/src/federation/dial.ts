/**
 * dial.ts: what the server's dialling functions do, on the simulated network.
 *
 * The same budgets, the same error codes and the same order of steps as alpn-mux's dialer.ts has over TCP and TLS: connect, then
 * the hello that gateways route by, then certificates of both sides. What TLS proves is modelled as data: names, validity, ALPN.
 * Lives here: one dial. Must not live here: gateways' choices (gateway.ts).
 */
import type { Duplex } from 'node:stream';
import { type DialAlpnOptions, type DialCode, DialError, type HostPort, parseServerSni } from '@fed/alpn-mux';
import type { Hop } from './conduit.ts';
import type { FedNetwork, Found, Identity, Listener } from './network.ts';
import type { SimProcess } from './process.ts';

const connectMsDefault = 3_000;
const handshakeMsDefault = 5_000;
export const domain = 'consul';

type Request = Pick<DialAlpnOptions, 'connectMs' | 'handshakeMs' | 'totalMs' | 'signal'> & {
  readonly to: HostPort;
  readonly sni: string | undefined;
  readonly alpn: string;
};

/** Rejects with a DialError; then nothing is left open. */
export function dial(net: FedNetwork, from: SimProcess, client: Identity, o: Request): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const { host } = from;
    const began = from.now();
    const until = began + (o.totalMs ?? Number.POSITIVE_INFINITY);
    let over = false;
    let timer: Disposable | undefined;
    const end = (): boolean => {
      if (over) return false;
      over = true;
      timer?.[Symbol.dispose]();
      o.signal?.removeEventListener('abort', aborted);
      return true;
    };
    const fail = (code: DialCode, detail: string): void => {
      if (end())
        reject(new DialError(code, { via: o.to, ...(o.sni !== undefined && { sni: o.sni }) }, detail));
    };
    const aborted = (): void => fail('aborted', 'given up by the caller');
    const limit = (ms: number, code: DialCode): void => {
      timer?.[Symbol.dispose]();
      timer = from.at(Math.min(from.now() + ms, until), () => fail(code, 'not done in time'));
    };
    if (o.signal?.aborted) return aborted();
    o.signal?.addEventListener('abort', aborted, { once: true });
    limit(o.connectMs ?? connectMsDefault, 'connect_timeout');
    net.connect(host, o.to, (answer) => {
      if (over || from.isOver) return;
      if (answer === 'refused') return fail('connect_refused', 'nobody listens there');
      limit(o.handshakeMs ?? handshakeMsDefault, 'tls_timeout');
      const hops: readonly Hop[] = [{ from: host, to: answer.host }];
      hello(net, answer, { sni: o.sni ?? '', alpn: o.alpn, client, hops }, (found) => {
        if (over || from.isOver) return;
        if (found.kind === 'closed') return fail('closed_before_tls', 'the peer closed without answering');
        if (found.kind === 'alpnRefused') return fail('alpn_refused', 'no such protocol there');
        const problem = judge(o.sni, client, found.identity);
        if (problem !== undefined) return fail(...problem);
        const conduit = net.open(found.hops, o.alpn);
        net.note(
          `open ${o.alpn} ${conduit
            .hosts()
            .map((h) => h.name)
            .join(' ')}`,
        );
        found.accept(conduit);
        if (end()) resolve(conduit.near);
      });
    });
  });
}

/**
 * The hello travels to whoever listens, is routed, and the answer travels back; a frozen program does neither. A program that
 * ended meanwhile accepts nothing, also where another runs by now: that one answers with a reset.
 */
function hello(
  net: FedNetwork,
  listener: Listener,
  o: Parameters<Listener['route']>[0],
  done: (found: Found) => void,
): void {
  const arrive = (): void => {
    const hop = o.hops.at(-1)!;
    if (!net.passes(hop.from, hop.to)) {
      if (hop.to.alive && hop.from.alive) net.clock.at(net.clock.now() + 200, arrive);
      return;
    }
    listener.route(o, (found) => {
      const hops = found.kind === 'server' ? found.hops : o.hops;
      const deaths = deathsAmong(hops);
      const backMs = 2 * hops.reduce((sum, each) => sum + net.delayMs(each.from, each.to), 0);
      net.clock.at(net.clock.now() + backMs, () => {
        if (!hops.every((each) => net.passes(each.from, each.to))) return;
        done(deathsAmong(hops) === deaths ? found : { kind: 'closed' });
      });
    });
  };
  net.clock.at(net.clock.now() + net.delayMs(o.hops[0]!.from, o.hops[0]!.to), arrive);
}

const deathsAmong = (hops: readonly Hop[]): number => hops.reduce((sum, { to }) => sum + to.deaths, 0);

/** What a handshake would have said about the two certificates. */
function judge(sni: string | undefined, client: Identity, server: Identity): [DialCode, string] | undefined {
  if (sni !== undefined) {
    const asked = parseServerSni(sni, domain);
    const right =
      asked?.datacenter === server.datacenter && (asked.node === undefined || asked.node === server.node);
    if (!right) return ['certificate_name', `it is ${server.node} of ${server.datacenter}, not ${sni}`];
  }
  if (client.wallMs() < server.validFrom || server.wallMs() < client.validFrom)
    return ['certificate_untrusted', 'a certificate is not valid yet'];
  return undefined;
}
