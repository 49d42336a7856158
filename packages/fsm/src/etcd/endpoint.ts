/**
 * endpoint.ts: reading an endpoint as an operator writes it.
 */

export interface Endpoint {
  /** As written: for messages. */
  readonly text: string;
  /** `host:port`, an IPv6 address in brackets. */
  readonly target: string;
  readonly tls: boolean;
}

/** Undefined for what is none. */
export function parseEndpoint(text: string, o: { readonly tls: boolean }): Endpoint | undefined {
  const scheme = /^(https?):\/\//.exec(text)?.[1];
  const tls = scheme === undefined ? o.tls : scheme === 'https';
  const rest = scheme === undefined ? text : text.slice(scheme.length + 3).replace(/\/$/, '');
  const match = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})$/.exec(rest);
  if (match === null || Number(match[2]) > 65_535 || Number(match[2]) === 0) return undefined;
  return { text, target: rest, tls };
}
