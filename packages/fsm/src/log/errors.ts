/**
 * errors.ts: what can go wrong between a command and the disk.
 *
 * Lives here: the error class, errno to code. Must not live here: refused commands (../errors.ts).
 */

/**
 * - `log_disk_full`, `log_read_only`, `log_io`: the disk refused; nothing of the command was kept, reads go on, the next
 *   append tries again
 * - `log_outcome_unknown`: the disk failed in a way that leaves open whether the command survives a restart
 * - `log_not_leader`: another server orders the log, or nobody at the moment; nothing of the command was kept
 * - `log_locked`: another process has the directory
 * - `log_corrupt`: bytes that were once durable have changed, or a file in the middle is missing; `file` and `offset` say where
 * - `log_too_large`, `log_busy`: the command, or all waiting commands together, are beyond the bound
 * - `log_halted`: the state machine threw while applying, so nothing after it can be applied
 * - `log_closed`: the engine was disposed
 */
export class LogError extends Error {
  override readonly name = 'LogError';
  readonly code:
    | 'log_disk_full'
    | 'log_read_only'
    | 'log_io'
    | 'log_outcome_unknown'
    | 'log_not_leader'
    | 'log_locked'
    | 'log_corrupt'
    | 'log_too_large'
    | 'log_busy'
    | 'log_halted'
    | 'log_closed';
  readonly dir: string;
  readonly file: string | undefined;
  readonly offset: number | undefined;

  constructor(
    code: LogError['code'],
    dir: string,
    detail: string,
    o: { readonly cause?: unknown; readonly file?: string; readonly offset?: number } = {},
  ) {
    super(`[${code}] ${detail}`, o.cause === undefined ? {} : { cause: o.cause });
    this.code = code;
    this.dir = dir;
    this.file = o.file;
    this.offset = o.offset;
  }
}

/** Turns what a file system threw into a LogError that names the directory and what to do. */
export function diskError(dir: string, doing: string, cause: unknown): LogError {
  if (cause instanceof LogError) return cause;
  const errno = (cause as NodeJS.ErrnoException | undefined)?.code ?? '';
  switch (errno) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new LogError('log_disk_full', dir, `${doing}: the disk of ${dir} is full; free space there`, {
        cause,
      });
    case 'EROFS':
    case 'EACCES':
    case 'EPERM':
      return new LogError(
        'log_read_only',
        dir,
        `${doing}: ${dir} cannot be written (${errno}); make it writable`,
        {
          cause,
        },
      );
    default:
      return new LogError(
        'log_io',
        dir,
        `${doing} in ${dir}: ${(cause as Error | undefined)?.message ?? cause}`,
        {
          cause,
        },
      );
  }
}
