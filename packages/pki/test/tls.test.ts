/** The certificates at work: two servers that meet over mutual TLS, as they will through a gateway. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { expect, test } from 'vitest';
import { type Created, createCa, createCertificate, type Maker } from '../src/index.ts';
import { systemMaker } from '../src/system.ts';

const maker: Maker = { ...systemMaker, now: () => Date.now() - 5_000 };
const ca = await createCa({}, maker);
const n1 = await createCertificate({ kind: 'server', datacenter: 'dc1', node: 'n1' }, ca, maker);
const n2 = await createCertificate({ kind: 'server', datacenter: 'dc2', node: 'n2' }, ca, maker);

/** What the dialler sees of the listener, or the code with which it refuses it. */
async function meet(servername: string, client: Created): Promise<string> {
  const server = createServer({
    ca: ca.certificate,
    cert: n1.certificate,
    key: n1.key,
    requestCert: true,
    rejectUnauthorized: true,
  });
  server.on('secureConnection', (socket: TLSSocket) =>
    socket.on('error', () => {}).end(String(socket.getPeerCertificate().subject.CN)),
  );
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const socket = connect({
    port,
    host: '127.0.0.1',
    servername,
    ca: ca.certificate,
    cert: client.certificate,
    key: client.key,
  });
  try {
    return await new Promise((resolve) => {
      let heard = '';
      socket.on('data', (bytes) => {
        heard += bytes;
      });
      socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'));
      socket.on('close', () => resolve(heard));
    });
  } finally {
    socket.destroy();
    server.close();
  }
}

test('a server abroad dials this node by its name, and is recognised', async () => {
  expect(await meet('n1.server.dc1.consul', n2)).toBe('server.dc2.consul');
});

test('any server of the datacenter is dialled by its common name', async () => {
  expect(await meet('server.dc1.consul', n2)).toBe('server.dc2.consul');
});

test("another node's name does not fit", async () => {
  expect(await meet('n9.server.dc1.consul', n2)).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
});

test('a certificate of another CA is refused by the listener', async () => {
  const strangers = await createCa({}, maker);
  const stranger = await createCertificate(
    { kind: 'server', datacenter: 'dc2', node: 'n2' },
    strangers,
    maker,
  );
  expect(await meet('server.dc1.consul', stranger)).not.toBe('server.dc2.consul');
});
