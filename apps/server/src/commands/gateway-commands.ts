/**
 * gateway-commands.ts: taking a gateway out of service without cutting somebody off, and putting it back.
 *
 * A gateway that is drained turns critical: servers and other gateways use the others from then on, here and abroad, while
 * what it carries goes on until the gateway is stopped. If there are no others, that is refused.
 * Lives here: the judgement and its words. Must not live here: what a critical gateway means to others (the locator, xDS).
 */
import type { Command } from 'commander';
import type { FederationView } from '../status/federation-view.ts';
import { asking, withServer } from './client-flags.ts';
import { type Client, ClientError } from './http-client.ts';

export interface DrainedGateway {
  readonly Service: { readonly ID: string; readonly Meta: Readonly<Record<string, string>> | null };
  readonly Checks: readonly { readonly Status: string }[] | null;
}

const carries = ({ Service, Checks }: DrainedGateway): boolean =>
  Service.Meta?.['consul-wan-federation'] === '1' &&
  (Checks ?? []).every(({ Status }) => Status !== 'critical');

/** Why this gateway should not be drained; undefined: it may be. `gateways`: all of its datacenter. */
export function whyNotDrain(
  id: string,
  gateways: readonly DrainedGateway[],
  { datacenter, datacenters }: Pick<FederationView, 'datacenter' | 'datacenters'>,
): string | undefined {
  const gateway = gateways.find(({ Service }) => Service.ID === id);
  if (gateway === undefined) {
    const known = gateways.map(({ Service }) => Service.ID).join(', ') || 'none';
    return `${datacenter} has no mesh gateway '${id}'; known are: ${known}`;
  }
  if (!carries(gateway) || gateways.some((other) => other !== gateway && carries(other))) return undefined;
  const cutOff = Object.entries(datacenters)
    .filter(([name, row]) => name !== datacenter && row.members.alive > 0)
    .map(([name]) => name);
  if (cutOff.length === 0) return undefined;
  return `'${id}' is the last healthy gateway of ${datacenter}: without it ${cutOff.join(', ')} cannot reach ${datacenter}, nor it them. Start another one first, or say --force`;
}

export function addGatewayCommands(program: Command, print: (text: string) => void): void {
  const gateway = program
    .command('gateway')
    .description('take a mesh gateway of this datacenter out of service');
  withServer(gateway.command('drain <id>').description('have everybody use the others, before it is stopped'))
    .option('--force', 'even if it is the last one')
    .action(
      asking(async (client, flags, [id]) => {
        const why = await judged(client, id as string);
        if (why !== undefined && flags['force'] !== true) throw new ClientError(why);
        if (why !== undefined) process.stderr.write(`warning: ${why}\n`);
        await maintain(client, id as string, true);
        print(`'${id}' is drained: new connections avoid it; stop it once those it carries are over`);
      }),
    );
  withServer(gateway.command('resume <id>').description('put a drained gateway back into service')).action(
    asking(async (client, _flags, [id]) => {
      await maintain(client, id as string, false);
      print(`'${id}' is in service again`);
    }),
  );
}

async function judged(client: Client, id: string): Promise<string | undefined> {
  const [federation, gateways] = await Promise.all([
    client.get<FederationView>('/v1/agent/federation'),
    client.get<readonly DrainedGateway[]>('/v1/health/service/mesh-gateway'),
  ]);
  return whyNotDrain(id, gateways, federation);
}

async function maintain(client: Client, id: string, on: boolean): Promise<void> {
  const path = `/v1/agent/service/maintenance/${encodeURIComponent(id)}`;
  await client.put(path, { enable: String(on), ...(on && { reason: 'drained by an operator' }) });
}
