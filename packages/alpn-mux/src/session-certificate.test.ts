import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type SecureVersion, type TLSSocket } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { identity, pem } from '../test/certificates.ts';
import { der } from '../test/der.ts';
import { certificateIn } from './session-certificate.ts';

/** The server's side of a connection whose client shows this certificate, or none. */
async function accepted(version: SecureVersion, name: string | undefined): Promise<TLSSocket> {
  const server = createServer({
    ...identity('n1-dc1').serverOptions,
    requestCert: true,
    rejectUnauthorized: false,
    maxVersion: version,
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const came = once(server, 'secureConnection') as Promise<[TLSSocket]>;
  const client = connect({
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    ...(name !== undefined && { cert: pem(name), key: pem(`${name}-key`) }),
    rejectUnauthorized: false,
  });
  const [socket] = await came;
  server.close();
  socket.on('close', () => client.destroy());
  return socket;
}

describe('a session', () => {
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const)
    for (const name of ['n1-dc1', 'm1-dc2', 'self-signed', undefined])
      test(`of ${version} shows the certificate ${name ?? '(none)'}`, async () => {
        const socket = await accepted(version, name);
        try {
          expect(socket.getProtocol()).toBe(version);
          const session = socket.getSession();
          expect(session).toBeInstanceOf(Buffer);
          expect(certificateIn(session as Buffer)).toEqual(socket.getPeerX509Certificate()?.raw);
        } finally {
          socket.destroy();
          await once(socket, 'close');
        }
      });

  test('that ends early, or is no session, shows none', async () => {
    const part = Buffer.concat([der(0x02, Buffer.of(1)), der(0xa3, Buffer.alloc(300, 7))]);
    const whole = der(0x30, part);
    expect(certificateIn(whole)).toEqual(Buffer.alloc(300, 7));
    for (let length = 0; length < whole.length; length++)
      expect(certificateIn(whole.subarray(0, length))).toBeUndefined();
    expect(certificateIn(der(0x31, part))).toBeUndefined();
    expect(certificateIn(Buffer.of(0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0xa3, 0x84, 0xff))).toBeUndefined();
    expect(certificateIn(Buffer.of(0x30, 0x02, 0xa3, 0xff))).toBeUndefined();
  });
});
