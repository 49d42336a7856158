/**
 * our-serf.ts: @fed/serf as a process of its own, to be killed without a word. Driven over JSON lines: open, join.
 */
import { createInterface } from 'node:readline';
import { openSerf, type Serf } from '@fed/serf';
import { ourOptions } from './our-options.ts';

interface Request {
  readonly id: number;
  readonly cmd: 'open' | 'join';
  readonly name?: string;
  readonly keys?: readonly string[];
  readonly target?: string;
}

let serf: Serf | undefined;

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line) as Request;
  try {
    console.log(JSON.stringify({ id: request.id, ...(await perform(request)) }));
  } catch (error) {
    console.log(JSON.stringify({ id: request.id, error: (error as Error).message }));
  }
}
await serf?.[Symbol.asyncDispose]();

async function perform({ cmd, name = '', keys, target = '' }: Request): Promise<Record<string, unknown>> {
  switch (cmd) {
    case 'open':
      serf = await openSerf({
        ...(await ourOptions(name, keys)),
        log: ({ level, code, text }) => console.error(`[${level}] ${code}: ${text}`),
      });
      return { port: serf.local().port };
    case 'join':
      return { joined: (await serf!.join([target])).joined };
  }
}
