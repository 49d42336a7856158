/**
 * dial-rpc.ts: a connection for RPC: straight to a server of our own datacenter, through gateways to all others.
 */
import type { Duplex } from 'node:stream';
import {
  alpn,
  type dialServer,
  type GatewayDialer,
  serverSni,
  type TlsIdentity,
  type TlsPolicy,
  typeBytes,
} from '@fed/alpn-mux';
import type { RpcTarget } from '@fed/rpc';
import type { Config } from './config/config.ts';

export function dialRpc(o: {
  readonly config: Pick<Config, 'datacenter' | 'domain'>;
  /** As it is at the moment. */
  readonly policy: () => TlsPolicy;
  readonly tls: TlsIdentity;
  readonly abroad: GatewayDialer;
  readonly dialServer: typeof dialServer;
}): (target: RpcTarget, signal: AbortSignal) => Promise<Duplex> {
  const { datacenter, domain } = o.config;
  return (target, signal) => {
    if (target.datacenter !== datacenter)
      return o.abroad.dial({ datacenter: target.datacenter, node: target.node, alpn: alpn.rpcMulti, signal });
    const { verifyOutgoing, verifyServerHostname } = o.policy();
    return o.dialServer({
      to: target.address,
      typeByte: typeBytes.rpcMulti,
      signal,
      ...(verifyOutgoing ? { tls: o.tls } : {}),
      ...(verifyServerHostname ? { verifyName: serverSni({ datacenter, domain }) } : {}),
    });
  };
}
