/**
 * xds-commands.ts: `fed xds clients|dump`: the gateways that are connected to a server, and what they have.
 */
import type { Command } from 'commander';
import { asking, withServer } from './client-flags.ts';
import { table } from './http-client.ts';

interface TypeJson {
  readonly held?: number;
  readonly pendingMs?: number;
  readonly nacks: number;
}

interface ClientJson {
  readonly nodeId?: string;
  readonly userAgent?: string;
  readonly peer: string;
  readonly mode: string;
  readonly ageMs: number;
  readonly registered?: boolean;
  readonly types: Readonly<Record<string, TypeJson>>;
  readonly lastError?: string;
}

interface DumpJson {
  readonly nodeId?: string;
  readonly peer: string;
  readonly resources: Readonly<
    Record<string, readonly { readonly name: string; readonly state: string; readonly version?: string }[]>
  >;
}

/** As in ADS, what refers to something comes after it. */
const columns = ['Cluster', 'ClusterLoadAssignment', 'Listener'] as const;
const versionShown = 12;

export function addXdsCommands(program: Command, print: (text: string) => void): void {
  const xds = program.command('xds').description('the gateways configured by a server');
  withServer(xds.command('clients').description('list them: age, what they have, the last error')).action(
    asking(async (client) =>
      print(clientsTable(await client.get<readonly ClientJson[]>('/v1/agent/xds/clients'))),
    ),
  );
  withServer(
    xds
      .command('dump [gateway]')
      .description('what each has, resource by resource, beside what it should have'),
  )
    .option('--json', 'with the resources themselves')
    .action(
      asking(async (client, flags, [gateway]) => {
        const dump = await client.get<readonly DumpJson[]>('/v1/agent/xds/dump', { gateway });
        print(flags['json'] === true ? JSON.stringify(dump, undefined, 2) : dumpTable(dump));
      }),
    );
}

export function clientsTable(clients: readonly ClientJson[]): string {
  return table([
    [
      'Gateway',
      'Program',
      'Peer',
      'Age',
      'Registered',
      'Clusters',
      'Endpoints',
      'Listeners',
      'State',
      'Last error',
    ],
    ...clients.map((c) => [
      c.nodeId ?? '?',
      c.mode === 'delta' ? (c.userAgent ?? '?') : `${c.userAgent ?? '?'} (${c.mode})`,
      c.peer,
      seconds(c.ageMs),
      c.registered === true ? 'yes' : 'no',
      ...columns.map((type) => String(c.types[type]?.held ?? '-')),
      state(c.types),
      c.lastError ?? '',
    ]),
  ]);
}

function state(types: ClientJson['types']): string {
  const waits = Object.values(types).map(({ pendingMs }) => pendingMs ?? -1);
  const longest = Math.max(-1, ...waits);
  return longest < 0 ? 'settled' : `unanswered for ${seconds(longest)}`;
}

export function dumpTable(dump: readonly DumpJson[]): string {
  return table([
    ['Gateway', 'Type', 'Name', 'State', 'Version'],
    ...dump.flatMap(({ nodeId, resources }) =>
      Object.entries(resources).flatMap(([type, rows]) =>
        rows.map(({ name, state, version = '' }) => [
          nodeId ?? '?',
          type,
          name,
          state,
          version.slice(0, versionShown),
        ]),
      ),
    ),
  ]);
}

function seconds(ms: number): string {
  const whole = Math.round(ms / 1000);
  if (whole < 120) return `${whole}s`;
  return whole < 7_200 ? `${Math.round(whole / 60)}m` : `${Math.round(whole / 3_600)}h`;
}
