/**
 * log.ts: one JSON line per event on stderr.
 *
 * Strangers can make events; of those only the first few of a kind per second become lines.
 * Lives here: the logger, and what events of the relay and the registration are worth. Must not live here: events of the other rooms.
 */
import { ReportLimit } from '@fed/alpn-mux';
import pino, { type Logger } from 'pino';
import type { RegistrationEvent } from './keep-registered.ts';
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

/** `id`: of this gateway. */
export function registrationLogger(log: Log, id: string): (e: RegistrationEvent) => void {
  return (e) => {
    switch (e.kind) {
      case 'registered':
        log.info({ id, again: e.again, agent: e.url }, 'registered at the agent');
        return;
      case 'moved':
        log.warn({ id, from: e.from, to: e.to }, 'an agent does not answer; registered at the next one');
        return;
      case 'failed':
        log.warn({ err: e.cause, retryMs: e.retryMs }, 'registration failed; trying again');
        return;
      case 'agentLost':
        log.warn({ err: e.cause }, 'the agent does not answer; relaying goes on');
        return;
      case 'agentBack':
        log.info('the agent answers again');
        return;
      case 'leftBehind':
        log.warn(
          { id, node: e.node, err: e.cause },
          'the registration under that node could not be taken away; it is listed beside the new one until its node is given up (a token needs node:write for it)',
        );
        return;
      case 'takenOver':
        log.error(
          { id, by: e.by },
          `another gateway, at ${e.by}, has registered under our id and has our place: routes are its now. Give each gateway a --proxy-id of its own, and start this one again`,
        );
        return;
      case 'oursAgain':
        log.info({ id }, 'the registration under our id is ours again');
        return;
    }
  };
}
