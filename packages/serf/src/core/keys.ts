/**
 * keys.ts: changing the encryption keys of all members: what one answers, and what all their answers amount to.
 *
 * Rotation: install the new key everywhere, use it everywhere, remove the old one everywhere. serf internal_query.go,
 * keymanager.go. Lives here: one answer, the sum of answers. Must not live here: the ring, its file, queries.
 */
import { WireError } from '../errors.ts';
import { decodeMessage } from '../wire/decode.ts';
import { encodeMessage } from '../wire/encode.ts';
import type { KeyResponse } from '../wire/message.ts';

export type KeyOperation = 'install-key' | 'use-key' | 'remove-key' | 'list-keys';

/** What a key operation needs of a ring. Refusals are thrown, and told to the asker. */
export interface Ring {
  add(key: Uint8Array): void;
  use(key: Uint8Array): void;
  remove(key: Uint8Array): void;
  /** Primary first. */
  keys(): readonly Uint8Array[];
}

const failed = (message: string): KeyResponse => ({
  kind: 'keyResponse',
  result: false,
  message,
  keys: null,
  primaryKey: '',
});

/** Does what is asked to the ring. The answer says how it went; `changed` that a ring on disk is out of date. */
export function answerKeyQuery(
  operation: KeyOperation,
  payload: Uint8Array,
  ring: Ring | undefined,
): { answer: KeyResponse; changed: boolean } {
  const keys = ring?.keys() ?? [];
  if (ring === undefined || keys.length === 0) {
    const message =
      operation === 'list-keys'
        ? 'Keyring is empty (encryption not enabled)'
        : 'No keyring to modify (encryption not enabled)';
    return { answer: failed(message), changed: false };
  }
  if (operation === 'list-keys') {
    const texts = keys.map(base64);
    const primaryKey = texts[0] ?? '';
    return {
      answer: { kind: 'keyResponse', result: true, message: '', keys: texts, primaryKey },
      changed: false,
    };
  }
  try {
    const request = decodeMessage(payload);
    if (request.kind !== 'keyRequest')
      return { answer: failed(`a ${request.kind} is no key request`), changed: false };
    const key = request.key ?? new Uint8Array(0);
    if (operation === 'install-key') ring.add(key);
    else if (operation === 'use-key') ring.use(key);
    else ring.remove(key);
    return { answer: { ...failed(''), result: true }, changed: true };
  } catch (cause) {
    return { answer: failed(cause instanceof Error ? cause.message : String(cause)), changed: false };
  }
}

/** A key's text with its header; the limit divided by it says how many keys can fit at most. */
const encodedKeyBytesMin = 25;

/** A key list as payload, shortened until the whole response (as `sizeOf` tells it) takes at most `bytesMax`. */
export function fitKeyList(
  answer: KeyResponse,
  sizeOf: (payload: Uint8Array) => number,
  bytesMax: number,
): Uint8Array | undefined {
  const all = answer.keys ?? [];
  const whole = encodeMessage(answer);
  if (sizeOf(whole) <= bytesMax) return whole;
  for (let n = Math.min(all.length, Math.trunc(bytesMax / encodedKeyBytesMin)); n >= 0; n--) {
    const message = `truncated key list response, showing first ${n} of ${all.length} keys`;
    const payload = encodeMessage({ ...answer, keys: all.slice(0, n), message });
    if (sizeOf(payload) <= bytesMax) return payload;
  }
  return undefined;
}

/** What all members together said to a key operation. */
export interface KeyReport {
  /** Members asked, members that answered, members that could not do it. */
  readonly nodes: number;
  readonly responses: number;
  readonly errors: number;
  /** What a member had to say besides yes, by its name. */
  readonly messages: ReadonlyMap<string, string>;
  /** How many members have a key, by its base64; for list-keys. */
  readonly keys: ReadonlyMap<string, number>;
  /** The same for primaries; '' stands for releases that do not tell. */
  readonly primaryKeys: ReadonlyMap<string, number>;
}

export class KeyTally {
  readonly #nodes: number;
  #responses = 0;
  #errors = 0;
  readonly #messages = new Map<string, string>();
  readonly #keys = new Map<string, number>();
  readonly #primaryKeys = new Map<string, number>();

  constructor(nodes: number) {
    this.#nodes = nodes;
  }

  get complete(): boolean {
    return this.#responses >= this.#nodes;
  }

  add(from: string, payload: Uint8Array): void {
    this.#responses++;
    const answer = readAnswer(payload);
    if (typeof answer === 'string') {
      this.#errors++;
      this.#messages.set(from, answer);
      return;
    }
    if (!answer.result) this.#errors++;
    if (!answer.result || answer.message !== '') this.#messages.set(from, answer.message);
    for (const key of answer.keys ?? []) count(this.#keys, key);
    count(this.#primaryKeys, answer.primaryKey);
  }

  report(): KeyReport {
    return {
      nodes: this.#nodes,
      responses: this.#responses,
      errors: this.#errors,
      messages: this.#messages,
      keys: this.#keys,
      primaryKeys: this.#primaryKeys,
    };
  }
}

/** Why a report is no success, in serf's words; undefined when it is one. */
export function keyFailure(r: KeyReport): string | undefined {
  if (r.errors > 0) return `${r.errors}/${r.nodes} nodes reported failure`;
  if (r.responses < r.nodes) return `${r.responses}/${r.nodes} nodes reported success`;
  return undefined;
}

function readAnswer(payload: Uint8Array): KeyResponse | string {
  try {
    const m = decodeMessage(payload);
    return m.kind === 'keyResponse' ? m : `a ${m.kind} is no answer to a key query`;
  } catch (cause) {
    if (cause instanceof WireError) return `an answer that cannot be read: ${cause.message}`;
    throw cause;
  }
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

export function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
