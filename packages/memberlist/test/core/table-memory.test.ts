/**
 * table-memory.test.ts: what a known member takes. A table may have 131,072 of them (I5), so it is held to a number.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { lan } from '../../src/config.ts';
import { Agenda } from '../../src/core/agenda.ts';
import { Awareness } from '../../src/core/awareness.ts';
import type { BroadcastQueue } from '../../src/core/broadcast-queue.ts';
import type { Due } from '../../src/core/event.ts';
import { Members } from '../../src/core/members.ts';

const rows = 20_000;
/** 270 as measured; a typed array or a kept snapshot more in each row would show. */
const rowBytesMax = 350;

function liveBytes(): number {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  gc();
  gc(); // array buffers of the first are swept by now
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

test.each([0, 200, 512])(
  'a row with %i bytes of meta takes little more than its name and meta',
  (metaBytes) => {
    const vsn = Uint8Array.of(1, 5, 2, 0, 0, 0);
    const members = new Members({
      name: 'self',
      addr: Uint8Array.of(10, 0, 0, 1),
      port: 7946,
      vsn,
      config: lan,
      rng: { below: (n) => n - 1 },
      agenda: new Agenda<Due>(),
      awareness: new Awareness(8),
      queue: { add: () => {} } as unknown as BroadcastQueue,
      policy: {},
      emit: () => {},
    });
    const before = liveBytes();
    for (let i = 0; i < rows; i++) {
      const addr = Uint8Array.of(10, i >> 16, i >> 8, i);
      const meta = new Uint8Array(metaBytes).fill(i);
      members.alive({ kind: 'alive', incarnation: 1, node: `node-${i}`, addr, port: 7946, meta, vsn }, i);
    }
    const each = (liveBytes() - before) / rows;
    expect(members.size).toBe(rows);
    expect(each - metaBytes).toBeLessThan(rowBytesMax);
  },
);
