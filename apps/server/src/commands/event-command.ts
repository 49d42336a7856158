/**
 * event-command.ts: `fed event`: tells the nodes of a datacenter that something has happened.
 */
import type { Command } from 'commander';
import { asking, withDatacenter } from './client-flags.ts';

export function addEventCommand(program: Command, print: (text: string) => void): void {
  withDatacenter(
    program.command('event [payload]').description('fire an event, which all nodes that are meant hear of'),
  )
    .requiredOption('--name <name>', 'what has happened')
    .option('--node <pattern>', 'only nodes whose name matches')
    .option('--service <pattern>', 'only nodes with a service that matches')
    .option('--tag <pattern>', 'only where such a service has a tag that matches')
    .action(
      asking(async (client, flags, [payload]) => {
        const pattern = (name: string): string | undefined => flags[name] as string | undefined;
        const { ID } = await client.putFor<{ readonly ID: string }>(
          `/v1/event/fire/${encodeURIComponent(String(flags['name']))}`,
          { node: pattern('node'), service: pattern('service'), tag: pattern('tag') },
          payload === undefined ? undefined : Buffer.from(payload),
        );
        print(`Event ID: ${ID}`);
      }),
    );
}
