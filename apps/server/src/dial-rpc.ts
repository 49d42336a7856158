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
  typeBytes,
} from '@fed/alpn-mux';
import type { RpcTarget } from '@fed/rpc';
import type { Config } from './config/config.ts';

export function dialRpc(o: {
  readonly config: Config;
  readonly tls: TlsIdentity;
  readonly abroad: GatewayDialer;
  readonly dialServer: typeof dialServer;
}): (target: RpcTarget, signal: AbortSignal) => Promise<Duplex> {
  const { datacenter, domain, tls: policy } = o.config;
  return (target, signal) => {
    if (target.datacenter !== datacenter)
      return o.abroad.dial({ datacenter: target.datacenter, node: target.node, alpn: alpn.rpcMulti, signal });
    return o.dialServer({
      to: target.address,
      typeByte: typeBytes.rpcMulti,
      signal,
      ...(policy.verifyOutgoing ? { tls: o.tls } : {}),
      ...(policy.verifyServerHostname ? { verifyName: serverSni({ datacenter, domain }) } : {}),
    });
  };
}
