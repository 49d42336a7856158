import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type SecureContextOptions } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { identity, pem } from '../test/certificates.ts';
import { withChain } from './certificate-chain.ts';

describe('the chain of a certificate', () => {
  test('is found among several CAs, one or many in a text', () => {
    const chain = pem('n1-dc1') + pem('ca');
    expect(withChain(pem('n1-dc1'), [pem('foreign-ca'), pem('ca')])).toBe(chain);
    expect(withChain(pem('n1-dc1'), [`${pem('foreign-ca')}\n# ours:\n${pem('ca')}`])).toBe(chain);
    expect(withChain(`# a comment\n${pem('n1-dc1')}`, [pem('ca')])).toBe(chain);
  });
  test.each([
    ['signed by none of them', pem('n1-dc1'), [pem('foreign-ca')]],
    ['that signed itself', pem('self-signed'), [pem('self-signed')]],
    ['that brings a chain', pem('n1-dc1') + pem('foreign-ca'), [pem('ca')]],
    ['that is none', 'not PEM', [pem('ca')]],
  ])('of one %s is left as it is', (_, cert, ca) => expect(withChain(cert, ca)).toBe(cert));
});

test('a server sends what OpenSSL would find by itself', async () => {
  const { serverOptions } = identity('n1-dc1', ['foreign-ca', 'ca']);
  const found = await sent({ ...serverOptions, cert: pem('n1-dc1') });
  expect(found).toHaveLength(2);
  expect(await sent(serverOptions)).toEqual(found);
});

/** The certificates a server sends, in order. */
async function sent(options: SecureContextOptions): Promise<Buffer[]> {
  const server = createServer(options).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false }); // knows no CA, so has none to add
  try {
    await once(socket, 'secureConnect');
    let last = socket.getPeerCertificate(true);
    const chain = [last.raw];
    while (last.issuerCertificate !== undefined && last.issuerCertificate !== last) {
      last = last.issuerCertificate;
      chain.push(last.raw);
    }
    return chain;
  } finally {
    socket.destroy();
    server.close();
  }
}
