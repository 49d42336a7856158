/**
 * run.mjs: our packages beside the real programs: `node interop/run.mjs [NAME…]`, all peers when none is named.
 *
 * Finds or installs each peer (peers.mjs), runs the tests in the folder of its name, adds up. A peer that cannot be had is
 * skipped, loudly; FED_REQUIRE_PEERS=a,b makes the run fail instead when one of these was to run and is missing.
 * Must not need anything that is not in Node itself, except vitest to run the tests.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Missing, peers } from './peers.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const vitest = join(here, 'node_modules/vitest/vitest.mjs');
/** The pinned Node if it has been installed; the one we run on otherwise. */
const pinnedNode = join(here, '../node_modules/.bin/node');
const node = existsSync(pinnedNode) ? pinnedNode : process.execPath;

const known = Object.keys(peers);
const named = process.argv.slice(2).filter((arg) => arg !== '--');
if (named.includes('--help') || named.includes('-h')) {
  console.log(`npm run interop -- [NAME…]      all without a name; there are: ${known.join(', ')}

  FED_REQUIRE_PEERS=a,b  fail, instead of skipping, when one of these cannot be had
  CONSUL_BIN=path        a real Consul, which is never fetched: needed for consul, and used by chaos`);
  process.exit(0);
}
const required = (process.env.FED_REQUIRE_PEERS ?? '').split(',').filter((name) => name !== '');
for (const [source, names] of [
  ['argument', named],
  ['FED_REQUIRE_PEERS', required],
])
  for (const name of names)
    if (!known.includes(name)) {
      console.error(`interop: ${source}: no peer '${name}'. Known: ${known.join(', ')}`);
      process.exit(2);
    }
if (!existsSync(vitest)) {
  console.error('interop: the dependencies are not installed: start with npm run interop');
  process.exit(2);
}

// A terminal's Ctrl-C reaches the whole process group; vitest ends its tests, and we clean up after it.
process.on('SIGINT', () => {});

const folder = mkdtempSync(join(tmpdir(), 'fed-interop-'));
const total = { passed: 0, failed: 0 };
const skipped = [];
try {
  for (const name of named.length === 0 ? known : new Set(named)) {
    const found = look(name);
    if (found === undefined) continue;
    console.log(`\ninterop: ${name}: against ${peers[name].what}`);
    const { passed, failed } = test(name, found);
    total.passed += passed;
    total.failed += failed;
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

const lacking = skipped.filter(({ name }) => required.includes(name));
if (skipped.length > 0) {
  console.error(`\n${'='.repeat(80)}`);
  for (const { name, why } of skipped)
    console.error(
      `SKIPPED ${name}: ${peers[name].what} is missing: ${why}\n    to have it: ${peers[name].how}`,
    );
  console.error(`${'='.repeat(80)}\n`);
}
for (const { name } of lacking) console.error(`interop: ${name} is required by FED_REQUIRE_PEERS`);
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed > 0 || lacking.length > 0 ? 1 : 0;

/** Environment variables for the tests of a peer, or undefined when it is missing. */
function look(name) {
  try {
    return peers[name].find(folder);
  } catch (cause) {
    if (!(cause instanceof Missing)) throw cause;
    skipped.push({ name, why: cause.message });
    return undefined;
  }
}

/** Runs the tests of one folder. A run that breaks down outside of its tests counts as one failure. */
function test(name, environment) {
  const report = join(folder, `${name}.json`);
  const args = [
    'run',
    '--dir',
    join(here, name),
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
  ];
  const { status, signal } = spawnSync(node, [vitest, ...args], {
    cwd: here,
    stdio: 'inherit',
    env: { ...process.env, ...environment },
  });
  const { numPassedTests: passed = 0, numFailedTests: failed = 0 } = existsSync(report)
    ? JSON.parse(readFileSync(report, 'utf8'))
    : {};
  if (status === 0 && passed > 0) return { passed, failed };
  console.error(`interop: ${name}: vitest ended with ${signal ?? status} after ${passed} passed tests`);
  return { passed, failed: Math.max(failed, 1) };
}
