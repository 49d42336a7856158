/**
 * read-tls.ts: the three files of a server, read and checked before anything relies on them.
 *
 * OpenSSL says "bad base64 decode" without saying of which file; here every error names the file and what to do.
 * Lives here: reading, and what each file must hold. Must not live here: whether the certificate fits this server.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { PkiError } from './errors.ts';
import type { TlsFiles } from './ports.ts';
import { systemFiles } from './system.ts';

export interface TlsPaths {
  /** One file of one or more CA certificates, or several such files. */
  readonly caFile: string | readonly string[];
  /** The server's certificate, intermediates after it. */
  readonly certFile: string;
  readonly keyFile: string;
}

/** PEM texts, in the shape TLS identities are made of. */
export interface TlsTexts {
  readonly ca: readonly string[];
  readonly cert: string;
  readonly key: string;
}

/** Throws PkiError. */
export function readTls(paths: TlsPaths, files: Pick<TlsFiles, 'read'> = systemFiles): TlsTexts {
  const caFiles = typeof paths.caFile === 'string' ? [paths.caFile] : paths.caFile;
  const ca = caFiles.flatMap((file) =>
    certificatesIn(read(files, file, 'ca_file'), `ca_file ${file}`).map((c) => c.toString()),
  );
  const cert = read(files, paths.certFile, 'cert_file');
  const [leaf] = certificatesIn(cert, `cert_file ${paths.certFile}`);
  const keyText = read(files, paths.keyFile, 'key_file');
  const key = keyIn(keyText, paths.keyFile);
  if (!leaf!.checkPrivateKey(key))
    throw new PkiError(
      'key_mismatch',
      `key_file ${paths.keyFile} is not the key of cert_file ${paths.certFile}: configure the two that were created together`,
    );
  return { ca, cert, key: keyText };
}

/** Every certificate of a PEM text, in order; `what` is how messages call it. Throws PkiError `bad_certificate` when there is none, or a broken one. */
export function certificatesIn(pem: string, what: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) {
    const hint = pem.includes('PRIVATE KEY-----') ? ' but a private key: are the two settings swapped?' : '';
    throw new PkiError('bad_certificate', `${what} holds no certificate in PEM${hint}`);
  }
  return blocks.map((block, index) => {
    try {
      return new X509Certificate(block);
    } catch (cause) {
      const text = `${what}: certificate ${index + 1} of ${blocks.length} is damaged: copy the file again`;
      throw new PkiError('bad_certificate', text, { cause });
    }
  });
}

function keyIn(pem: string, file: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    throw new PkiError('bad_key', `key_file ${file} ${keyFault(pem)}`, { cause });
  }
}

function keyFault(pem: string): string {
  if (/^-----BEGIN ENCRYPTED|^Proc-Type: 4,ENCRYPTED/m.test(pem))
    return 'is encrypted: store it decrypted, readable by the server only';
  if (pem.includes('PRIVATE KEY-----')) return 'holds a damaged private key: copy the file again';
  if (pem.includes('BEGIN CERTIFICATE'))
    return 'holds no private key but a certificate: are the two settings swapped?';
  return 'holds no private key in PEM';
}

function read(files: Pick<TlsFiles, 'read'>, file: string, setting: string): string {
  try {
    return files.read(file);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const why =
      code === 'ENOENT'
        ? 'does not exist: create it with "tls ca create" or "tls cert create", or correct the path'
        : code === 'EACCES'
          ? 'may not be read by this process: correct its owner or mode'
          : `cannot be read: ${message}`;
    throw new PkiError('unreadable', `${setting} ${file} ${why}`, { cause });
  }
}
