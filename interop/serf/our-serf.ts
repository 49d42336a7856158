/**
 * our-serf.ts: @fed/serf as a process of its own, to be killed without a word. Driven over JSON lines: open, join, members,
 * event, cut; what it hears of user events comes unasked.
 */
import { createInterface } from 'node:readline';
import { openSerf, type Serf } from '@fed/serf';
import type { Cut, Gate } from '../lib/gate.ts';
import { ourOptions } from './our-options.ts';

interface Request extends Partial<Cut> {
  readonly id: number;
  readonly cmd: 'open' | 'join' | 'members' | 'event' | 'cut';
  readonly name?: string;
  readonly keys?: readonly string[];
  readonly target?: string;
  readonly payload?: string;
}

let serf: Serf | undefined;
let gate: Gate | undefined;

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line) as Request;
  try {
    console.log(JSON.stringify({ id: request.id, ...(await perform(request)) }));
  } catch (error) {
    console.log(JSON.stringify({ id: request.id, error: (error as Error).message }));
  }
}
await serf?.[Symbol.asyncDispose]();

async function perform(r: Request): Promise<Record<string, unknown>> {
  const { name = '', target = '', payload = '', ports = [], refuseStreams = false } = r;
  if (r.cmd === 'open') return open(name, r.keys);
  if (serf === undefined) throw new Error('open comes first');
  switch (r.cmd) {
    case 'join':
      return { joined: (await serf.join([target])).joined };
    case 'members':
      return { members: serf.members().map(({ name, status }) => [name, status]) };
    case 'event':
      serf.userEvent(name, Buffer.from(payload));
      return {};
    case 'cut':
      gate?.cut({ ports, refuseStreams });
      return {};
  }
}

async function open(name: string, keys: readonly string[] | undefined): Promise<Record<string, unknown>> {
  const options = await ourOptions(name, keys);
  gate = options.transport;
  serf = await openSerf({
    ...options,
    onEvent: (event) => {
      if (event.kind !== 'user') return;
      const payload = Buffer.from(event.payload).toString();
      console.log(JSON.stringify({ event: 'user', name: event.name, payload }));
    },
    log: ({ level, code, text }) => console.error(`[${level}] ${code}: ${text}`),
  });
  return { port: serf.local().port };
}
