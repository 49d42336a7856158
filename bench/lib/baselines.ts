/**
 * baselines.ts: the machine's limit, in a process of its own: bare TLS echo, answers, sink and handshakes, a bare TCP pipe.
 *
 * Run as `node baselines.ts KIND ARGUMENTS`, see `usage`; prints the port it listens on.
 * `tls-reply` answers every 128 bytes with so many. The sink answers each connection, when its peer has ended, with the number
 * of frames (u32 length + bytes) it took. `tls-mutual` demands a certificate of the CA, and does nothing after the handshake;
 * `door` is our port, which does the same.
 */
import { constants } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';

const usage =
  'tls-echo CERT KEY | tls-reply CERT KEY BYTES | tls-sink CERT KEY | tls-mutual CERT KEY CA | door CERT KEY CA | tcp-pipe PORT';
const requestBytes = 128;

const [kind, first, second, third] = process.argv.slice(2);

function listen(server: Server): void {
  server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port));
}

switch (kind) {
  case 'tls-echo':
    listen(
      createTlsServer(
        { cert: readFileSync(first as string), key: readFileSync(second as string) },
        (socket) => {
          socket.setNoDelay(true);
          socket.on('error', () => socket.destroy());
          socket.pipe(socket);
        },
      ),
    );
    break;
  case 'tls-reply': {
    const reply = Buffer.alloc(Number(third), 0x61);
    listen(
      createTlsServer(
        { cert: readFileSync(first as string), key: readFileSync(second as string) },
        (socket) => {
          let heard = 0;
          socket.setNoDelay(true);
          socket.on('error', () => socket.destroy());
          socket.on('data', (chunk: Buffer) => {
            for (heard += chunk.length; heard >= requestBytes; heard -= requestBytes) socket.write(reply);
          });
        },
      ),
    );
    break;
  }
  case 'tls-mutual':
    listen(
      createTlsServer(
        {
          cert: readFileSync(first as string),
          key: readFileSync(second as string),
          ca: readFileSync(third as string),
          requestCert: true,
          rejectUnauthorized: true,
          minVersion: 'TLSv1.2',
          secureOptions: constants.SSL_OP_NO_TICKET,
          ALPNProtocols: ['consul/rpc-multi'],
          noDelay: true,
        },
        (socket) => {
          socket.on('error', () => socket.destroy());
          socket.resume();
        },
      ),
    );
    break;
  case 'door': {
    const { alpn, openFrontDoor, TlsIdentity } = await import('@fed/alpn-mux'); // the others stay bare
    const read = (f: string | undefined): string => readFileSync(f as string, 'utf8');
    const tls = new TlsIdentity({ ca: [read(third)], cert: read(first), key: read(second) });
    const door = await openFrontDoor({
      bind: { host: '127.0.0.1', port: 0 },
      tls,
      domain: 'consul',
      alpn: {
        [alpn.rpcMulti]: ({ stream }) => {
          stream.on('error', () => stream.destroy());
          stream.on('end', () => stream.end());
          stream.resume();
        },
      },
    });
    console.log(door.address.port);
    break;
  }
  case 'tls-sink':
    listen(
      createTlsServer(
        { cert: readFileSync(first as string), key: readFileSync(second as string), allowHalfOpen: true },
        (socket) => {
          let frames = 0;
          let held: Buffer = Buffer.alloc(0);
          socket.on('error', () => socket.destroy());
          socket.on('data', (chunk: Buffer) => {
            held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
            let at = 0;
            while (held.length - at >= 4 && held.length - at >= 4 + held.readUInt32BE(at)) {
              at += 4 + held.readUInt32BE(at);
              frames++;
            }
            held = held.subarray(at);
          });
          socket.on('end', () => socket.end(String(frames)));
        },
      ),
    );
    break;
  case 'tcp-pipe':
    listen(
      createServer({ noDelay: true }, (socket) => {
        const upstream = connect({ host: '127.0.0.1', port: Number(first), noDelay: true });
        socket.on('error', () => upstream.destroy());
        upstream.on('error', () => socket.destroy());
        socket.pipe(upstream);
        upstream.pipe(socket);
      }),
    );
    break;
  default:
    console.error(usage);
    process.exit(1);
}
