/**
 * acknowledging-gateways.ts: gateways that take whatever a server sends: delta streams that acknowledge without looking inside.
 *
 * A gateway of ours decodes what it gets, which costs it more than making it costs the server; forty of them on the
 * server's own machine would be a benchmark of gateways. These cost next to nothing: HTTP/2, and of each response the
 * type and the nonce. Run with an IPC channel as `node acknowledging-gateways.ts TARGET ID…`. The parent names a type; each
 * gateway tells when it has acknowledged the next response of it.
 */
import { type ClientHttp2Stream, connect } from 'node:http2';

const types = [
  'envoy.config.cluster.v3.Cluster',
  'envoy.config.endpoint.v3.ClusterLoadAssignment',
  'envoy.config.listener.v3.Listener',
].map((name) => `type.googleapis.com/${name}`);
const [clusterType, endpointType] = types;

const [target = '', ...ids] = process.argv.slice(2);
let wanted: string | undefined;
const told = new Set<string>();
/** What each had acknowledged before the parent asked for the first time. */
let early: { readonly id: string; readonly type: string }[] = [];

process.on('message', ({ acknowledged }: { acknowledged: string }) => {
  wanted = types.find((type) => type.endsWith(`.${acknowledged}`));
  told.clear();
  for (const { id, type } of early) tell(id, type);
  early = [];
});
process.on('disconnect', () => process.exit());

for (const id of ids) open(id);

function open(id: string): void {
  const stream = connect(`http://${target}`).request({
    ':method': 'POST',
    ':path': '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources',
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  stream.on('error', (e) => {
    throw e;
  });
  const node = Buffer.concat([field(1, id), field(2, 'mesh-gateway')]);
  const clusters = new Set<string>();
  for (const type of types.filter((t) => t !== endpointType))
    send(stream, Buffer.concat([field(1, node), field(2, type)]));
  let unread = Buffer.alloc(0);
  stream.on('data', (chunk: Buffer) => {
    unread = Buffer.concat([unread, chunk]);
    while (unread.length >= 5 && unread.length >= 5 + unread.readUInt32BE(1)) {
      const message = unread.subarray(5, 5 + unread.readUInt32BE(1));
      unread = unread.subarray(5 + message.length);
      answer(message);
    }
  });

  function answer(message: Buffer): void {
    const fields = [...fieldsOf(message)];
    const text = (number: number): string => String(fields.find((f) => f.number === number)?.value ?? '');
    const [type, nonce] = [text(4), text(5)];
    send(stream, Buffer.concat([field(2, type), field(6, nonce)]));
    if (type === clusterType) {
      const names = fields.filter((f) => f.number === 2).map((f) => nameOf(f.value));
      const fresh = names.filter((name) => !clusters.has(name));
      for (const name of fresh) clusters.add(name);
      const subscribe = fresh.map((name) => field(3, name));
      if (fresh.length > 0) send(stream, Buffer.concat([field(2, endpointType ?? ''), ...subscribe]));
    }
    if (wanted === undefined) early.push({ id, type });
    tell(id, type);
  }
}

function tell(id: string, type: string): void {
  if (type !== wanted || told.has(id)) return;
  told.add(id);
  setImmediate(() => process.send?.(id));
}

/** As gRPC frames it: not compressed, length, message. */
function send(stream: ClientHttp2Stream, message: Buffer): void {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  stream.write(Buffer.concat([head, message]));
}

/** A length-delimited field. */
function field(number: number, value: string | Buffer): Buffer {
  const bytes = Buffer.from(value as Buffer);
  const length: number[] = [];
  for (let left = bytes.length; ; left >>>= 7) {
    length.push(left < 0x80 ? left : (left & 0x7f) | 0x80);
    if (left < 0x80) break;
  }
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...length]), bytes]);
}

/** All fields of a message that has no others than length-delimited ones. */
function* fieldsOf(message: Buffer): Iterable<{ readonly number: number; readonly value: Buffer }> {
  for (let at = 0; at < message.length; ) {
    const number = (message[at++] as number) >> 3;
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = message[at++] as number;
      length |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    yield { number, value: message.subarray(at, at + length) };
    at += length;
  }
}

/** Of envoy.service.discovery.v3.Resource. */
function nameOf(resource: Buffer): string {
  for (const { number, value } of fieldsOf(resource)) if (number === 3) return String(value);
  return '';
}
