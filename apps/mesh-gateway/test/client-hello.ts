/** client-hello.ts: a minimal ClientHello with this server name (RFC 8446 §4.1.2), or with none. */
export function clientHello(sni?: string): Buffer {
  const u16 = (n: number): Buffer => Buffer.from([n >> 8, n & 0xff]);
  const sized = (b: Buffer): Buffer => Buffer.concat([u16(b.length), b]);
  const serverName =
    sni === undefined
      ? Buffer.alloc(0)
      : Buffer.concat([u16(0), sized(sized(Buffer.concat([Buffer.from([0]), sized(Buffer.from(sni))])))]);
  const body = Buffer.concat([
    u16(0x0303),
    Buffer.alloc(32, 7), // random
    Buffer.from([0]), // session id
    sized(u16(0x1301)), // cipher suites
    Buffer.from([1, 0]), // compression
    sized(serverName),
  ]);
  const message = Buffer.concat([Buffer.from([1, 0]), sized(body)]);
  return Buffer.concat([Buffer.from([22, 3, 1]), sized(message)]);
}
