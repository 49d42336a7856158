/**
 * writer.ts: a process with many writers on one log, which prints what each was told: `a INDEX TEXT` for acknowledged,
 * `r TEXT` for refused, `u TEXT` for an outcome that is open. It never ends by itself: rounds.ts kills it, or a fault point does.
 */
import { LogError } from '../../src/log/errors.ts';
import { nodeFs } from '../../src/log/fs.ts';
import { openEmbeddedLog } from '../../src/log/open.ts';
import { seededRng } from '../chance.ts';
import { type Faults, faultFs } from './fault-fs.ts';
import { Journal } from './journal.ts';

export interface WriterOrder {
  readonly dir: string;
  readonly round: number;
  readonly writers: number;
  readonly seed: number;
  readonly faults: Faults;
}

const order = JSON.parse(process.argv[2] ?? '') as WriterOrder;
const rng = seededRng(order.seed);
const fs = faultFs(nodeFs, order.faults, rng);
const log = await openEmbeddedLog({
  ...new Journal().hooks,
  dir: order.dir,
  fs,
  segmentBytesMax: 20_000,
  compactAfterBytes: 30_000,
}).catch((error: unknown) => {
  // A disk that fails while the log is opened: there is nothing to write on.
  if (!(error instanceof LogError)) throw error;
  process.kill(process.pid, 'SIGKILL');
  throw error;
});

const told = { log_outcome_unknown: 'u' } as const;
async function write(writer: number): Promise<never> {
  for (let n = 0; ; n++) {
    const text = `${order.round}-${writer}-${n}-${'x'.repeat(rng.below(12) === 0 ? 2000 : rng.below(80))}`;
    try {
      const { index } = await log.append(Buffer.from(text));
      process.stdout.write(`a ${index} ${text}\n`);
    } catch (error) {
      if (!(error instanceof LogError)) throw error;
      process.stdout.write(
        `${error.code === 'log_outcome_unknown' ? told.log_outcome_unknown : 'r'} ${text}\n`,
      );
    }
  }
}
await Promise.all(Array.from({ length: order.writers }, (_, writer) => write(writer)));
