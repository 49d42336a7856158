/**
 * client-commands.ts: the commands that ask a running server over HTTP and print what it says.
 */
import type { Command } from 'commander';
import type { FederationView } from '../status/federation-view.ts';
import { asking, withDatacenter, withServer } from './client-flags.ts';
import { explanationText, federationText } from './federation-text.ts';
import { ClientError, table } from './http-client.ts';

interface MemberJson {
  readonly Name: string;
  readonly Addr: string;
  readonly Port: number;
  readonly Status: number;
  readonly Tags: Readonly<Record<string, string>>;
  readonly ProtocolCur: number;
}

interface GatewayJson {
  readonly Node: { readonly Node: string };
  readonly Service: {
    readonly ID: string;
    readonly Address: string;
    readonly Port: number;
    readonly Meta: Readonly<Record<string, string>> | null;
    readonly TaggedAddresses?: Readonly<Record<string, { readonly Address: string; readonly Port: number }>>;
  };
  readonly Checks: readonly { readonly Status: string }[] | null;
}

interface FederationStateJson {
  readonly Datacenter: string;
  readonly MeshGateways?: readonly GatewayJson[];
  readonly UpdatedAt: string;
  readonly PrimaryModifyIndex: number;
}

/** The original answers with nothing. */
interface ReloadJson {
  readonly Changed?: readonly string[];
  readonly NeedRestart?: readonly string[];
}

const statusNames = ['none', 'alive', 'leaving', 'left', 'failed'];

export function addClientCommands(program: Command, print: Print): void {
  addMembers(program, print);
  addCatalog(program, print);
  addFederationState(program, print);
  addServer(program, print);
}

type Print = (text: string) => void;

function addMembers(program: Command, print: Print): void {
  withServer(program.command('members').description('list the members of a gossip pool'))
    .option('--wan', 'the pool of servers of all datacenters, instead of the local one')
    .option('--detailed', 'show all tags')
    .option('--status <regex>', 'only members whose status matches', '.*')
    .action(
      asking(async (client, flags) => {
        const members = await client.get<readonly MemberJson[]>('/v1/agent/members', {
          wan: flags['wan'] === true ? '1' : undefined,
        });
        const wanted = new RegExp(`^(?:${String(flags['status'])})$`);
        const shown = members
          .filter((m) => wanted.test(statusNames[m.Status] ?? ''))
          .sort((a, b) => (a.Name < b.Name ? -1 : 1));
        if (shown.length === 0) {
          process.exitCode = 2;
          return;
        }
        const address = (m: MemberJson): string =>
          `${m.Addr.includes(':') ? `[${m.Addr}]` : m.Addr}:${m.Port}`;
        print(
          flags['detailed'] === true
            ? table([
                ['Node', 'Address', 'Status', 'Tags'],
                ...shown.map((m) => [
                  m.Name,
                  address(m),
                  statusNames[m.Status] ?? '',
                  Object.entries(m.Tags)
                    .map(([key, value]) => `${key}=${value}`)
                    .join(','),
                ]),
              ])
            : table([
                ['Node', 'Address', 'Status', 'Type', 'Build', 'Protocol', 'DC', 'Segment'],
                ...shown.map((m) => [
                  m.Name,
                  address(m),
                  statusNames[m.Status] ?? '',
                  m.Tags['role'] === 'consul' ? 'server' : 'client',
                  (m.Tags['build'] ?? '').split(':')[0] ?? '',
                  m.Tags['vsn'] ?? '',
                  m.Tags['dc'] ?? '',
                  m.Tags['segment'] || '<all>',
                ]),
              ]),
        );
      }),
    );
}

function addCatalog(program: Command, print: Print): void {
  const catalog = program.command('catalog').description('what is registered, here or in another datacenter');
  withServer(catalog.command('datacenters').description('list the datacenters, nearest first')).action(
    asking(async (client) =>
      print((await client.get<readonly string[]>('/v1/catalog/datacenters')).join('\n')),
    ),
  );
  withDatacenter(catalog.command('nodes').description('list nodes')).action(
    asking(async (client) => {
      const nodes =
        await client.get<readonly { Node: string; ID: string; Address: string; Datacenter: string }[]>(
          '/v1/catalog/nodes',
        );
      print(
        table([
          ['Node', 'ID', 'Address', 'DC'],
          ...nodes.map((n) => [n.Node, n.ID.slice(0, 8), n.Address, n.Datacenter]),
        ]),
      );
    }),
  );
  withDatacenter(catalog.command('services').description('list service names')).action(
    asking(async (client) =>
      print(
        Object.keys(await client.get<Record<string, unknown>>('/v1/catalog/services'))
          .sort()
          .join('\n'),
      ),
    ),
  );
}

