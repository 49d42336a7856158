/**
 * register-server.ts: a process around one engine: registers that can be written and read, driven over JSON lines.
 *
 * Every command carries the term it was begun in. Whoever applies one of a term after one of a later term, or of one term
 * from two servers, says so: it must never happen. Run by server.ts; arguments: the engine's options as JSON.
 */
import { createInterface } from 'node:readline';
import { type EtcdLogOptions, openEtcdLog } from '@fed/fsm/etcd';

interface Command {
  readonly key: string;
  readonly value: string;
  readonly by: string;
  readonly term: number;
}

interface State {
  registers: Record<string, string>;
  applied: number;
  term: number;
  leads: string;
  violations: string[];
}

const options = JSON.parse(process.argv[2]!) as EtcdLogOptions;
let state: State = { registers: {}, applied: 0, term: 0, leads: '', violations: [] };
const tell = (line: unknown): boolean => process.stdout.write(`${JSON.stringify(line)}\n`);

const engine = await openEtcdLog({
  ...options,
  log: (event) => {
    if (event.kind === 'leadership') tell({ event: event.kind, leader: event.leader, term: event.term });
    else process.stderr.write(`${new Date().toISOString()} ${describe(event)}\n`);
  },
  apply: (index, bytes) => {
    const { key, value, by, term } = JSON.parse(Buffer.from(bytes).toString()) as Command;
    if (index !== state.applied + 1) state.violations.push(`index ${index} after ${state.applied}`);
    if (term < state.term) state.violations.push(`a write of term ${term} by ${by} after term ${state.term}`);
    if (term === state.term && by !== state.leads)
      state.violations.push(`term ${term}: writes by ${state.leads} and ${by}`);
    state = { ...state, applied: index, term, leads: by };
    state.registers[key] = value;
    return state.violations.length;
  },
  snapshot: () => [Buffer.from(JSON.stringify(state))],
  restore: (records) => {
    for (const record of records) state = JSON.parse(Buffer.from(record).toString()) as State;
  },
});
tell({ event: 'open', index: state.applied });

const answers: Record<string, (line: Record<string, unknown>) => Promise<object>> = {
  async write({ key, value }) {
    const { term } = engine.leadership();
    const command: Command = { key: String(key), value: String(value), by: options.node, term };
    return { index: (await engine.append(Buffer.from(JSON.stringify(command)), { term })).index };
  },
  async read({ key }) {
    await engine.barrier();
    return { value: state.registers[String(key)] ?? null };
  },
  async look() {
    return { state, ...engine.leadership(), stats: engine.stats() };
  },
  async compact() {
    return await engine.compact();
  },
};

for await (const text of createInterface({ input: process.stdin })) {
  const { id, cmd, ...line } = JSON.parse(text) as Record<string, unknown>;
  answers[String(cmd)]!(line).then(
    (answer) => tell({ id, ...answer }),
    (error: Error & { readonly code?: string }) =>
      tell({ id, error: error.message, code: error.code ?? 'bug' }),
  );
}
await engine[Symbol.asyncDispose]();

function describe(event: { readonly kind: string; readonly error?: unknown }): string {
  return event.error instanceof Error ? `${event.kind}: ${event.error.message}` : JSON.stringify(event);
}
