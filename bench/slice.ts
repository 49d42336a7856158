/**
 * slice.ts: the whole way through, as users meet it: reads across datacenters, gossip through two gateways, what one
 * relay adds, and memory; beside a bare TLS socket and a bare TCP pipe.
 */
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { alpn, dialAlpn, serverSni, type TlsIdentity } from '@fed/alpn-mux';
import { openRpcPool } from '@fed/rpc';
import { Federation, temporaryFolder } from '@fed/tooling/federation';
import { encodeFrames } from '@fed/wanfed-transport';
import { openTls, roundTrip } from './lib/bare-tls.ts';
import { openBaseline } from './lib/child.ts';
import { makeCredentials } from './lib/credentials.ts';
import { percentiles, printTable, rate, round } from './lib/measure.ts';

const seconds = 5;
const readers = 32;
/**
 * An ack nobody waits for, of the size of a serf ack with its coordinate: memberlist reads it whole and forgets it.
 * The pool runs without a gossip key, so that this file need not know how packets are encrypted.
 */
const ackPayload = 100;
const packet = Buffer.concat([
  Buffer.from([0x02, 0x82, 0xa7]),
  Buffer.from('Payload'),
  Buffer.from([0xda, 0x00, ackPayload]),
  Buffer.alloc(ackPayload, 0x01),
  Buffer.from([0xa5]),
  Buffer.from('SeqNo'),
  Buffer.from([0xce, 0x7f, 0xff, 0xff, 0xff]),
]);
const host = '127.0.0.1';

