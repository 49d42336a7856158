/**
 * bootstrap-address.ts: where the xDS server is, as operators write it.
 *
 * Lives here: `http(s)://host:port`, `host:port`, `unix://path`. Must not live here: resolving host names.
 * Source: Consul command/connect/envoy (grpc-addr).
 */
export type XdsAddress =
  | { readonly kind: 'unix'; readonly path: string }
  /** `host`: an IP address by the time it reaches Envoy. `tls` absent: plain text. */
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number; readonly tls?: XdsAddressTls };

export interface XdsAddressTls {
  /** PEM of the authorities. Absent: those the machine trusts. */
  readonly ca?: string;
  /** The DNS name its certificate must have. Absent: any, as in the original. */
  readonly serverName?: string;
}

export class XdsAddressError extends Error {
  override readonly name = 'XdsAddressError';
  readonly code = 'bad_address';
}

/** `tls` in the result: the address asks for it (https). Throws XdsAddressError. */
export function parseXdsAddress(text: string): { readonly address: XdsAddress; readonly tls: boolean } {
  const unix = /^unix:\/\/(\/.+)$/.exec(text);
  if (unix?.[1] !== undefined) return { address: { kind: 'unix', path: unix[1] }, tls: false };
  const parts = /^(?:(https?):\/\/)?(?:\[([0-9a-fA-F:.]+)\]|([^:/[\]]+)):(\d{1,5})$/.exec(text);
  const port = Number(parts?.[4]);
  if (parts === null || port < 1 || port > 65_535)
    throw new XdsAddressError(
      `xDS address "${text}" is none of host:port, http(s)://host:port, unix:///path`,
    );
  return { address: { kind: 'tcp', host: parts[2] ?? parts[3] ?? '', port }, tls: parts[1] === 'https' };
}
