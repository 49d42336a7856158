/**
 * binds.ts: on which addresses a gateway listens.
 *
 * The registered address by default, all tagged addresses if asked, any others the operator names. Two names for one
 * address and port would be two sockets where only one can be opened: the first name in order keeps it.
 * Lives here: the choice. Must not live here: what is served there (listeners.ts).
 * Source: Consul agent/xds/listeners.go (makeGatewayListener, mesh gateway addresses).
 */
import type { HostPort, Notice } from '../ports.ts';
import { order } from './instances.ts';
import type { GatewayOptions } from './options.ts';
import type { GatewayRegistration } from './world.ts';

/** An address to listen on. `name` tells binds apart ('default', 'lan', 'wan', or the operator's own). */
export interface Bind extends HostPort {
  readonly name: string;
}

export function listenerBinds(
  gateway: GatewayRegistration,
  options: GatewayOptions,
): { binds: readonly Bind[]; notices: readonly Notice[] } {
  const asked: Bind[] = [];
  if (!options.noDefaultBind)
    asked.push({
      name: 'default',
      host: gateway.Address === '' ? '0.0.0.0' : gateway.Address,
      port: gateway.Port,
    });
  if (options.bindTaggedAddresses)
    for (const [name, { Address, Port }] of Object.entries(gateway.TaggedAddresses ?? {}))
      asked.push({ name, host: Address, port: Port });
  for (const [name, { host, port }] of options.bindAddresses) asked.push({ name, host, port });

  const taken = new Set<string>();
  const binds = asked
    .toSorted((a, b) => order(a.name, b.name))
    .filter(({ host, port }) => {
      const key = `${host} ${port}`;
      if (taken.has(key)) return false;
      taken.add(key);
      return true;
    });
  const notices: Notice[] = [];
  if (binds.length === 0)
    notices.push({
      level: 'warn',
      code: 'nothing_to_bind',
      text: `gateway ${gateway.ID} listens nowhere: the default bind is off and no other address is configured`,
    });
  for (const { name, host, port } of binds)
    if (isWildcard(host) && binds.some((b) => b.port === port && b.host !== host))
      notices.push({
        level: 'warn',
        code: 'overlapping_binds',
        text: `listener ${name} on ${host}:${port} overlaps a more specific address with the same port; change one`,
      });
  return { binds, notices };
}

function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}
