/**
 * open.ts: opens a serf, or nothing.
 *
 * Lives here: checking what was given, closing everything again when something fails. Must not live here: the rest.
 */
import type { Serf, SerfOptions } from './api.ts';
import { checkConfig, defaults, refuseName } from './config.ts';
import { SerfError } from './errors.ts';
import { RunningSerf } from './serf.ts';
import { SnapshotFile } from './snapshot-file.ts';

/**
 * Opens a serf on `transport`, which it owns from then on. With a snapshot it comes back into its pool by itself.
 * @throws SerfError 'bad_config' | 'bad_name' | 'tags_too_large', MemberlistError 'bad_config'
 */
export async function openSerf(o: SerfOptions): Promise<Serf> {
  let serf: RunningSerf | undefined;
  let snapshot: SnapshotFile | undefined;
  try {
    const config = checkConfig({ ...defaults, ...o.config });
    const badName = config.validateNodeNames ? refuseName(o.name) : undefined;
    if (badName !== undefined) throw new SerfError('bad_name', badName);
    const { snapshotPath, rejoinAfterLeave } = config;
    if (snapshotPath !== undefined)
      snapshot = await SnapshotFile.open(snapshotPath, { rejoinAfterLeave, log: o.log ?? (() => {}) });
    serf = new RunningSerf(o, config, snapshot);
    await serf.start();
    return serf;
  } catch (cause) {
    if (serf !== undefined) await serf[Symbol.asyncDispose]();
    else await Promise.all([o.transport[Symbol.asyncDispose](), snapshot?.[Symbol.asyncDispose]()]);
    throw cause;
  }
}
