/** A process that appends as fast as it can and prints each acknowledged index; run by kill.test.ts, which kills it. */
import { openFsm } from '../src/fsm.ts';
import { embeddedLog } from '../src/log/open.ts';
import { newFederationState } from '../src/new-row.ts';

const [dir = '', writers = '1'] = process.argv.slice(2);
const fsm = await openFsm({
  engine: embeddedLog({ dir, segmentBytesMax: 20_000, compactAfterBytes: 60_000 }),
});
process.stdout.write(`open ${fsm.stats().appliedIndex}\n`);

async function write(writer: number): Promise<never> {
  for (let n = 0; ; n++) {
    const Datacenter = `dc-${process.pid}-${writer}-${n % 20}`;
    const { index } = await fsm.apply({
      type: 'federationState',
      op: 'upsert',
      state: newFederationState({ Datacenter }),
    });
    process.stdout.write(`${index} ${Datacenter}\n`);
  }
}
await Promise.all(Array.from({ length: Number(writers) }, (_, writer) => write(writer)));
