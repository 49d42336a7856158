/**
 * errors.ts: what can go wrong in the state machine, as values with stable codes.
 *
 * Lives here: errors of commands and rows. Must not live here: errors of the disk (log/errors.ts).
 */

/**
 * A command that was refused. It is in the log and every replica refuses it alike; the state was not touched.
 * - `malformed`: the bytes are not the message their type byte claims
 * - `invalid`: a required field is missing or an operation unknown
 * - `node_name_reserved`: another node, alive, holds this name under another ID
 * - `missing_node`, `missing_service`: a service or check refers to something not registered
 * - `check_node_mismatch`: a check in a registration names another node
 * - `unsupported`: a message type this version gives no meaning to
 */
export class FsmError extends Error {
  override readonly name = 'FsmError';
  readonly code:
    | 'malformed'
    | 'invalid'
    | 'node_name_reserved'
    | 'missing_node'
    | 'missing_service'
    | 'check_node_mismatch'
    | 'unsupported';

  constructor(code: FsmError['code'], detail: string, options?: ErrorOptions) {
    super(detail, options);
    this.code = code;
  }
}

/** A value from a peer that has not the shape of the row it claims to be. `path` leads to the bad field. */
export class RowError extends Error {
  override readonly name = 'RowError';
  readonly code = 'malformed_row';
  readonly path: string;
  readonly #wanted: string;

  constructor(path: string, wanted: string) {
    super(`${path === '' ? 'value' : path} is not ${wanted}`);
    this.path = path;
    this.#wanted = wanted;
  }

  /** The same, seen from one level up: `step` is a key, or a place in a list as `[3]`. */
  below(step: string): RowError {
    const joint = this.path === '' || this.path.startsWith('[') ? '' : '.';
    return new RowError(`${step}${joint}${this.path}`, this.#wanted);
  }
}

/** A snapshot that cannot be read. Nothing was changed. `record` counts from 0, the header. */
export class SnapshotError extends Error {
  override readonly name = 'SnapshotError';
  readonly code: 'malformed_header' | 'malformed_record' | 'truncated' | 'refused_record';
  readonly record: number;

  constructor(code: SnapshotError['code'], record: number, detail: string, options?: ErrorOptions) {
    super(`snapshot record ${record}: ${detail}`, options);
    this.code = code;
    this.record = record;
  }
}
