/**
 * demo.mjs: three datacenters on this machine, joined through their mesh gateways, for whoever has just arrived.
 */
import { rmSync } from 'node:fs';
import { commandLine } from '@fed/tooling/command-line';
import { Federation, temporaryFolder } from '@fed/tooling/federation';

const usage = `npm run demo -- [--once] [--json]
  --once  end by itself once everything was shown; without it the demo stays up until Ctrl-C
  --json  end with one JSON verdict on stdout, exit code 0 if all held; progress goes to stderr`;
const { values: flags } = commandLine(usage, {
  once: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
});

const datacenters = ['dc1', 'dc2', 'dc3'];
const say = (text) => (flags.json ? process.stderr : process.stdout).write(`${text}\n`);
const began = performance.now();
const step = (text) => say(`${String(Math.round(performance.now() - began)).padStart(6)} ms  ${text}`);
const folder = temporaryFolder('fed-demo');
const interrupted = new Promise((resolve) => {
  process.once('SIGINT', () => resolve('SIGINT'));
  process.once('SIGTERM', () => resolve('SIGTERM'));
});

let exitCode = 1;
let federation;
try {
  const story = tell();
  const ended = await Promise.race([story, interrupted.then(() => 'interrupted')]);
  if (ended === 'interrupted') {
    say('\nstopping …');
    exitCode = flags.once ? 130 : 0;
    story.catch(() => {}); // what it was waiting for is being taken away
  } else exitCode = ended;
} catch (error) {
  say(`\nthe demo failed: ${error.message}`);
  if (flags.json) console.log(JSON.stringify({ ok: false, error: error.message }));
} finally {
  await federation?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
}
process.exit(exitCode);

async function tell() {
  federation = await Federation.prepare({ datacenters, folder, step });
  const started = performance.now();
  step('starting a server and a mesh gateway for each of dc1 (primary), dc2 and dc3');
  for (const s of federation.sites.values())
    step(
      `  ${s.datacenter}: HTTP ${s.httpUrl}, server port ${s.serverPort}, gateway 127.0.0.1:${s.gatewayPort}`,
    );
  federation.startAll();
  await federation.up();
  const upMs = performance.now() - started;
  step('all six processes are up; dc2 and dc3 know the address of dc1’s gateway and nothing else');

  const formedMs = await federation.until('the federation has formed', 60_000, () => federation.formed());
  step(
    `formed: every server sees every server alive, knows every datacenter’s gateway and reads every catalog (${Math.round(formedMs)} ms after the last process was up)`,
  );

  const readBegan = performance.now();
  const nodes = await federation.get('dc2', '/v1/catalog/nodes?dc=dc3');
  const readMs = round(performance.now() - readBegan);
  const readOk = nodes.length === 1 && nodes[0].Datacenter === 'dc3';
  step(
    `dc2’s server read dc3’s catalog: ${nodes.map((n) => `${n.Node} in ${n.Datacenter}`).join(', ')} (${readMs} ms)`,
  );

  const direct = await federation.directForeignConnections();
  const verdict = {
    ok: false,
    datacenters,
    wanMembers: {},
    federationStates: {},
    crossDatacenterRead: { from: 'dc2', to: 'dc3', ok: readOk, ms: readMs },
    directForeignConnections: direct,
    timings: {
      upMs: round(upMs),
      formedMs: round(formedMs),
      readMs,
      totalMs: round(performance.now() - began),
    },
    rssMiB: {},
  };
  for (const { datacenter, server, gateway } of federation.sites.values()) {
    verdict.wanMembers[datacenter] = await federation.wanMembers(datacenter);
    verdict.federationStates[datacenter] = await federation.federationStates(datacenter);
    verdict.rssMiB[datacenter] = { server: server.rssMiB(), gateway: gateway.rssMiB() };
  }
  verdict.ok =
    readOk &&
    direct === 0 &&
    datacenters.every(
      (dc) =>
        verdict.wanMembers[dc].length === 3 &&
        datacenters.every((of) => verdict.federationStates[dc][of] === 1),
    );

  show(verdict);
  if (flags.json) console.log(JSON.stringify(verdict));
  if (flags.once) return verdict.ok ? 0 : 1;
  invite();
  await interrupted;
  return 'interrupted';
}

function show(verdict) {
  const table = [
    ['seen from', 'members of the WAN pool', 'gateways per datacenter', 'RSS server / gateway'],
    ...datacenters.map((dc) => [
      dc,
      verdict.wanMembers[dc].join(' '),
      Object.entries(verdict.federationStates[dc])
        .map(([of, count]) => `${of}:${count}`)
        .join(' '),
      `${verdict.rssMiB[dc].server} / ${verdict.rssMiB[dc].gateway} MiB`,
    ]),
  ];
  const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)));
  say('');
  for (const row of table)
    say(
      `  ${row
        .map((cell, column) => cell.padEnd(widths[column]))
        .join('   ')
        .trimEnd()}`,
    );
  say('');
  say(`  connections from another datacenter that passed no gateway: ${verdict.directForeignConnections}`);
  say(
    `  up ${verdict.timings.upMs} ms, formed ${verdict.timings.formedMs} ms later, read dc3 from dc2 in ${verdict.timings.readMs} ms`,
  );
}

function invite() {
  const { httpUrl } = federation.site('dc2');
  const address = httpUrl.replace('http://', '');
  say(`
  It stays up until Ctrl-C. Look at:
    ${httpUrl}/v1/agent/members?wan=1&pretty
    ${httpUrl}/v1/internal/federation-states?pretty
    ${httpUrl}/v1/catalog/nodes?dc=dc3&pretty
    ${httpUrl}/v1/agent/federation?pretty            how dc2 reaches each datacenter, and why that way
    ${federation.site('dc2').adminUrl}/metrics         the gateway’s counters
  Try:
    npm run -s fed -- members --wan --http-addr ${address}
    npm run -s fed -- federation-state gateways --http-addr ${address}
    npm run -s fed -- explain dc3 --http-addr ${address}
    kill -9 ${federation.site('dc2').gateway.pid}      then read dc2 from dc3: the error names the hop
      curl '${federation.site('dc3').httpUrl}/v1/catalog/nodes?dc=dc2'
  Logs and configuration: ${folder}
`);
}

function round(ms) {
  return Math.round(ms * 10) / 10;
}
