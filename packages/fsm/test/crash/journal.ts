/** The simplest state machine over a log: it remembers every command with its index. Shared by the killed process and its judge. */
import type { EngineHooks } from '../../src/engine.ts';

export interface Entry {
  readonly index: number;
  readonly text: string;
}

export class Journal {
  entries: Entry[] = [];

  readonly hooks: EngineHooks = {
    apply: (index, command) => {
      this.entries.push({ index, text: Buffer.from(command).toString() });
      return undefined;
    },
    snapshot: () => this.entries.map((entry) => Buffer.from(JSON.stringify(entry))),
    restore: (records) => {
      this.entries = [...records].map((record) => JSON.parse(Buffer.from(record).toString()) as Entry);
    },
  };
}
