/**
 * agents.ts: the agents a gateway may register at, and which of them it is.
 *
 * In a datacenter of several servers each keeps what is registered at it under its own node. A gateway belongs to one at a
 * time; when that is gone it goes to the next, round and round, and stays where it is taken.
 * Lives here: whose turn it is. Must not live here: requests (agent.ts), when to move on (keep-registered.ts).
 */
import { Agent, type AgentOptions } from './agent.ts';

export class Agents {
  readonly all: readonly Agent[];
  #at = 0;

  constructor(o: Omit<AgentOptions, 'url'> & { readonly urls: readonly [string, ...string[]] }) {
    const { urls, ...rest } = o;
    this.all = urls.map((url) => new Agent({ ...rest, url }));
  }

  get current(): Agent {
    return this.all[this.#at] as Agent;
  }

  get count(): number {
    return this.all.length;
  }

  /** The next one's turn. */
  turn(): void {
    this.#at = (this.#at + 1) % this.all.length;
  }
}
