/**
 * log-sink.ts: where log lines go: to stderr from the configured level on, and to whoever is watching, from a level of his own.
 *
 * The logger makes lines only from the lowest level that somebody wants: as long as nobody watches, watching costs nothing.
 * Lives here: who gets which line. Must not live here: what a line says (log.ts), HTTP (http/monitor.ts).
 */
import pino, { type Logger } from 'pino';

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof logLevels)[number];

interface Watcher {
  from: number;
  readonly put: (line: string) => void;
}

/** What pino wants of a destination that asks to be told the level of each line. */
const tellsLevel = Symbol.for('pino.metadata');

class LogSink {
  readonly [tellsLevel] = true;
  /** Of the line that is written now; pino sets it. */
  lastLevel = 0;
  readonly #own: Watcher;
  readonly #watchers = new Set<Watcher>();

  constructor(own: Watcher) {
    this.#own = own;
  }

  write(line: string): void {
    if (this.lastLevel >= this.#own.from) this.#own.put(line);
    for (const { from, put } of this.#watchers) if (this.lastLevel >= from) put(line);
  }

  add(watcher: Watcher): void {
    this.#watchers.add(watcher);
  }

  set own(from: number) {
    this.#own.from = from;
  }

  delete(watcher: Watcher): void {
    this.#watchers.delete(watcher);
  }

  /** The lowest level anybody wants. */
  get from(): number {
    return Math.min(this.#own.from, ...Array.from(this.#watchers, ({ from }) => from));
  }
}

const sinks = new WeakMap<Logger, LogSink>();

/** `put` is for tests; a line goes to stderr at once and whole. */
export function sunkLogger(level: LogLevel, put: (line: string) => void = toStderr()): Logger {
  const sink = new LogSink({ from: numberOf(level), put });
  const formatters = { level: (label: string) => ({ level: label }) };
  const log = pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters }, sink);
  sinks.set(log, sink);
  return log;
}

function toStderr(): (line: string) => void {
  const stderr = pino.destination({ dest: 2, sync: true });
  return (line) => void stderr.write(line);
}

/** From now on, lines from this level on go where all lines go. */
export function setLogLevel(log: Logger, level: LogLevel): void {
  const sink = sinks.get(log);
  if (sink === undefined) return;
  sink.own = numberOf(level);
  log.level = pino.levels.labels[sink.from] ?? level;
}

/** Hands over every line from `level` on, as JSON, until disposed. */
export function watchLog(log: Logger, level: LogLevel, put: (line: string) => void): Disposable {
  const sink = sinks.get(log);
  if (sink === undefined) return { [Symbol.dispose]() {} };
  const watcher: Watcher = { from: numberOf(level), put };
  const settle = (): void => {
    log.level = pino.levels.labels[sink.from] ?? level;
  };
  sink.add(watcher);
  settle();
  return {
    [Symbol.dispose]() {
      sink.delete(watcher);
      settle();
    },
  };
}

function numberOf(level: LogLevel): number {
  return pino.levels.values[level] as number;
}
