/**
 * config-commands.ts: `fed config write|read|list|delete`: config entries from files and back.
 *
 * The words, flags and files of the original's command: a file is JSON or HCL, `-` stands for the standard input.
 * Source: Consul command/config (v1.10.1).
 */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { HclError, type HclMap, type HclValue, parseHcl } from '../config/hcl.ts';
import { asking, withDatacenter } from './client-flags.ts';
import { ClientError } from './http-client.ts';

type Print = (text: string) => void;
interface EntryJson {
  readonly Kind: string;
  readonly Name: string;
}

export function addConfigCommands(program: Command, print: Print): void {
  const config = program.command('config').description('what is said of services as a whole: config entries');
  withDatacenter(
    config
      .command('write <file>')
      .description('create or replace one from a file of JSON or HCL; - is stdin'),
  )
    .option('--cas', 'only if nobody wrote since --modify-index')
    .option(
      '--modify-index <n>',
      'with --cas: what was read as ModifyIndex; 0: only if there is none yet',
      '0',
    )
    .action(
      asking(async (client, flags, [file]) => {
        const document = documentIn(file as string);
        const { kind, name } = await entryIn(file as string, document);
        const query = flags['cas'] === true ? { cas: String(flags['modifyIndex']) } : {};
        const body = Buffer.from(JSON.stringify(document));
        if (!(await client.putFor<boolean>('/v1/config', query, body)))
          throw new ClientError(
            `Config entry not updated: ${kind}/${name}; somebody wrote it meanwhile: read it again, its ModifyIndex is another`,
          );
        print(`Config entry written: ${kind}/${name}`);
      }),
    );
  named(config.command('read').description('show one, as JSON')).action(
    asking(async (client, flags) => print(JSON.stringify(await client.get(pathOf(flags)), undefined, 4))),
  );
  withDatacenter(config.command('list').description('list the names of a kind'))
    .requiredOption('--kind <kind>', 'such as service-resolver')
    .action(
      asking(async (client, flags) => {
        const path = `/v1/config/${encodeURIComponent(String(flags['kind']))}`;
        for (const { Name, Kind } of await client.get<readonly EntryJson[]>(path)) print(Name ?? Kind);
      }),
    );
  named(config.command('delete').description('delete one'))
    .option('--cas', 'only if nobody wrote since --modify-index')
    .option('--modify-index <n>', 'with --cas: what was read as ModifyIndex')
    .action(
      asking(async (client, flags) => {
        if ((flags['cas'] === true) !== (flags['modifyIndex'] !== undefined))
          throw new ClientError('--cas and --modify-index belong together');
        const query = flags['cas'] === true ? { cas: String(flags['modifyIndex']) } : {};
        const what = `${String(flags['kind'])}/${String(flags['name'])}`;
        if ((await client.sendFor<unknown>('DELETE', pathOf(flags), query)) === false)
          throw new ClientError(
            `Config entry not deleted: ${what}; somebody wrote it meanwhile, or it is not there`,
          );
        print(`Config entry deleted: ${what}`);
      }),
    );
}

function named(command: Command): Command {
  return withDatacenter(command)
    .requiredOption('--kind <kind>', 'such as service-resolver')
    .requiredOption('--name <name>', 'such as web');
}

function pathOf(flags: Readonly<Record<string, unknown>>): string {
  const [kind, name] = [flags['kind'], flags['name']].map((part) => encodeURIComponent(String(part)));
  return `/v1/config/${kind}/${name}`;
}

/** What is in the file, blocks of HCL as plain maps. Throws ClientError naming file and line. */
function documentIn(file: string): unknown {
  const text = textOf(file);
  if (/^\s*\{/.test(text)) {
    try {
      return JSON.parse(text) as unknown;
    } catch (cause) {
      throw new ClientError(`${nameOf(file)}: ${(cause as Error).message}`, { cause });
    }
  }
  try {
    return unwrapped(parseHcl(text).root);
  } catch (cause) {
    if (!(cause instanceof HclError)) throw cause;
    throw new ClientError(`${nameOf(file)}: ${cause.message}`, { cause });
  }
}

/** Refused here rather than by a server, because only here the file has a name. */
async function entryIn(
  file: string,
  document: unknown,
): Promise<{ readonly kind: string; readonly name: string }> {
  // Loaded when it is needed: other commands start faster without the fields of all entries.
  const { decodeConfigEntry } = await import('../config-entries/decode.ts');
  const { ConfigEntryError } = await import('../config-entries/errors.ts');
  try {
    return decodeConfigEntry(document);
  } catch (cause) {
    if (!(cause instanceof ConfigEntryError)) throw cause;
    throw new ClientError(`${nameOf(file)}: ${cause.message}`, { cause });
  }
}

function textOf(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (cause) {
    throw new ClientError(`${nameOf(file)}: cannot be read (${(cause as NodeJS.ErrnoException).code})`, {
      cause,
    });
  }
}

const nameOf = (file: string): string => (file === '-' ? 'the standard input' : file);

/** A block is a list of one map; what is a list of several stays one. */
function unwrapped(value: HclValue): HclValue {
  if (Array.isArray(value)) {
    const items = value as readonly HclValue[];
    const [only] = items;
    if (items.length === 1 && isMap(only)) return unwrapped(only);
    return items.map(unwrapped);
  }
  if (!isMap(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, unwrapped(item)]));
}

function isMap(value: HclValue | undefined): value is HclMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
