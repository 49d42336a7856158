/**
 * probing.ts: cheap dials towards gateways nobody has used for a while, or that failed and may be back.
 *
 * A handshake with any server of the datacenter, and goodbye: it proves the whole way, gateways, route, certificate and
 * protocol, and its outcome is a lesson like any dial's. So a gateway that is back is used again within seconds, without
 * somebody's read paying for the attempt, and a configured door that leads nowhere is known before it is needed.
 * Lives here: the rounds. Must not live here: what is worth a probe (the locator), dialling.
 */
import type { Duplex } from 'node:stream';
import { alpn, DialError, type DialLesson, serverSni, type TlsIdentity } from '@fed/alpn-mux';
import type { Locator, Probe } from '@fed/gateway-locator';
import type { World } from './world.ts';

/** Between two looks; whether there is anything to do is decided without a dial. */
const everyMs = 1_000;
/** For one probe. */
const probeMs = 3_000;
const goodbyeMs = 1_000;

export interface ProbingOptions {
  readonly locator: Pick<Locator, 'toProbe'>;
  readonly tls: TlsIdentity;
  readonly domain: string;
  readonly learned: (lesson: DialLesson) => void;
  readonly clock: World['clock'];
  readonly rng: World['rng'];
  readonly dialAlpn: World['machine']['dialAlpn'];
}

export function openProbing(o: ProbingOptions): AsyncDisposable {
  const { clock, rng } = o;
  const stop = new AbortController();
  let timer: Disposable | undefined;
  let running: Promise<unknown> = Promise.resolve();
  const arm = (): void => {
    timer = clock.at(clock.now() + everyMs / 2 + rng.below(everyMs), () => {
      running = Promise.all(o.locator.toProbe().map((each) => probe(o, each, stop.signal))).then(() => {
        if (!stop.signal.aborted) arm();
      });
    });
  };
  arm();
  return {
    async [Symbol.asyncDispose]() {
      timer?.[Symbol.dispose]();
      stop.abort(new Error('this server is stopping'));
      await running;
    },
  };
}

/** Read to its end, or the other side would log a reset. */
function goodbye(socket: Duplex, clock: World['clock']): Promise<void> {
  return new Promise((resolve) => {
    const force = clock.at(clock.now() + goodbyeMs, () => socket.destroy());
    socket.once('close', () => {
      force[Symbol.dispose]();
      resolve();
    });
    socket.resume().end();
  });
}

async function probe(o: ProbingOptions, { gateway, datacenter }: Probe, signal: AbortSignal): Promise<void> {
  const { clock, tls, domain } = o;
  const began = clock.now();
  const protocol = alpn.rpcMulti;
  const lesson = { gateway, datacenter, alpn: protocol };
  const sni = serverSni({ datacenter, domain });
  try {
    const socket = await o.dialAlpn({
      via: gateway,
      sni,
      alpn: protocol,
      tls,
      totalMs: probeMs,
      signal,
      clock,
    });
    o.learned({ ...lesson, ok: true, tookMs: clock.now() - began });
    await goodbye(socket, clock);
  } catch (error) {
    if (!(error instanceof DialError)) throw error;
    if (error.code !== 'aborted')
      o.learned({ ...lesson, ok: false, code: error.code, tookMs: clock.now() - began });
  }
}
