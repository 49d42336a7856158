/**
 * name-dispute.ts: two members claim one name. If it is ours, the pool decides who keeps it. serf serf.go,
 * resolveNodeConflict.
 *
 * Lives here: asking the pool, once at a time. Must not live here: counting the answers (core/conflict.ts).
 */
import type { Member } from '@fed/memberlist';
import type { Query } from './api.ts';
import { keepsName } from './core/conflict.ts';
import { internalPrefix } from './core/query-desk.ts';
import { addressText } from './core/snapshot.ts';
import type { LogEvent } from './ports.ts';

export interface DisputeOptions {
  readonly name: string;
  /** Whether the pool is asked at all. */
  readonly resolve: boolean;
  /** Nobody who is leaving anyway is shut down. */
  readonly alive: () => boolean;
  readonly local: () => Member;
  readonly query: (name: string, payload: Uint8Array) => Query;
  readonly lost: () => void;
  readonly log: (e: LogEvent) => void;
}

export class NameDispute {
  readonly #o: DisputeOptions;
  #asking = false;

  constructor(o: DisputeOptions) {
    this.#o = o;
  }

  claimed(existing: Member, other: Member): void {
    const { name, resolve, log } = this.#o;
    const text = `'${existing.name}' is claimed by ${addressText(existing)} and by ${addressText(other)}`;
    log({ level: existing.name === name ? 'error' : 'warn', code: 'name_conflict', text });
    if (existing.name !== name || !resolve || this.#asking) return;
    this.#asking = true;
    void this.#ask();
  }

  async #ask(): Promise<void> {
    const { name, alive, local, query, lost, log } = this.#o;
    try {
      const { responses } = await query(`${internalPrefix}conflict`, Buffer.from(name)).done;
      const answers = responses.map((r) => r.payload);
      if (!alive() || keepsName(answers, local())) return;
      const text = `most others know another '${name}': shutting down; give this member a name of its own`;
      log({ level: 'error', code: 'name_lost', text });
      lost();
    } catch (cause) {
      log({
        level: 'warn',
        code: 'name_unresolved',
        text: `nobody could be asked whose name '${name}' is`,
        cause,
      });
    } finally {
      this.#asking = false;
    }
  }
}
