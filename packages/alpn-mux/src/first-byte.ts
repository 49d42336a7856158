/**
 * first-byte.ts: what the first byte of a connection asks for.
 *
 * Numbers up to 9 are type bytes of the older protocol; TLS begins with 22, its record type for handshakes (RFC 7983 keeps
 * the two apart). Nothing else can become anything, so it is refused at once, where the original would take it for TLS and
 * hold it until its deadline. Byte 3 asks for TLS with a type byte inside; that may happen once.
 * Lives here: the table. Must not live here: reading the byte, handlers, connections.
 * Source: Consul agent/pool/conn.go (RPCType), agent/consul/rpc.go (handleConn, handleMultiplexV2 …).
 */

/** Highest type byte. Consul's RPCMaxTypeValue. */
const typeByteMax = 9;
/** RFC 8446 §5.1, ContentType handshake: a client's first record is its ClientHello. */
const tlsHandshake = 22;
export const typeByteTls = 3;

/** The type bytes that can have a handler. */
export const typeBytes = {
  rpc: 0,
  raft: 1,
  rpcMulti: 4,
  snapshot: 5,
  grpc: 8,
} as const;
export type TypeByte = (typeof typeBytes)[keyof typeof typeBytes];

/** Where the byte was read. `bare` = first on the wire; `insideTls` = first after the TLS that byte 3 asked for. */
export type Layer = 'bare' | 'insideTls';

export type FirstByteVerdict =
  | { readonly kind: 'dispatch'; readonly typeByte: TypeByte }
  /** The byte belongs to the ClientHello: replay it. */
  | { readonly kind: 'nativeTls' }
  /** The byte is used up; TLS follows, then one more type byte. */
  | { readonly kind: 'typeByteTls' }
  | {
      readonly kind: 'refuse';
      readonly code:
        | 'plain_refused'
        | 'tls_nested'
        | 'tls_unavailable'
        | 'not_tls'
        | 'type_byte_unknown'
        | 'type_byte_unhandled';
    };

/** Needs: whether this side has a CA and a certificate, and whether the outside must come in TLS. */
export function judgeFirstByte(
  byte: number,
  layer: Layer,
  o: { readonly tlsCapable: boolean; readonly verifyIncoming: boolean },
): FirstByteVerdict {
  if (layer === 'insideTls') {
    if (byte === typeByteTls || byte === 7) return { kind: 'refuse', code: 'tls_nested' };
    return dispatch(byte);
  }
  if (byte > typeByteMax) {
    if (byte !== tlsHandshake) return { kind: 'refuse', code: 'not_tls' };
    return o.tlsCapable ? { kind: 'nativeTls' } : { kind: 'refuse', code: 'tls_unavailable' };
  }
  if (byte === typeByteTls) {
    return o.tlsCapable ? { kind: 'typeByteTls' } : { kind: 'refuse', code: 'tls_unavailable' };
  }
  // 7 would start TLS without a client certificate, so a strict door lets it pass this point: it is unhandled, not plain.
  if (o.verifyIncoming && byte !== 7) return { kind: 'refuse', code: 'plain_refused' };
  return dispatch(byte);
}

function dispatch(byte: number): FirstByteVerdict {
  switch (byte) {
    case 0:
    case 1:
    case 4:
    case 5:
    case 8:
      return { kind: 'dispatch', typeByte: byte };
    case 6: // gossip over the RPC port: Consul Enterprise only
    case 7: // certificate bootstrap of client agents (auto-encrypt)
    case 9: // raft forwarding
      return { kind: 'refuse', code: 'type_byte_unhandled' };
    default: // 2 was retired long ago; 10 and above are no type bytes
      return { kind: 'refuse', code: 'type_byte_unknown' };
  }
}
