/**
 * dial-stream.ts: a fresh connection for one exchange (push/pull, a user message), within the caller's time.
 *
 * Whoever stops waiting, for whatever reason, leaves no connection behind: one that comes late is closed.
 * Lives here: waiting and giving up. Must not live here: gateways, TLS, what is said on the stream.
 */
import type { Duplex } from 'node:stream';
import { WanfedError } from './errors.ts';
import type { Clock, Dial, DialRequest } from './ports.ts';

export function dialStream(
  dial: Dial,
  request: Omit<DialRequest, 'signal'>,
  o: { readonly clock: Clock; readonly timeoutMs: number; readonly signals: readonly AbortSignal[] },
): Promise<Duplex> {
  const where = `${request.node}.${request.datacenter}`;
  const attempt = new AbortController();
  return new Promise<Duplex>((resolve, reject) => {
    let over = false;
    const end = (): boolean => {
      if (over) return false;
      over = true;
      timer[Symbol.dispose]();
      for (const signal of o.signals) signal.removeEventListener('abort', aborted);
      return true;
    };
    const giveUp = (error: WanfedError): void => {
      if (!end()) return;
      attempt.abort(error);
      reject(error);
    };
    const aborted = (): void => {
      const cause: unknown = o.signals.find((signal) => signal.aborted)?.reason;
      giveUp(new WanfedError('aborted', `dialing ${where} was given up`, { cause }));
    };
    const timer = o.clock.at(o.clock.now() + o.timeoutMs, () =>
      giveUp(new WanfedError('dial_timeout', `no connection to ${where} within ${o.timeoutMs} ms`)),
    );
    for (const signal of o.signals) signal.addEventListener('abort', aborted);
    if (o.signals.some((signal) => signal.aborted)) return aborted();
    // A dial that throws has failed, no more and no less than one that rejects.
    new Promise<Duplex>((settle) => settle(dial({ ...request, signal: attempt.signal }))).then(
      (stream) => {
        if (end()) return resolve(stream);
        stream.on('error', () => {}); // nobody waits for it any more, so nobody cares how it ends
        stream.destroy();
      },
      (cause: unknown) => {
        if (end()) reject(new WanfedError('dial_failed', `cannot reach ${where}`, { cause }));
      },
    );
  });
}
