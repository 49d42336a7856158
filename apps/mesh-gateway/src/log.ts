/**
 * log.ts: one JSON line per event on stderr.
 *
 * Strangers can make events; of those only the first few of a kind per second become lines.
 * Lives here: the logger, and what a relay's events are worth. Must not live here: events of the other rooms.
 */
import { ReportLimit } from '@fed/alpn-mux';
import pino, { type Logger } from 'pino';
import { recordOf } from './relay/journal.ts';
import type { Outcome } from './relay/passage.ts';
import type { RelayEvent } from './relay/relay.ts';

export type Log = Logger;

export function openLog(level: string): Log {
  return pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: 2, sync: true }),
  );
}

/** What the end of a connection is worth: nothing for nobody, a warning where a route or a server is missing. */
const levelOf: Readonly<Record<Outcome, 'warn' | 'info' | 'debug' | undefined>> = {
  completed: 'debug',
  client_reset: 'debug',
  upstream_reset: 'debug',
  idle: 'debug',
  cut: 'debug',
  client_left: 'debug',
  left_early: undefined,
  hello_timeout: 'info',
  hello_crowded_out: 'warn',
  no_proxy_header: 'info',
  not_tls: 'info',
  hello_invalid: 'info',
  hello_too_large: 'info',
  no_filter_chain_match: 'warn',
  no_route: 'warn',
  overflow: 'warn',
  none_healthy: 'warn',
  connect_failed: 'warn',
};

export function relayLogger(log: Log, now: () => number): (e: RelayEvent) => void {
  const limit = new ReportLimit();
  return (e) => {
    switch (e.kind) {
      case 'listening':
        log.info({ listener: e.listener, ...e.bind }, 'listening');
        return;
      case 'bindFailed':
        log.error(
          { listener: e.listener, ...e.bind, err: e.cause },
          'cannot listen; trying again in 10 s. Is another program on this port?',
        );
        return;
      case 'full':
        log.warn(
          { connections: e.connections },
          'as many connections as this process can have: port closed for now',
        );
        return;
      case 'roomAgain':
        log.info({ connections: e.connections }, 'room again: port open');
        return;
      case 'closed': {
        const level = levelOf[e.outcome];
        if (level === undefined || !log.isLevelEnabled(level)) return;
        const suppressed = limit.admit(e.outcome, now());
        if (suppressed === undefined) return;
        log[level]({ ...recordOf(e.note), ...(suppressed > 0 && { suppressed }) }, 'connection closed');
        return;
      }
    }
  };
}
