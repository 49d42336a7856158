/**
 * baselines.ts: the machine's limit, in a process of its own: a bare TLS echo, a bare TLS sink, a bare TCP pipe.
 *
 * Run as `node baselines.ts tls-echo CERT KEY | tls-sink CERT KEY | tcp-pipe PORT`; prints the port it listens on.
 * The sink answers each connection, when its peer has ended, with the number of frames (u32 length + bytes) it took.
 */
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';

const [kind, first, second] = process.argv.slice(2);

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
    console.error('tls-echo CERT KEY | tls-sink CERT KEY | tcp-pipe PORT');
    process.exit(1);
}