const folder = temporaryFolder('fed-bench');
try {
  await using federation = await Federation.prepare({
    datacenters: ['dc1', 'dc2'],
    folder,
    config: { encrypt: '' },
  });
  federation.startAll();
  await federation.up();
  await federation.until('the federation has formed', 60_000, () => federation.formed());

  const { identity, cert, key } = makeCredentials(join(folder, 'tls'));

  const reads = await crossDatacenterReads(federation);
  const bareReads = await bareTlsRequests(cert, key, reads.bodyBytes);
  const gossip = await gossipThroughGateways(federation, identity);
  const bareGossip = await bareTlsFrames(cert, key);
  const relay = await relayLatency(federation, identity);
  const rss = Object.fromEntries(
    [...federation.sites.values()].map((s) => [
      s.datacenter,
      { server: s.server?.rssMiB(), gateway: s.gateway?.rssMiB() },
    ]),
  );

  const result = {
    benchmark: 'slice',
    seconds,
    reads: { ours: reads, bareTls: bareReads },
    gossip: { ours: gossip, bareTls: bareGossip },
    relay,
    rssMiB: rss,
  };
  printTable([
    ['', 'ours', 'baseline in the same run'],
    [
      `cross-datacenter reads/s over HTTP, ${readers} readers`,
      `${reads.perSecond} (p50 ${reads.p50Ms} ms, p99 ${reads.p99Ms} ms)`,
      `bare TLS request/response: ${bareReads.perSecond} (p50 ${bareReads.p50Ms} ms, p99 ${bareReads.p99Ms} ms)`,
    ],
    [
      `gossip packets/s through two gateways, ${packet.length} B`,
      String(gossip.perSecond),
      `bare TLS socket: ${bareGossip.perSecond}`,
    ],
    ['one call, straight to the server', `p50 ${relay.direct.p50Ms} ms, p99 ${relay.direct.p99Ms} ms`, ''],
    [
      'one call, through one relay',
      `p50 ${relay.throughGateway.p50Ms} ms, p99 ${relay.throughGateway.p99Ms} ms`,
      `bare TCP pipe: p50 ${relay.throughPipe.p50Ms} ms, p99 ${relay.throughPipe.p99Ms} ms`,
    ],
    [
      'added by one relay (p50)',
      `${round(relay.throughGateway.p50Ms - relay.direct.p50Ms)} ms`,
      `${round(relay.throughPipe.p50Ms - relay.direct.p50Ms)} ms`,
    ],
    [
      'RSS after all this, server / gateway',
      Object.values(rss)
        .map((r) => `${r.server} / ${r.gateway} MiB`)
        .join(', '),
      '',
    ],
  ]);
  console.log(JSON.stringify(result));
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function crossDatacenterReads(federation: Federation) {
  const url = `${federation.site('dc2').httpUrl}/v1/catalog/nodes?dc=dc1`;
  const agent = new Agent({ keepAlive: true, maxSockets: readers });
  let bodyBytes = 0;
  const turn = (): Promise<void> =>
    new Promise((resolve, reject) => {
      get(url, { agent }, (response) => {
        let size = 0;
        response.on('data', (chunk: Buffer) => {
          size += chunk.length;
        });
        response.on('end', () => {
          bodyBytes = size;
          if (response.statusCode === 200) resolve();
          else reject(new Error(`${url}: ${response.statusCode}`));
        });
      }).on('error', reject);
    });
  for (let i = 0; i < 200; i++) await turn();
  const measured = await rate(seconds, readers, turn);
  agent.destroy();
  return { ...measured, bodyBytes };
}

async function bareTlsRequests(cert: string, key: string, bytes: number) {
  await using echo = await openBaseline('tls-echo', cert, key);
  const payload = Buffer.alloc(bytes, 0x61);
  const idle = await Promise.all(Array.from({ length: readers }, () => openTls(echo.port)));
  const measured = await rate(seconds, readers, async () => {
    const socket = idle.pop() as TLSSocket;
    await roundTrip(socket, payload, payload.length);
    idle.push(socket);
  });
  for (const socket of idle) socket.destroy();
  return measured;
}

async function gossipThroughGateways(federation: Federation, identity: TlsIdentity) {
  const { gatewayPort } = federation.site('dc2');
  const socket = await dialAlpn({
    via: { host, port: gatewayPort },
    sni: serverSni({ node: 'n1', datacenter: 'dc1', domain: 'consul' }),
    alpn: alpn.wanGossipPacket,
    tls: identity,
  });
  const taken = async (): Promise<number> => {
    const { Counters } = await federation.get<{
      Counters: readonly { Name: string; Count: number; Labels: Record<string, string> }[];
    }>('dc1', '/v1/agent/metrics');
    return (
      Counters.find((c) => c.Name === 'fed.wanfed.packets_in' && c.Labels['datacenter'] === 'dc2')?.Count ?? 0
    );
  };
  const before = await taken();
  const began = performance.now();
  const sent = await flood(socket);
  await federation.until(
    'the server has taken all packets',
    30_000,
    async () => (await taken()) - before >= sent,
  );
  const perSecond = Math.round(sent / ((performance.now() - began) / 1000));
  socket.destroy();
  return { perSecond, sent };
}

async function bareTlsFrames(cert: string, key: string) {
  await using sink = await openBaseline('tls-sink', cert, key);
  const socket = await openTls(sink.port);
  const began = performance.now();
  const sent = await flood(socket);
  socket.end();
  const [answer] = (await once(socket, 'data')) as [Buffer];
  if (Number(answer.toString()) !== sent)
    throw new Error(`the sink took ${answer.toString()} of ${sent} frames`);
  return { perSecond: Math.round(sent / ((performance.now() - began) / 1000)), sent };
}

/** Frames for `seconds`, sixteen to a write, as a busy destination's queue makes them; waits whenever the socket is full. */
async function flood(socket: TLSSocket): Promise<number> {
  const batch = encodeFrames(Array.from({ length: 16 }, () => packet));
  const until = performance.now() + seconds * 1000;
  let sent = 0;
  while (performance.now() < until) {
    sent += 16;
    if (!socket.write(batch)) await once(socket, 'drain');
  }
  return sent;
}

async function relayLatency(federation: Federation, identity: TlsIdentity) {
  const { serverPort, gatewayPort } = federation.site('dc1');
  await using pipe = await openBaseline('tcp-pipe', String(serverPort));
  const measure = async (port: number) => {
    await using pool = openRpcPool({
      dial: (_target, signal) =>
        dialAlpn({
          via: { host, port },
          sni: serverSni({ node: 'n1', datacenter: 'dc1', domain: 'consul' }),
          alpn: alpn.rpcMulti,
          tls: identity,
          signal,
        }),
    });
    const target = { datacenter: 'dc1', node: 'n1', address: { host, port } };
    const call = () => pool.call(target, 'Status.Ping', {}, { timeoutMs: 5000 });
    for (let i = 0; i < 500; i++) await call();
    const tookMs: number[] = [];
    for (let i = 0; i < 3000; i++) {
      const began = performance.now();
      await call();
      tookMs.push(performance.now() - began);
    }
    return percentiles(tookMs);
  };
  return {
    direct: await measure(serverPort),
    throughGateway: await measure(gatewayPort),
    throughPipe: await measure(pipe.port),
  };
}
