/**
 * checks.ts: runs the checks of this node's services and says when a verdict changes.
 *
 * A check runs at once when it appears and then on its interval, never twice at a time. While its service may still be
 * starting (one interval long) a failed one is run again sooner. Only a changed status is told, so that a steady check
 * costs no write. A service whose check stays critical for too long is given up.
 * Lives here: when and how checks run. Must not live here: where verdicts are stored.
 * Source: Consul agent/checks/check.go; reaping of critical services, agent/agent.go.
 */
import { connect } from 'node:net';
import type { CheckRow } from '@fed/fsm';

export interface Verdict {
  readonly status: 'passing' | 'warning' | 'critical';
  readonly output: string;
}

export interface CheckPorts {
  readonly clock: { now(): number; at(when: number, wake: () => void): Disposable };
  /** Runs one TCP or HTTP check. Must settle within the timeout. */
  readonly probe: (check: CheckRow, timeoutMs: number, signal: AbortSignal) => Promise<Verdict>;
  /** The verdict on a check changed. */
  readonly verdict: (check: CheckRow, verdict: Verdict) => void;
  /** The check was critical for longer than its service allows. */
  readonly giveUp: (check: CheckRow) => void;
}

interface Running {
  row: CheckRow;
  /** What the catalog was last told; undefined while it was told nothing. */
  told: string | undefined;
  criticalSince: number | undefined;
  timer: Disposable | undefined;
  /** Until then a failure is looked at again after `startupRetryMs`. */
  readonly startingUntil: number;
  readonly stop: AbortController;
}

const nanosPerMs = 1e6;
const timeoutMsDefault = 10_000;
const startupRetryMs = 100;

export class CheckRunner implements Disposable {
  readonly #ports: CheckPorts;
  readonly #running = new Map<string, Running>();

  constructor(ports: CheckPorts) {
    this.#ports = ports;
  }

  /** Starts the check, or starts it anew when it was registered again. */
  watch(row: CheckRow): void {
    this.forget(row.CheckID);
    const check: Running = {
      row,
      told: row.Output === '' ? undefined : row.Status,
      criticalSince: row.Status === 'critical' ? this.#ports.clock.now() : undefined,
      timer: undefined,
      startingUntil: this.#ports.clock.now() + Number(row.Definition.Interval) / nanosPerMs,
      stop: new AbortController(),
    };
    this.#running.set(row.CheckID, check);
    if (row.Type === 'ttl') this.#expireLater(check);
    else void this.#run(check);
  }

  forget(checkId: string): void {
    const check = this.#running.get(checkId);
    if (check === undefined) return;
    check.stop.abort();
    check.timer?.[Symbol.dispose]();
    this.#running.delete(checkId);
  }

  /** A TTL check heard from its service. False when there is no such TTL check. */
  heard(checkId: string, verdict: Verdict): boolean {
    const check = this.#running.get(checkId);
    if (check === undefined || check.row.Type !== 'ttl') return false;
    this.#decide(check, verdict);
    this.#expireLater(check);
    return true;
  }

  [Symbol.dispose](): void {
    for (const id of [...this.#running.keys()]) this.forget(id);
  }

  async #run(check: Running): Promise<void> {
    const timeoutMs = Number(check.row.Definition.Timeout) / nanosPerMs || timeoutMsDefault;
    const verdict = await this.#ports.probe(check.row, timeoutMs, check.stop.signal);
    if (check.stop.signal.aborted) return;
    this.#decide(check, verdict);
    if (check.stop.signal.aborted) return; // given up
    const now = this.#ports.clock.now();
    const intervalMs = Number(check.row.Definition.Interval) / nanosPerMs;
    const starting = verdict.status === 'critical' && now < check.startingUntil;
    const next = now + (starting ? Math.min(startupRetryMs, intervalMs) : intervalMs);
    check.timer = this.#ports.clock.at(next, () => void this.#run(check));
  }

  #expireLater(check: Running): void {
    check.timer?.[Symbol.dispose]();
    const ttlMs = Number(check.row.Definition.TTL) / nanosPerMs;
    check.timer = this.#ports.clock.at(this.#ports.clock.now() + ttlMs, () => {
      this.#decide(check, { status: 'critical', output: 'TTL expired' });
      if (!check.stop.signal.aborted) this.#expireLater(check);
    });
  }

  #decide(check: Running, verdict: Verdict): void {
    const now = this.#ports.clock.now();
    if (verdict.status !== 'critical') check.criticalSince = undefined;
    else check.criticalSince ??= now;
    if (verdict.status !== check.told) {
      check.told = verdict.status;
      this.#ports.verdict(check.row, verdict);
    }
    const giveUpMs = Number(check.row.Definition.DeregisterCriticalServiceAfter) / nanosPerMs;
    if (giveUpMs > 0 && check.criticalSince !== undefined && now - check.criticalSince >= giveUpMs)
      this.#ports.giveUp(check.row);
  }
}

/** The real probe: TCP connect, or an HTTP request (2xx passes, 429 warns). */
export async function probeNetwork(
  check: CheckRow,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Verdict> {
  const { TCP, HTTP, Method } = check.Definition;
  if (TCP !== '') return probeTcp(TCP, timeoutMs, signal);
  const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  try {
    const response = await fetch(HTTP, { method: Method || 'GET', signal: limit, redirect: 'follow' });
    await response.body?.cancel();
    const output = `HTTP ${Method || 'GET'} ${HTTP}: ${response.status} ${response.statusText}`;
    return { status: response.ok ? 'passing' : response.status === 429 ? 'warning' : 'critical', output };
  } catch (error) {
    return { status: 'critical', output: `${Method || 'GET'} "${HTTP}": ${(error as Error).message}` };
  }
}

function probeTcp(address: string, timeoutMs: number, signal: AbortSignal): Promise<Verdict> {
  const at = address.lastIndexOf(':');
  const host = address.slice(0, at).replace(/^\[|\]$/g, '');
  return new Promise((resolve) => {
    const socket = connect({ host, port: Number(address.slice(at + 1)) });
    const end = (verdict: Verdict): void => {
      socket.destroy();
      signal.removeEventListener('abort', cancelled);
      resolve(verdict);
    };
    const cancelled = (): void => end({ status: 'critical', output: 'check cancelled' });
    signal.addEventListener('abort', cancelled, { once: true });
    socket.setTimeout(timeoutMs, () =>
      end({ status: 'critical', output: `dial tcp ${address}: i/o timeout` }),
    );
    socket.once('connect', () => end({ status: 'passing', output: `TCP connect ${address}: Success` }));
    socket.once('error', (error: NodeJS.ErrnoException) =>
      end({ status: 'critical', output: `dial tcp ${address}: connect: ${error.code ?? error.message}` }),
    );
  });
}
