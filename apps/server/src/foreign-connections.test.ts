import type { Accepted } from '@fed/alpn-mux';
import { expect, test } from 'vitest';
import { ForeignConnections } from './foreign-connections.ts';

function visit(port: number, datacenter: string): Accepted {
  return {
    remote: { host: '192.0.2.1', port },
    alpn: 'consul/rpc-multi',
    peer: { names: [], fingerprint: '', server: { node: 'n1', datacenter } },
  } as unknown as Accepted;
}

test('foreign connections: the newest 1,024 are kept, the oldest first; all are counted', () => {
  let wallMs = 0;
  const visited: string[] = [];
  const foreign = new ForeignConnections({
    datacenter: 'dc1',
    wallMs: () => wallMs,
    visited: (peer) => visited.push(peer.datacenter),
  });
  const handled: number[] = [];
  const handle = foreign.noting((conn) => handled.push(conn.remote.port));
  for (let port = 1; port <= 2_500; port++) {
    wallMs = port;
    handle(visit(port, port % 2 === 0 ? 'dc2' : 'dc1'));
    if (port !== 6) continue;
    expect(foreign.report().connections.map((c) => c.remotePort)).toEqual([2, 4, 6]);
  }
  const { total, connections } = foreign.report();
  expect([handled.length, visited.length, total]).toEqual([2_500, 1_250, 1_250]);
  expect(connections.map((c) => c.remotePort)).toEqual(
    Array.from({ length: 1_024 }, (_, n) => 2_500 - 2 * (1_023 - n)),
  );
  expect(connections[0]).toEqual({
    datacenter: 'dc2',
    node: 'n1',
    protocol: 'consul/rpc-multi',
    remoteHost: '192.0.2.1',
    remotePort: 454,
    at: '1970-01-01T00:00:00.454Z',
  });
});
