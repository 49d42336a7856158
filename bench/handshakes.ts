/**
 * handshakes.ts: what a new connection costs the server that takes it, beside a bare tls.Server, and the port alone, without
 * yamux and without a server behind it.
 *
 * All do the same cryptography: certificates of one CA and key type on both sides, verified on both, TLS 1.3 with the groups
 * and ciphers of node, one ALPN name, no resumption; with the same client, which ends each connection as soon as it stands.
 * CPU time is that of the accepting process alone, less what it uses when nobody comes.
 */
import { copyFileSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '@fed/tooling/federation';
import { type AgentProcess, openOurs } from './lib/agents.ts';
import { type Baseline, openBaseline } from './lib/child.ts';
import { makeCredentials } from './lib/credentials.ts';
import { compareHandshakes, handshakeRows } from './lib/handshakes.ts';
import { printTable } from './lib/measure.ts';

const turns = Number(process.env['FED_BENCH_ROUNDS'] ?? 250);
const processes = 2;

const folder = temporaryFolder('fed-bench-handshakes');
try {
  await using all = new AsyncDisposableStack();
  const servers: AgentProcess[] = [];
  for (let n = 0; n < processes; n++) servers.push(all.use(await openOurs(sharing(folder, n))));
  const credentials = makeCredentials(folder);
  const { cert, key, ca } = credentials;
  const baselines = async (kind: string): Promise<Baseline[]> => {
    const opened = await Promise.all(
      Array.from({ length: processes }, () => openBaseline(kind, cert, key, ca)),
    );
    for (const one of opened) all.use(one);
    return opened;
  };
  const those = {
    'bare tls.Server': await baselines('tls-mutual'),
    'the port alone': await baselines('door'),
    'the server': servers.map(({ serverPort: port, pid }) => ({ port, pid })),
  };
  const compared = await compareHandshakes(those, credentials, turns);
  printTable(handshakeRows(compared));
  console.log(JSON.stringify({ benchmark: 'handshakes', turns, processes, all: compared }));
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** A folder for a further server, with the CA of the first. */
function sharing(first: string, n: number): string {
  if (n === 0) return first;
  const own = join(first, String(n));
  mkdirSync(own);
  for (const file of ['consul-agent-ca.pem', 'consul-agent-ca-key.pem'])
    copyFileSync(join(first, file), join(own, file));
  return own;
}
