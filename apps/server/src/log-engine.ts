/**
 * log-engine.ts: the log the configuration asks for: on this server's disk, or in an etcd cluster that several servers share.
 *
 * Must not live here: what an engine does (@fed/fsm).
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { embeddedLog, LogError, type OpenEngine } from '@fed/fsm';
import { EtcdLogError, type EtcdLogEvent, etcdLog } from '@fed/fsm/etcd';
import { type Config, ConfigError } from './config/config.ts';
import type { EtcdEngineConfig } from './config/servers.ts';
import { type Log, logEvents } from './log.ts';

/** @param halted hears why nothing is applied any more; only a restart mends it. */
export function logEngine(config: Config, log: Log, halted: (error: Error) => void): OpenEngine {
  const { engine, dataDir, nodeName, advertiseHost, serverPort } = config;
  if (engine.type === 'embedded')
    return embeddedLog({ dir: join(dataDir, 'log'), log: logEvents(log, halted) });
  const { endpoints, prefix, leaseMs, compactHistory, user, password } = engine;
  return etcdLog({
    endpoints,
    prefix,
    leaseMs,
    compactHistory,
    node: nodeName,
    address: `${advertiseHost}:${serverPort}`,
    ...(user === undefined || password === undefined ? {} : { username: user, password }),
    ...tlsOf(engine),
    log: etcdEvents(log, halted),
  });
}

/** What stands in the way of the log is the operator's to mend, so the error names the key that leads there. */
export async function usingLog<T>(open: () => Promise<T>): Promise<T> {
  try {
    return await open();
  } catch (error) {
    if (error instanceof LogError) throw new ConfigError([`data_dir: ${error.message}`]);
    if (error instanceof EtcdLogError) throw new ConfigError([`engine: ${error.message}${remedyOf(error)}`]);
    if (error instanceof RangeError) throw new ConfigError([`engine: ${error.message}`]);
    throw error;
  }
}

function tlsOf(engine: EtcdEngineConfig) {
  const read = (key: 'caFile' | 'certFile' | 'keyFile', name: string): string | undefined => {
    const file = engine[key];
    if (file === undefined) return undefined;
    try {
      return readFileSync(file, 'utf8');
    } catch (error) {
      throw new ConfigError([`engine.${name} ${file}: ${(error as Error).message}`]);
    }
  };
  const ca = read('caFile', 'ca_file');
  const cert = read('certFile', 'cert_file');
  const key = read('keyFile', 'key_file');
  const { serverName } = engine;
  if ([ca, cert, key, serverName].every((each) => each === undefined)) return {};
  return {
    tls: {
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      ...(serverName === undefined ? {} : { serverName }),
    },
  };
}

function remedyOf({ code }: EtcdLogError): string {
  switch (code) {
    case 'log_unavailable':
      return '; is etcd running at engine.endpoints, and reachable from here?';
    case 'log_denied':
      return '; correct engine.user and engine.password, and let the user read and write below engine.prefix';
    case 'log_corrupt':
      return '; give this datacenter an engine.prefix of its own';
    default:
      return '';
  }
}

function etcdEvents(log: Log, halted: (error: Error) => void): (event: EtcdLogEvent) => void {
  const room = 'log';
  const causeOf = (error: unknown): string => (error as Error).message;
  /** It is looked for again every second; losing and finding it are worth a line. */
  let lost = false;
  return (event) => {
    switch (event.kind) {
      case 'opened':
        return log.info({ room, ...event }, `log in etcd opened at index ${event.lastIndex}`);
      case 'leadership': {
        const { term, leaderAddress } = event;
        return log.info(
          { room, term },
          leaderAddress === undefined ? 'nobody leads' : `${leaderAddress} leads`,
        );
      }
      case 'link_lost': {
        const level = lost ? 'debug' : 'warn';
        lost = true;
        return log[level](
          { room, cause: causeOf(event.error) },
          'etcd is not heard; what is read here may be old',
        );
      }
      case 'resynced':
        lost = false;
        return log.info({ room, lastIndex: event.lastIndex }, 'etcd is heard again');
      case 'call_failed':
        return log.debug({ room, call: event.call, cause: causeOf(event.error) }, 'a call to etcd failed');
      case 'compacted':
        return log.debug({ room, ...event }, `snapshot written at index ${event.index}`);
      case 'compaction_failed':
        return log.warn(
          { room, cause: causeOf(event.error) },
          'no snapshot could be written; the log keeps growing',
        );
      case 'halted':
        return halted(event.error);
    }
  };
}
