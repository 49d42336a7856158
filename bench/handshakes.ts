/**
 * handshakes.ts: what a new connection costs the server that takes it, beside a bare tls.Server, and the port alone, without
 * yamux and without a server behind it.
 *
 * All do the same cryptography: certificates of one CA and key type on both sides, verified on both, TLS 1.3 with the groups
 * and ciphers of node, one ALPN name, no resumption; with the same client, which ends each connection as soon as it stands.
 * CPU time is that of the accepting process alone, less what it uses when nobody comes.
 */
import { rmSync } from 'node:fs';
import { temporaryFolder } from '@fed/tooling/federation';
import { openOurs } from './lib/agents.ts';
import { openBaseline } from './lib/child.ts';
import { makeCredentials } from './lib/credentials.ts';
import { compareHandshakes, handshakeRows } from './lib/handshakes.ts';
import { printTable } from './lib/measure.ts';

const turns = Number(process.env['FED_BENCH_ROUNDS'] ?? 400);

const folder = temporaryFolder('fed-bench-handshakes');
try {
  await using server = await openOurs(folder);
  const credentials = makeCredentials(folder);
  const { cert, key, ca } = credentials;
  await using bare = await openBaseline('tls-mutual', cert, key, ca);
  await using door = await openBaseline('door', cert, key, ca);
  const those = {
    'bare tls.Server': bare,
    'the port alone': door,
    'the server': { port: server.serverPort, pid: server.pid },
  };
  const all = await compareHandshakes(those, credentials, turns);
  printTable(handshakeRows(all));
  console.log(JSON.stringify({ benchmark: 'handshakes', turns, all }));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
