/**
 * gateway-backend.ts: what stands behind a gateway in its benchmark: takes a ClientHello for granted and obeys the byte after it.
 *
 * Run as `node gateway-backend.ts PORT HELLO_BYTES`; prints "ready". The byte: c answers with one byte, e echoes,
 * s swallows everything. TLS is left out on both ends because a gateway by SNI never looks further than the hello.
 */
import { createServer } from 'node:net';

const [port, helloBytes] = process.argv.slice(2).map(Number) as [number, number];
const one = Buffer.from('!');

createServer({ noDelay: true }, (socket) => {
  let seen = 0;
  socket.on('error', () => {});
  const first = (chunk: Buffer): void => {
    const at = helloBytes - seen;
    seen += chunk.length;
    if (seen <= helloBytes) return;
    socket.off('data', first);
    const mode = String.fromCharCode(chunk[at] as number);
    if (mode === 'c') socket.write(one);
    if (mode === 'e') {
      const words = chunk.subarray(at + 1);
      if (words.length > 0) socket.write(words);
      socket.on('data', (more: Buffer) => void socket.write(more));
    }
    if (mode === 's') socket.on('data', () => {});
  };
  socket.on('data', first);
}).listen({ port, host: '127.0.0.1', backlog: 4096 }, () => console.log('ready'));
