/** Files of a server: what is wrong is named, with the file. */
import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { MemoryFiles } from '../test/memory-files.ts';
import { createCa, createCertificate } from './create.ts';
import { readTls } from './read-tls.ts';
import { systemMaker } from './system.ts';

const ca = await createCa({}, systemMaker);
const other = await createCa({}, systemMaker);
const own = await createCertificate({ kind: 'server', node: 'n1' }, ca, systemMaker);
const sealed = generateKeyPairSync('ec', {
  namedCurve: 'P-256',
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' },
}).privateKey;

const paths = { caFile: 'ca.pem', certFile: 'cert.pem', keyFile: 'key.pem' };

function files(texts: Record<string, string> = {}): MemoryFiles {
  const all = new MemoryFiles();
  const whole = { 'ca.pem': ca.certificate, 'cert.pem': own.certificate, 'key.pem': own.key, ...texts };
  for (const [path, text] of Object.entries(whole)) all.texts.set(path, text);
  return all;
}

describe('readTls', () => {
  test('brings the three texts', () => {
    expect(readTls(paths, files())).toEqual({ ca: [ca.certificate], cert: own.certificate, key: own.key });
  });

  test('a CA file may hold several certificates, with text between them, and there may be several files', () => {
    const bundle = `# first\n${ca.certificate}\n# second\n${other.certificate}`;
    const read = readTls(
      { ...paths, caFile: ['ca.pem', 'more.pem'] },
      files({ 'ca.pem': bundle, 'more.pem': ca.certificate }),
    );
    expect(read.ca).toEqual([ca.certificate, other.certificate, ca.certificate]);
  });

  const faults: readonly [string, Record<string, string>, string, string][] = [
    [
      'no certificate',
      { 'cert.pem': 'x' },
      'bad_certificate',
      'cert_file cert.pem holds no certificate in PEM',
    ],
    [
      'certificate and key swapped',
      { 'cert.pem': own.key, 'key.pem': own.certificate },
      'bad_certificate',
      'cert_file cert.pem holds no certificate in PEM but a private key: are the two settings swapped?',
    ],
    [
      'a damaged second certificate',
      { 'ca.pem': ca.certificate + ca.certificate.replace('MII', 'XXX') },
      'bad_certificate',
      'ca_file ca.pem: certificate 2 of 2 is damaged: copy the file again',
    ],
    ['no key', { 'key.pem': 'x' }, 'bad_key', 'key_file key.pem holds no private key in PEM'],
    [
      'an encrypted key',
      { 'key.pem': sealed },
      'bad_key',
      'key_file key.pem is encrypted: store it decrypted, readable by the server only',
    ],
    [
      "another certificate's key",
      { 'key.pem': ca.key },
      'key_mismatch',
      'key_file key.pem is not the key of cert_file cert.pem: configure the two that were created together',
    ],
  ];
  test.each(faults)('%s', (_name, texts, code, message) => {
    expect(() => readTls(paths, files(texts))).toThrowError(
      expect.objectContaining({ name: 'PkiError', code, message }),
    );
  });

  test('a file that is not there', () => {
    expect(() => readTls({ ...paths, caFile: 'none.pem' }, files())).toThrowError(
      expect.objectContaining({
        code: 'unreadable',
        message:
          'ca_file none.pem does not exist: create it with "tls ca create" or "tls cert create", or correct the path',
      }),
    );
  });
});
