/**
 * errors.ts: what can be wrong with keys and certificates somebody gave us.
 *
 * Lives here: the error class. Must not live here: the checks that raise it.
 */

export type PkiErrorCode =
  | 'unreadable' // the file cannot be read
  | 'bad_certificate' // no certificate in it
  | 'bad_key' // no private key in it, or one we cannot use
  | 'bad_request' // no certificate request in it, or one that was not signed by its own key
  | 'key_mismatch' // the key is not the certificate's
  | 'bad_name' // not a name a certificate can carry
  | 'bad_days' // not a time a certificate can be valid for
  | 'not_a_ca' // the certificate may not sign others
  | 'ca_refuses'; // the CA's validity or name constraints exclude what is asked for

/** Not our bug: the message names the file or value and says what to do. Branch on `code`, never on the message. */
export class PkiError extends Error {
  override readonly name = 'PkiError';
  readonly code: PkiErrorCode;
  constructor(code: PkiErrorCode, text: string, options?: ErrorOptions) {
    super(text, options);
    this.code = code;
  }
}