function addFederationState(program: Command, print: Print): void {
  const states = program.command('federation-state').description('what each datacenter says of its gateways');
  withDatacenter(states.command('list').description('list all federation states')).action(
    asking(async (client) => {
      const rows = await client.get<readonly FederationStateJson[]>('/v1/internal/federation-states');
      print(
        table([
          ['DC', 'Gateways', 'Healthy', 'Index', 'Updated'],
          ...rows.map((row) => {
            const gateways = row.MeshGateways ?? [];
            return [
              row.Datacenter,
              String(gateways.length),
              String(gateways.filter(healthy).length),
              String(row.PrimaryModifyIndex),
              row.UpdatedAt,
            ];
          }),
        ]),
      );
    }),
  );
  withDatacenter(
    states.command('read <name>').description('show the federation state of one datacenter as JSON'),
  ).action(
    asking(async (client, _flags, [name]) =>
      print(
        JSON.stringify(
          await client.get(`/v1/internal/federation-state/${encodeURIComponent(name as string)}`),
          undefined,
          4,
        ),
      ),
    ),
  );
  withServer(states.command('delete <name>').description('forget a datacenter that is gone for good'))
    .option('--force', 'even if servers of it are alive: they write it again at once')
    .action(
      asking(async (client, flags, [name]) => {
        const { datacenters } = await client.get<FederationView>('/v1/agent/federation');
        const alive = datacenters[name as string]?.members.alive ?? 0;
        if (alive > 0 && flags['force'] !== true)
          throw new ClientError(
            `${alive} server(s) of ${name} are alive and would write the record again at once; have them leave first, or say --force`,
          );
        await client.send('DELETE', `/v1/internal/federation-state/${encodeURIComponent(name as string)}`);
        print(`the federation state of ${name} is deleted`);
      }),
    );
  withDatacenter(states.command('gateways').description('list the mesh gateways of all datacenters')).action(
    asking(async (client) => {
      const all = await client.get<Record<string, readonly GatewayJson[]>>(
        '/v1/internal/federation-states/mesh-gateways',
      );
      const rows = Object.entries(all).flatMap(([dc, gateways]) =>
        gateways.map((g) => {
          const wan = g.Service.TaggedAddresses?.['wan'];
          return [
            dc,
            g.Service.ID,
            g.Node.Node,
            `${g.Service.Address}:${g.Service.Port}`,
            wan === undefined ? '' : `${wan.Address}:${wan.Port || g.Service.Port}`,
            healthy(g) ? 'healthy' : 'critical',
            g.Service.Meta?.['consul-wan-federation'] === '1' ? 'yes' : 'no',
          ];
        }),
      );
      print(table([['DC', 'Gateway', 'Node', 'LAN', 'WAN', 'Health', 'Exposes servers'], ...rows]));
    }),
  );
}

/** About the server itself. */
function addServer(program: Command, print: Print): void {
  withServer(program.command('info').description('show how the server fares'))
    .option('--federation', 'one line per datacenter instead, and what is to be mended')
    .action(
      asking(async (client, flags) => {
        if (flags['federation'] === true) {
          print(federationText(await client.get<FederationView>('/v1/agent/federation')));
          return;
        }
        const { Stats } = await client.get<{ Stats: Record<string, Record<string, unknown>> }>(
          '/v1/agent/self',
        );
        print(
          Object.entries(Stats)
            .map(([section, values]) =>
              [
                `${section}:`,
                ...Object.entries(values).map(([key, value]) => `\t${key} = ${String(value)}`),
              ].join('\n'),
            )
            .join('\n'),
        );
      }),
    );
  withServer(
    program
      .command('explain <datacenter>')
      .description('show how a datacenter is reached, or what stands in the way')
      .option('--json', 'all that is known, as JSON'),
  ).action(
    asking(async (client, flags, [datacenter]) => {
      const { datacenters } = await client.get<FederationView>('/v1/agent/federation');
      const one = datacenters[datacenter as string];
      if (one === undefined)
        throw new Error(
          `datacenter '${datacenter}' was never heard of; known are: ${Object.keys(datacenters).join(', ')}`,
        );
      if (flags['json'] === true) print(JSON.stringify(one, undefined, 2));
      else print(explanationText(datacenter as string, one));
    }),
  );
  withServer(
    program.command('leave').description('leave the federation gracefully and stop the server'),
  ).action(
    asking(async (client) => {
      await client.put('/v1/agent/leave');
      print('Graceful leave complete');
    }),
  );
  withServer(program.command('force-leave <node>').description('declare a failed member to have left'))
    .option('--prune', 'forget it at once')
    .option('--wan', 'a member of the WAN pool, as <node>.<datacenter>')
    .action(
      asking((client, flags, [node]) =>
        client.put(`/v1/agent/force-leave/${encodeURIComponent(node as string)}`, {
          prune: flags['prune'] === true ? '1' : undefined,
          wan: flags['wan'] === true ? '1' : undefined,
        }),
      ),
    );
  withServer(program.command('join <address...>').description('join other servers of this datacenter'))
    .option('--wan', 'join the WAN pool')
    .action(
      asking(async (client, flags, addresses) => {
        let joined = 0;
        for (const address of addresses)
          try {
            await client.put(`/v1/agent/join/${encodeURIComponent(address)}`, {
              wan: flags['wan'] === true ? '1' : undefined,
            });
            joined++;
          } catch (error) {
            process.stderr.write(`Error joining address '${address}': ${(error as Error).message}\n`);
          }
        if (joined === 0) throw new Error('Failed to join any nodes.');
        print(`Successfully joined cluster by contacting ${joined} nodes.`);
      }),
    );
  withServer(
    program.command('reload').description('make the server read its configuration and certificates again'),
  ).action(
    asking(async (client) => {
      const { Changed, NeedRestart } = await client.putFor<ReloadJson>('/v1/agent/reload');
      print('Configuration reload triggered');
      for (const key of Changed ?? []) print(`changed: ${key}`);
      for (const key of NeedRestart ?? []) print(`needs a restart: ${key}`);
    }),
  );
}

function healthy(gateway: GatewayJson): boolean {
  return (gateway.Checks ?? []).every((check) => check.Status !== 'critical');
}
