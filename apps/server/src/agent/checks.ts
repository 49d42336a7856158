/**
 * checks.ts: runs the checks of this node's services and says when a verdict changes.
 *
 * A check runs at once when it appears and then on its interval, never twice at a time. While its service may still be
 * starting (one interval long) a failed one is run again sooner. A changed status is told at once, a changed output alone
 * only every few minutes, so that a steady check costs no write. A service whose check stays critical for too long is
 * given up.
 * Lives here: when checks run. Must not live here: how one is run (probe.ts), where verdicts are stored.
 * Source: Consul agent/checks/check.go; reaping of critical services, agent/agent.go.
 */
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
  told: Verdict | undefined;
  /** What was found last; undefined while nothing was. */
  latest: Verdict | undefined;
  /** What its service said last, for a TTL check. */
  lastWords: string;
  /** When a changed output will be told. */
  telling: Disposable | undefined;
  criticalSince: number | undefined;
  timer: Disposable | undefined;
  /** Until then a failure is looked at again after `startupRetryMs`. */
  readonly startingUntil: number;
  readonly stop: AbortController;
}

const nanosPerMs = 1e6;
const timeoutMsDefault = 10_000;
const startupRetryMs = 100;
/** A changed output waits this long for company: the original's check_update_interval. */
const outputTellMs = 300_000;

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
      told: row.Output === '' ? undefined : verdictOf(row),
      latest: undefined,
      lastWords: '',
      telling: undefined,
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
    check.telling?.[Symbol.dispose]();
    this.#running.delete(checkId);
  }

  /** What the check found last, told or not. */
  latest(checkId: string): Verdict | undefined {
    return this.#running.get(checkId)?.latest;
  }

  /** A TTL check heard from its service. */
  heard(checkId: string, verdict: Verdict): 'heard' | 'unknown' | 'no_ttl' {
    const check = this.#running.get(checkId);
    if (check === undefined) return 'unknown';
    if (check.row.Type !== 'ttl') return 'no_ttl';
    check.lastWords = verdict.output;
    this.#decide(check, verdict);
    if (!check.stop.signal.aborted) this.#expireLater(check);
    return 'heard';
  }

  runs(checkId: string): boolean {
    return this.#running.has(checkId);
  }

  /** Forgets every check that is not among these rows, or means another probe in them, or a verdict we never told. */
  keep(rows: readonly CheckRow[]): void {
    for (const [id, { row, told }] of [...this.#running]) {
      const now = rows.find(({ CheckID }) => CheckID === id);
      if (now === undefined || !sameProbe(now, row) || now.Status !== (told ?? verdictOf(row)).status)
        this.forget(id);
    }
  }

  [Symbol.dispose](): void {
    this.keep([]);
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
      const words = check.lastWords === '' ? '' : ` (last output before timeout follows): ${check.lastWords}`;
      this.#decide(check, { status: 'critical', output: `TTL expired${words}` });
      if (!check.stop.signal.aborted) this.#expireLater(check);
    });
  }

  #decide(check: Running, verdict: Verdict): void {
    const now = this.#ports.clock.now();
    if (verdict.status !== 'critical') check.criticalSince = undefined;
    else check.criticalSince ??= now;
    check.latest = verdict;
    if (verdict.status !== check.told?.status) this.#tell(check);
    else if (verdict.output !== check.told.output)
      check.telling ??= this.#ports.clock.at(now + outputTellMs, () => this.#tell(check));
    const giveUpMs = Number(check.row.Definition.DeregisterCriticalServiceAfter) / nanosPerMs;
    if (giveUpMs > 0 && check.criticalSince !== undefined && now - check.criticalSince >= giveUpMs)
      this.#ports.giveUp(check.row);
  }

  #tell(check: Running): void {
    check.telling?.[Symbol.dispose]();
    check.telling = undefined;
    if (check.latest === undefined) return;
    check.told = check.latest;
    this.#ports.verdict(check.row, check.latest);
  }
}

const sameProbe = (a: CheckRow, b: CheckRow): boolean =>
  a.Type === b.Type && a.ServiceID === b.ServiceID && inText(a.Definition) === inText(b.Definition);

/** Durations may be too large for a number. */
const inText = (definition: CheckRow['Definition']): string =>
  JSON.stringify(definition, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value));

function verdictOf({ Status, Output }: CheckRow): Verdict {
  return { status: Status as Verdict['status'], output: typeof Output === 'string' ? Output : '' };
}
