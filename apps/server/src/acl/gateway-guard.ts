/**
 * gateway-guard.ts: who may be told what a gateway must do: a token that may write the gateway's own service.
 *
 * A gateway without the right sees what one sees that nobody registered. Source: Consul agent/xds/delta.go (authorize).
 */
import type { GatewayWorld } from '@fed/xds';
import { type Access, AccessError } from './access.ts';

type Watch = (
  node: { readonly id: string; readonly token?: string },
  onWorld: (world: GatewayWorld | undefined) => void,
) => Disposable;

export function guardingGateways(watch: Watch, access: Access, refused: (text: string) => void): Watch {
  if (!access.enabled) return watch;
  return (node, onWorld) => {
    let told = false;
    const refuse = (text: string): void => {
      if (!told) refused(`gateway '${node.id}' is told nothing: ${text}`);
      told = true;
      onWorld(undefined);
    };
    return watch(node, (world) => {
      if (world === undefined) return onWorld(undefined);
      try {
        const who = access.authorizer(node.token ?? '');
        if (who.may('service', world.gateway.Service, 'write')) return onWorld(world);
        return refuse(`its token lacks service:write on '${world.gateway.Service}'`);
      } catch (error) {
        if (!(error instanceof AccessError)) throw error;
        return refuse(error.message);
      }
    });
  };
}
