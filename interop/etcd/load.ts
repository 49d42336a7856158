/**
 * load.ts: clients that write and read registers without pause, and the history of what they did and were answered.
 *
 * A client asks whoever leads, and looks for another leader when refused. A write refused for certain is no part of the
 * history; one whose fate is unknown (its server died, or said so) may have happened at any time since.
 * Lives here: asking, recording. Must not live here: faults, verdicts.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Operation } from '@fed/sim';
import { Refusal } from '../lib/driven.ts';
import type { RegisterServer } from './servers.ts';

/** A client whose server does not answer for this long, in ms, goes on elsewhere; the answer still counts when it comes. */
const impatienceMs = 500;
/** Between two tries while nobody leads, in ms; and between two operations of a client. */
const againMs = 10;
const breathMs = 4;

export class Load implements AsyncDisposable {
  readonly #servers: readonly RegisterServer[];
  readonly #keys: number;
  readonly #operations: Operation[] = [];
  readonly #open = new Set<Promise<void>>();
  readonly #clients: readonly Promise<void>[];
  readonly #acknowledgedAt: { readonly by: string; readonly atMs: number }[] = [];
  readonly #waiting = new Set<() => void>();
  #stopped = false;
  #written = 0;
  unknown = 0;
  refused = 0;

  constructor(servers: readonly RegisterServer[], o: { readonly clients: number; readonly keys: number }) {
    this.#servers = servers;
    this.#keys = o.keys;
    this.#clients = Array.from({ length: o.clients }, (_, i) => this.#client(i));
  }

  /** Resolves with the moment (performance.now) of the first write acknowledged by anybody but `not` after `since`. */
  async acknowledged(o: { readonly not?: string; readonly since: number }): Promise<number> {
    for (;;) {
      const found = this.#acknowledgedAt.find(({ by, atMs }) => atMs > o.since && by !== o.not);
      if (found !== undefined) return found.atMs;
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  /** Resolves after `count` more writes. */
  async more(count: number): Promise<void> {
    const until = this.#acknowledgedAt.length + count;
    while (this.#acknowledgedAt.length < until)
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
  }

  longestPauseMs(since: number): number {
    let last = since;
    let longest = 0;
    for (const { atMs } of this.#acknowledgedAt) {
      if (atMs <= since) continue;
      longest = Math.max(longest, atMs - last);
      last = atMs;
    }
    return longest;
  }

  /** Ends the clients and waits for what can still be answered. */
  async history(): Promise<readonly Operation[]> {
    this.#stopped = true;
    await Promise.all(this.#clients);
    await Promise.all(this.#open);
    return this.#operations;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#clients);
  }

  async #client(number: number): Promise<void> {
    let turn = number;
    while (!this.#stopped) {
      const running = this.#servers.filter(({ driven }) => driven.child.running);
      const server = latestLeader(running) ?? running[turn % running.length];
      if (server === undefined) {
        await pause(againMs);
        continue;
      }
      const key = `r${turn % this.#keys}`;
      turn += 1;
      const asked = turn % 3 === 0 ? this.#read(server, key) : this.#write(server, key);
      this.#open.add(asked);
      const forget = asked.finally(() => this.#open.delete(asked));
      await Promise.race([forget, pause(impatienceMs)]);
      await pause(server.leads.leader ? breathMs : againMs);
    }
  }

  async #write(server: RegisterServer, key: string): Promise<void> {
    const value = `v${++this.#written}`;
    const startedAt = performance.now();
    const record = (endedAt: number | undefined): void => {
      this.#operations.push({ key, kind: 'write', value, startedAt, endedAt, by: server.name });
    };
    try {
      await server.driven.ask('write', { key, value });
      const atMs = performance.now();
      record(atMs);
      this.#acknowledgedAt.push({ by: server.name, atMs });
      for (const wake of this.#waiting) wake();
      this.#waiting.clear();
    } catch (error) {
      if (error instanceof Refusal && error.answer['code'] !== 'log_outcome_unknown') {
        if (error.answer['code'] === 'bug') throw error;
        this.refused++;
        return;
      }
      this.unknown++;
      record(undefined);
    }
  }

  async #read(server: RegisterServer, key: string): Promise<void> {
    const startedAt = performance.now();
    try {
      const { value } = await server.driven.ask('read', { key });
      const read = value === null ? undefined : String(value);
      const endedAt = performance.now();
      this.#operations.push({ key, kind: 'read', value: read, startedAt, endedAt, by: server.name });
    } catch (error) {
      if (error instanceof Refusal && error.answer['code'] === 'bug') throw error;
      // An answer that nobody got says nothing about the register.
    }
  }
}

function latestLeader(servers: readonly RegisterServer[]): RegisterServer | undefined {
  return servers.filter(({ leads }) => leads.leader).sort((a, b) => b.leads.term - a.leads.term)[0];
}
