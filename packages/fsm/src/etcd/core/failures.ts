/**
 * failures.ts: telling those who wait that it came to nothing.
 */
import type { EtcdLogErrorCode } from '../errors.ts';
import type { Effect, Failure } from './events.ts';

/** What a writer is told when a call has surely failed. */
export const codeOf: Readonly<Record<Failure['code'], EtcdLogErrorCode>> = {
  unavailable: 'log_unavailable',
  gone: 'log_unavailable',
  compacted: 'log_unavailable',
  full: 'log_disk_full',
  denied: 'log_denied',
  rejected: 'log_denied',
  corrupt: 'log_corrupt',
  deposed: 'log_not_leader',
};

export function fail(id: number, code: EtcdLogErrorCode, detail: string): Extract<Effect, { kind: 'fail' }> {
  return { kind: 'fail', id, code, detail };
}

/** All but those who have been told before. */
export function failAll(
  ids: readonly (number | undefined)[],
  code: EtcdLogErrorCode,
  detail: string,
): readonly Effect[] {
  return ids.flatMap((id) => (id === undefined ? [] : [fail(id, code, detail)]));
}
