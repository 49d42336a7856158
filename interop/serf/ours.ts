/**
 * ours.ts: one of our serfs in this process, with everything it tells.
 */
import { openSerf, type Serf, type SerfConfig, type SerfEvent } from '@fed/serf';
import type { Gate } from '../lib/gate.ts';
import { Journal } from '../lib/journal.ts';
import { ourOptions } from './our-options.ts';

export class Ours implements AsyncDisposable {
  readonly name: string;
  readonly serf: Serf;
  readonly gate: Gate;
  readonly journal: Journal;
  /** Its log, as lines. */
  readonly log: readonly string[];

  private constructor(o: Pick<Ours, 'name' | 'serf' | 'gate' | 'journal' | 'log'>) {
    this.name = o.name;
    this.serf = o.serf;
    this.gate = o.gate;
    this.journal = o.journal;
    this.log = o.log;
  }

  /** Answers the query "uptime" with its name and the question. */
  static async open(name: string, keys?: readonly string[], config: Partial<SerfConfig> = {}): Promise<Ours> {
    const journal = new Journal(name);
    const log: string[] = [];
    const options = await ourOptions(name, keys);
    const serf = await openSerf({
      ...options,
      config: { ...options.config, ...config },
      onEvent: (event) => {
        journal.tell({ event });
        if (event.kind === 'query' && event.query.name === 'uptime')
          event.respond(Buffer.from(`${name} answers ${Buffer.from(event.query.payload).toString()}`));
      },
      log: ({ level, code, text }) => log.push(`[${level}] ${code}: ${text}`),
    });
    return new Ours({ name, serf, gate: options.transport, journal, log });
  }

  get address(): string {
    return `127.0.0.1:${this.serf.local().port}`;
  }

  /** Awaits an event that `find` accepts, told so far or later. */
  async hears(what: string, timeoutMs: number, find: (event: SerfEvent) => boolean): Promise<SerfEvent> {
    const isIt = (line: { readonly event?: unknown }): boolean => find(line.event as SerfEvent);
    try {
      return (await this.journal.heard(what, timeoutMs, isIt))['event'] as SerfEvent;
    } catch (cause) {
      throw new Error(
        `${(cause as Error).message}\n--- ${this.name} said:\n${this.log.slice(-20).join('\n')}`,
      );
    }
  }

  /** Awaits a member event about `name`. */
  async hearsOf(kind: SerfEvent['kind'], name: string, timeoutMs: number): Promise<void> {
    await this.hears(
      `${kind} of ${name}`,
      timeoutMs,
      (event) => event.kind === kind && 'members' in event && event.members.some((m) => m.name === name),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.serf[Symbol.asyncDispose]();
  }
}
