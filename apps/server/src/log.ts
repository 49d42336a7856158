/**
 * log.ts: one JSON line per event on stderr, with the room it came from.
 */
import { ReportLimit } from '@fed/alpn-mux';
import type { LogEvent } from '@fed/fsm';
import type { AntiEntropyEvent, EntryRound, PruningEvent, Round } from '@fed/replication';
import { RpcApplicationError, RpcError } from '@fed/rpc';
import type { DestinationStream, Logger } from 'pino';
import { UnansweredError } from './abroad.ts';
import type { RootsTurn } from './connect-ca/follow-roots.ts';
import { HttpError } from './http/server.ts';
import { type LogLevel, sunkLogger } from './log-sink.ts';
import type { HealthRound } from './router-health.ts';
import type { TermEvent } from './terms.ts';

export type Log = Logger;

/** What every package says when something is worth reading. */
export interface RoomEvent {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly code: string;
  readonly text: string;
  readonly cause?: unknown;
  /** Further facts, each under its own key. */
  readonly fields?: Readonly<Record<string, string | number>>;
}

/** To stderr, or `to`. */
export function openLog(level: LogLevel, to?: DestinationStream): Log {
  return to === undefined ? sunkLogger(level) : sunkLogger(level, (line) => to.write(line));
}

/**
 * Gossip that arrives and cannot be used says that somebody is configured otherwise than we are, so it is worth a
 * warning, although the pool itself thinks nothing of dropping a packet.
 */
const misconfigured: ReadonlySet<string> = new Set([
  'undecryptable',
  'encryption_missing',
  'encryption_not_configured',
  'label_mismatch',
  'alive_refused',
]);

/** Strangers can cause events: of each code only the first few of a second become lines, with a count of the rest. */
export function roomLog(log: Log, room: string, now: () => number): (event: RoomEvent) => void {
  const limit = new ReportLimit();
  return ({ level, code, text, cause, fields }) => {
    const worth = misconfigured.has(code) ? 'warn' : level;
    if (!log.isLevelEnabled(worth)) return;
    const suppressed = limit.admit(code, now());
    if (suppressed === undefined) return;
    const reason = cause instanceof Error ? cause.message : cause;
    log[worth](
      {
        room,
        code,
        ...fields,
        ...(reason === undefined ? {} : { cause: reason }),
        ...(suppressed > 0 ? { suppressed } : {}),
      },
      text,
    );
  };
}

/** What the log on disk has to tell, in words. */
export function logEvents(log: Log, halted: (error: Error) => void): (event: LogEvent) => void {
  const room = 'log';
  return (event) => {
    switch (event.kind) {
      case 'torn_tail_cut':
        return log.warn(
          { room, ...event },
          `${event.file}: the last ${event.bytes} bytes were never acknowledged and were cut`,
        );
      case 'opened':
        return log.info({ room, ...event }, `log opened at index ${event.lastIndex}`);
      case 'write_refused':
        return log.error({ room, cause: event.error.message }, 'writes are refused; reads go on');
      case 'write_recovered':
        return log.info({ room }, 'writes are possible again');
      case 'compacted':
        return log.debug({ room, ...event }, `snapshot written at index ${event.index}`);
      case 'compaction_failed':
        return log.warn(
          { room, cause: event.error.message },
          'no snapshot could be written; the log keeps growing',
        );
      case 'halted':
        return halted(event.error);
    }
  };
}

export function tellAntiEntropy(log: Log, event: AntiEntropyEvent): void {
  const room = 'anti-entropy';
  if (event.kind === 'published') {
    const { reason, gateways, tookMs } = event;
    log.info({ room, reason, gateways, tookMs }, 'own gateways published');
    return;
  }
  if (event.kind === 'foreign') return; // stands in the status, and is told there
  const cause = (event.error as Error).message;
  log.warn(
    { room, stage: event.stage, failure: event.failure, waitMs: event.waitMs, cause },
    'own gateways not published; trying again',
  );
}

export function tellPruning(log: Log, event: PruningEvent): void {
  const room = 'pruning';
  const { datacenter } = event;
  if (event.kind === 'pruned')
    log.info({ room, datacenter }, `${datacenter} has no server any more; its record was removed`);
  else
    log.warn(
      { room, datacenter, cause: (event.error as Error).message },
      `the record of ${datacenter} could not be removed`,
    );
}

