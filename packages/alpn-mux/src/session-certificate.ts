/**
 * session-certificate.ts: the peer's certificate, as it stands in a TLS session.
 *
 * `getPeerX509Certificate()` answers with an object that holds OpenSSL's certificate until garbage is collected, long after the
 * connection, when nothing of it is in a cache any more: freeing it then costs several times what it costs with the connection.
 * A session written out has the same bytes, in a buffer.
 * Source: OpenSSL ssl/ssl_asn1.c: SSL_SESSION is a SEQUENCE, and `[3]` in it the peer's certificate; so since SSLeay.
 */
const sequence = 0x30;
const peer = 0xa3;

/** DER; undefined if there is none, or `session` (`getSession()`) is not written like that. */
export function certificateIn(session: Buffer): Buffer | undefined {
  if (session[0] !== sequence) return undefined;
  let at = contentOf(session, 0);
  while (at + 1 < session.length) {
    const start = contentOf(session, at);
    const end = start + lengthAt(session, at);
    if (end > session.length) return undefined;
    if (session[at] === peer) return session.subarray(start, end);
    at = end;
  }
  return undefined;
}

/** Lengths of 128 and more say first how many bytes they have. */
function contentOf(der: Buffer, at: number): number {
  const first = der[at + 1] ?? 0;
  return at + 2 + (first < 0x80 ? 0 : first & 0x7f);
}

/** More than `der` can hold if it is broken. */
function lengthAt(der: Buffer, at: number): number {
  const first = der[at + 1] ?? 0;
  if (first < 0x80) return first;
  let length = 0;
  for (let n = 0; n < (first & 0x7f); n++) length = length * 0x100 + (der[at + 2 + n] ?? 0);
  return length;
}
