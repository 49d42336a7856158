/**
 * gateway-plane.ts: where the gateways of this datacenter are told what to do: xDS, in plain text and over TLS.
 *
 * Lives here: the two ports, the certificate behind one of them, who may ask. Must not live here: what gateways are told
 * (gateway-worlds.ts, @fed/xds).
 * Source: Consul agent/xds/delta.go (authorize), agent/setup.go (ports).
 */
import type { TlsIdentity } from '@fed/alpn-mux';
import type { Fsm } from '@fed/fsm';
import { type Authorize, type openXdsServer, type XdsServer, XdsServerError } from '@fed/xds';
import { type Access, AccessError } from './acl/access.ts';
import { binding } from './binding.ts';
import type { Config } from './config/config.ts';
import { watchGateways } from './gateway-worlds.ts';
import type { RoomEvent } from './log.ts';
import type { World } from './world.ts';

export interface GatewayPlane extends AsyncDisposable {
  /** -1: not there. */
  readonly ports: { readonly plain: number; readonly tls: number };
  clients(): ReturnType<XdsServer['clients']>;
  holdings(gateway?: string): ReturnType<XdsServer['holdings']>;
}

const nowhere: GatewayPlane = {
  ports: { plain: -1, tls: -1 },
  clients: () => [],
  holdings: () => [],
  async [Symbol.asyncDispose]() {},
};

/** Throws a ConfigError for a port that cannot be had. */
export async function openGatewayPlane(o: {
  readonly config: Pick<Config, 'datacenter' | 'domain' | 'nodeName' | 'grpc' | 'grpcTls'>;
  readonly fsm: Pick<Fsm, 'watch'>;
  readonly access: Access;
  readonly tls: TlsIdentity;
  readonly clock: World['clock'];
  readonly open: typeof openXdsServer;
  readonly log: (e: RoomEvent) => void;
}): Promise<GatewayPlane> {
  const { datacenter, domain, nodeName, grpc, grpcTls } = o.config;
  if (grpc.port < 0 && grpcTls.port < 0) return nowhere;
  const { verifyIncoming: requireClientCertificate } = grpcTls;
  const open = () =>
    o.open({
      ...(grpc.port < 0 ? {} : { bind: grpc }),
      ...(grpcTls.port < 0 ? {} : { tls: { ...o.tls.material, bind: grpcTls, requireClientCertificate } }),
      watchGateway: watchGateways({ datacenter, domain, nodeName, fsm: o.fsm }),
      authorize: mayBeTold(o.access),
      clock: o.clock,
      log: o.log,
    });
  const xds = await open().catch((error: unknown) => {
    const [key, at] =
      error instanceof XdsServerError && error.over === 'tls'
        ? (['ports.grpc_tls', grpcTls] as const)
        : (['ports.grpc', grpc] as const);
    return binding(key, at, () => Promise.reject<XdsServer>(error));
  });
  const renewal = o.tls.watch((material) => xds.replaceCertificate(material));
  return {
    ports: {
      plain: grpc.port < 0 ? -1 : xds.address.port,
      tls: xds.tlsAddress?.port ?? -1,
    },
    clients: () => xds.clients(),
    holdings: (gateway) => xds.holdings(gateway),
    async [Symbol.asyncDispose]() {
      renewal[Symbol.dispose]();
      await xds[Symbol.asyncDispose]();
    },
  };
}

/** A gateway is told what to do if its token may write the gateway's own service. */
export function mayBeTold(access: Pick<Access, 'authorizer'>): Authorize {
  return ({ token = '', service }) => {
    try {
      const who = access.authorizer(token);
      return service === undefined || who.may('service', service, 'write') ? 'allow' : 'denied';
    } catch (error) {
      if (error instanceof AccessError) return 'unauthenticated';
      throw error;
    }
  };
}
