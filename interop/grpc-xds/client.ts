/**
 * client.ts: gRPC's own xDS client (npm @grpc/grpc-js-xds), asked for single resources.
 *
 * Its public door resolves gRPC targets, which no passthrough gateway has; so it is entered one door further in, where the
 * same client asks, judges and answers. Lives here: those few inner names. Must not live here: what is expected.
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { program } from '../lib/peers.ts';

interface Inner {
  readonly getSingletonXdsClient: () => object;
  readonly Watcher: new (heard: Heard) => object;
}
interface ResourceType {
  startWatch(client: object, name: string, watcher: object): void;
}
interface Heard {
  readonly onResourceChanged: (resource: unknown) => void;
  readonly onError: (status: { readonly details: string }) => void;
  readonly onResourceDoesNotExist: () => void;
}

export type News = { readonly taken: unknown } | { readonly error: string } | { readonly gone: true };

/** One per process: it keeps what it was configured with. */
export function grpcXdsClient(port: number, nodeId: string) {
  process.env['GRPC_XDS_BOOTSTRAP_CONFIG'] = JSON.stringify({
    xds_servers: [
      {
        server_uri: `127.0.0.1:${port}`,
        channel_creds: [{ type: 'insecure' }],
        server_features: ['xds_v3'],
      },
    ],
    node: { id: nodeId, cluster: 'mesh-gateway', locality: {} },
  });
  const require = createRequire(join(program('FED_PEER_GRPC_XDS'), 'package.json'));
  const inner = (name: string): unknown => require(`./build/src/${name}.js`);
  const { getSingletonXdsClient, Watcher } = inner('xds-client') as Inner;
  const { ClusterResourceType } = inner('xds-resource-type/cluster-resource-type') as {
    ClusterResourceType: ResourceType;
  };
  const { EndpointResourceType } = inner('xds-resource-type/endpoint-resource-type') as {
    EndpointResourceType: ResourceType;
  };
  const client = getSingletonXdsClient();
  const watch =
    (type: ResourceType) =>
    (name: string): News[] => {
      const news: News[] = [];
      const heard: Heard = {
        onResourceChanged: (taken) => news.push({ taken }),
        onError: ({ details }) => news.push({ error: details }),
        onResourceDoesNotExist: () => news.push({ gone: true }),
      };
      type.startWatch(client, name, new Watcher(heard));
      return news;
    };
  return { cluster: watch(ClusterResourceType), endpoints: watch(EndpointResourceType) };
}