export function tellRound(log: Log, round: Round): void {
  const room = 'replication';
  const { upserts, deletions, remoteIndex, waitMs } = round;
  if (round.ok) {
    log.debug({ room, upserts, deletions, remoteIndex }, 'round');
    return;
  }
  const cause = (round.failure?.error as Error | undefined)?.message;
  log.warn(
    { room, stage: round.failure?.stage, kind: round.failure?.kind, doubt: round.doubt, waitMs, cause },
    'round failed; trying again',
  );
}

export function tellEntryRound(log: Log, round: EntryRound): void {
  const room = 'config-entries';
  const { upserts, deletions, remoteIndex, waitMs, doubt } = round;
  if (round.failure !== undefined) {
    const cause = (round.failure.error as Error).message;
    log.warn(
      { room, stage: round.failure.stage, waitMs, cause },
      "the primary's config entries could not be copied; trying again",
    );
  } else if (upserts + deletions > 0)
    log.info({ room, upserts, deletions, remoteIndex }, 'config entries copied');
  if (doubt !== undefined)
    log.warn({ room, doubt, waitMs }, 'the primary lists fewer config entries than there were; asking again');
}

export function tellHealth(log: Log, { datacenter, answered, silent }: HealthRound): void {
  const room = 'router';
  for (const { name, error } of silent)
    log.warn({ room, datacenter, cause: (error as Error).message }, `${name}.${datacenter} does not answer`);
  if (answered === undefined && silent.length > 0)
    log.error(
      { room, datacenter },
      `no server of ${datacenter} answers; it is asked all the same when needed`,
    );
}

export function tellTerm(log: Log, event: TermEvent): void {
  const room = 'leader';
  const { term } = event;
  if (event.kind === 'began') log.info({ room, term }, 'this server leads its datacenter');
  else if (event.kind === 'ended') log.info({ room, term }, 'this server leads no more');
  else
    log.error(
      { room, term, waitMs: event.waitMs, cause: (event.error as Error).message },
      'the duties of a leader could not be taken up; trying again',
    );
}

export function tellRoots(log: Log, turn: RootsTurn): void {
  const room = 'connect-ca';
  if (turn.kind === 'copied')
    log.info({ room, ...turn }, `the mesh's roots were copied; the trust domain is ${turn.trustDomain}`);
  if (turn.kind !== 'failed') return;
  const { waitMs, error } = turn;
  log.warn(
    { room, waitMs, cause: (error as Error).message },
    "the primary's roots could not be read; trying again",
  );
}

/** Datacenters whose failures are told apart; the names are the client's. */
const toldApartMax = 256;

/**
 * What another datacenter or the client did is told in a line, of those about one datacenter ten a second at most: while it is
 * away every read of it fails, and there may be thousands. Our own bugs are told each, with their stack.
 */
export function failedRequests(
  log: Log,
  now: () => number,
): (request: { readonly method: string; readonly path: string; readonly error: unknown }) => void {
  const room = 'http';
  const limit = new ReportLimit();
  const kinds = new Set<string>();
  const kindOf = (error: UnansweredError): string => {
    const kind = `${error.datacenter} ${error.hop ?? ''}`;
    if (kinds.size < toldApartMax) kinds.add(kind);
    return kinds.has(kind) ? kind : 'unanswered';
  };
  return ({ method, path, error }) => {
    const text = `${method} ${path}: ${(error as Error).message}`;
    const known =
      error instanceof RpcApplicationError || error instanceof RpcError || error instanceof HttpError;
    if (!known) {
      log.error({ room, err: error }, text);
      return;
    }
    const suppressed = limit.admit(error instanceof UnansweredError ? kindOf(error) : error.name, now());
    if (suppressed === undefined) return;
    const facts =
      error instanceof UnansweredError
        ? { datacenter: error.datacenter, ...(error.hop !== undefined && { hop: error.hop }) }
        : {};
    log.info({ room, ...facts, ...(suppressed > 0 && { suppressed }) }, text);
  };
}
