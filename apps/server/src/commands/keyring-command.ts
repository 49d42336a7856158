/**
 * keyring-command.ts: `fed keyring`: the gossip keys of all datacenters: shown, installed, used, removed.
 */
import type { Command } from 'commander';
import { asking, withServer } from './client-flags.ts';
import { type Client, ClientError } from './http-client.ts';

interface RingJson {
  readonly WAN: boolean;
  readonly Datacenter: string;
  readonly Keys: Readonly<Record<string, number>>;
  readonly PrimaryKeys: Readonly<Record<string, number>>;
  readonly NumNodes: number;
}

const path = '/v1/operator/keyring';
/** In the original's words. */
const changes = [
  ['install', 'POST', '==> Installing new gossip encryption key...'],
  ['use', 'PUT', '==> Changing primary gossip encryption key...'],
  ['remove', 'DELETE', '==> Removing gossip encryption key...'],
] as const;

export function addKeyringCommand(program: Command, print: (text: string) => void): void {
  withServer(program.command('keyring').description('look at and change the keys gossip is encrypted with'))
    .option('--list', 'all keys, and how many members have each')
    .option('--list-primary', 'the keys that messages are encrypted with')
    .option('--install <key>', 'give every member a further key, in base64')
    .option('--use <key>', 'encrypt with this key from now on')
    .option('--remove <key>', 'take a key away from every member')
    .option('--local-only', 'with --list: only the pool of this datacenter')
    .option('--relay-factor <n>', 'have answers relayed by so many other members, 0 to 5')
    .action(
      asking(async (client, flags) => {
        const asked = ['list', 'listPrimary', 'install', 'use', 'remove'].filter(
          (name) => flags[name] !== undefined,
        );
        if (asked.length !== 1)
          throw new ClientError(
            'say one of --list, --list-primary, --install KEY, --use KEY and --remove KEY',
          );
        const query = { 'relay-factor': flags['relayFactor'] as string | undefined };
        const change = changes.find(([name]) => name === asked[0]);
        if (change === undefined) {
          const localOnly = flags['localOnly'] === true ? 'true' : undefined;
          return show(client, { ...query, 'local-only': localOnly }, asked[0] === 'listPrimary', print);
        }
        const [name, method, words] = change;
        print(words);
        await client.send(method, path, query, Buffer.from(JSON.stringify({ Key: flags[name] })));
      }),
    );
}

async function show(
  client: Client,
  query: Readonly<Record<string, string | undefined>>,
  primary: boolean,
  print: (text: string) => void,
): Promise<void> {
  print(`==> Gathering installed ${primary ? 'primary ' : ''}encryption keys...`);
  for (const ring of await client.get<readonly RingJson[]>(path, query)) {
    print(`\n${ring.WAN ? 'WAN' : `${ring.Datacenter} (LAN)`}:`);
    for (const [key, count] of Object.entries(primary ? ring.PrimaryKeys : ring.Keys))
      print(`  ${key} [${count}/${ring.NumNodes}]`);
  }
}
