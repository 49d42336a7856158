/**
 * tls-failure.ts: from what node and OpenSSL report to our own codes.
 *
 * Their codes are many and change with OpenSSL's releases; ours are few and stable. What is not recognised keeps its
 * text as the detail of the general code.
 * Lives here: two pure tables, one for each end of a connection. Must not live here: sockets.
 * Sources: node errors.md (ERR_TLS_*, OpenSSL error codes), RFC 8446 §6 (alerts).
 */
import type { RefusalCode } from './door.ts';
import type { DialCode } from './errors.ts';

const codeOf = (e: Error): string => (e as { code?: string }).code ?? '';

/** What a failed incoming handshake was about. `authorizationError`: the verdict on the peer's certificate, if any. */
export function judgeIncomingTls(
  e: Error,
  authorizationError: unknown,
): { readonly code: RefusalCode; readonly detail: string } {
  if (authorizationError) {
    return { code: 'certificate_untrusted', detail: `the peer's certificate: ${authorizationError}` };
  }
  const detail = `${codeOf(e)} ${e.message}`.trim();
  switch (codeOf(e)) {
    case 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE':
      return { code: 'certificate_missing', detail: 'the peer showed no certificate' };
    case 'ERR_SSL_NO_APPLICATION_PROTOCOL':
      return { code: 'alpn_unknown', detail: 'the peer offered only protocols not spoken here' };
    case 'ERR_SSL_UNSUPPORTED_PROTOCOL':
    case 'ERR_SSL_VERSION_TOO_LOW':
      return { code: 'tls_version', detail: 'the peer offered no TLS version from 1.2 on' };
    case 'ERR_SSL_HTTP_REQUEST':
    case 'ERR_SSL_HTTPS_PROXY_REQUEST':
    case 'ERR_SSL_WRONG_VERSION_NUMBER':
    case 'ERR_SSL_PACKET_LENGTH_TOO_LONG':
    case 'ERR_SSL_UNKNOWN_PROTOCOL':
      return { code: 'not_tls', detail };
    default:
      return { code: 'tls_failed', detail };
  }
}

/** Verification results of OpenSSL, as node names them, that mean "not a certificate of our CA, or not now". */
const untrusted: ReadonlySet<string> = new Set([
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_CRL',
  'UNABLE_TO_DECRYPT_CERT_SIGNATURE',
  'CERT_SIGNATURE_FAILURE',
  'CERT_NOT_YET_VALID',
  'CERT_HAS_EXPIRED',
  'CERT_REVOKED',
  'CERT_UNTRUSTED',
  'CERT_REJECTED',
  'CERT_CHAIN_TOO_LONG',
  'ERROR_IN_CERT_NOT_BEFORE_FIELD',
  'ERROR_IN_CERT_NOT_AFTER_FIELD',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'INVALID_CA',
  'INVALID_PURPOSE',
  'PATH_LENGTH_EXCEEDED',
]);

/** A failed TCP connect. */
export function judgeConnect(e: Error): DialCode {
  switch (codeOf(e)) {
    case 'ECONNREFUSED':
      return 'connect_refused';
    case 'ETIMEDOUT':
      return 'connect_timeout';
    default:
      return 'connect_failed';
  }
}

/** A failed outgoing handshake. `answered`: the peer had sent at least one byte. */
export function judgeOutgoingTls(e: Error, answered: boolean): DialCode {
  const code = codeOf(e);
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return 'certificate_name';
  if (untrusted.has(code)) return 'certificate_untrusted';
  if (code.includes('NO_APPLICATION_PROTOCOL')) return 'alpn_refused';
  if (!answered && (code === 'ECONNRESET' || code === 'EPIPE' || code === 'ECONNABORTED'))
    return 'closed_before_tls';
  return 'tls_failed';
}
