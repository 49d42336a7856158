/** client-hello.ts: the ClientHello a TLS client of this Node sends for a server name, key share and all. */
import { once } from 'node:events';
import { Duplex } from 'node:stream';
import { connect } from 'node:tls';

/** Taken from a real client that is never answered. */
export async function clientHello(servername: string): Promise<Buffer> {
  const wire = new Duplex({
    read: () => {},
    write: (chunk: Buffer, _encoding, done) => {
      wire.emit('hello', chunk);
      done();
    },
  });
  const said = once(wire, 'hello');
  const tls = connect({ socket: wire, servername });
  tls.on('error', () => {});
  const [hello] = (await said) as [Buffer];
  tls.destroy();
  return hello;
}
