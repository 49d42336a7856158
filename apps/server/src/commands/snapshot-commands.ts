/**
 * snapshot-commands.ts: `fed snapshot`: the state of a datacenter as a file, back again, and what such a file holds.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import { asking, withServer } from './client-flags.ts';
import { ClientError } from './http-client.ts';

export function addSnapshotCommands(program: Command, print: (text: string) => void): void {
  const snapshot = program.command('snapshot').description('the state of a datacenter as a file');

  withServer(snapshot.command('save <file>').description('save the state'))
    .option('--stale', 'without asking the leader whether it still leads')
    .action(
      asking(async (client, flags, [file]) => {
        const bytes = await client.bytes('/v1/snapshot', {
          stale: flags['stale'] === true ? '1' : undefined,
        });
        const { readArchive } = await import('../snapshot/archive.ts');
        const { meta } = await readArchive(bytes);
        // Under its name there is never half a snapshot, and nobody else may read the keys in it.
        writeFileSync(`${file}.unverified`, bytes, { mode: 0o600 });
        renameSync(`${file}.unverified`, file as string);
        print(`Saved and verified snapshot to index ${meta.Index}`);
      }),
    );
  withServer(
    snapshot.command('restore <file>').description('put a saved state in the place of the present one'),
  ).action(
    asking(async (client, _flags, [file]) => {
      await client.put('/v1/snapshot', {}, read(file as string));
      print('Restored snapshot');
    }),
  );
  snapshot
    .command('inspect <file>')
    .description('show what a saved state holds')
    .action(async (file: string) => {
      const { readArchive } = await import('../snapshot/archive.ts');
      const { inspect } = await import('../snapshot/inspect.ts');
      const { meta, state } = await readArchive(read(file));
      print(inspect(meta, state));
    });
}

function read(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new ClientError(`${file}: cannot be read (${(error as NodeJS.ErrnoException).code})`, {
      cause: error,
    });
  }
}
