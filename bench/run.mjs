/**
 * run.mjs: `npm run bench [-- NAME…]`. Each benchmark prints a table and one JSON line; each number stands beside a
 * baseline taken in the same run on the same machine, because numbers of different days and machines do not compare.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { debian, envoy, envoyVersions, Missing } from '../interop/peers.mjs';

const known = [
  'slice',
  'gateway',
  'xds',
  'gossip',
  'federation',
  'state',
  'rpc',
  'handshakes',
  'door',
  'hostile',
];
const asked = process.argv.slice(2).filter((word) => word !== '--');
const usage = `npm run bench -- [NAME…]      all without a name; there are: ${known.join(', ')}`;
if (asked.includes('--help') || asked.includes('-h')) {
  console.log(usage);
  process.exit(0);
}
const unknown = asked.filter((name) => !known.includes(name));
if (unknown.length > 0) {
  console.error(`no benchmark '${unknown.join("', '")}'\n\n${usage}`);
  process.exit(2);
}
/** Other programs a benchmark measures beside ours, by the variable it looks for them in; installed where they are not. */
const baselines = {
  gateway: {
    HAPROXY_BIN: () => debian('haproxy', 'haproxy', process.env.HAPROXY_BIN),
    ENVOY_BIN: () => envoy(envoyVersions.newest),
  },
};

function found(name) {
  const environment = {};
  for (const [variable, find] of Object.entries(baselines[name] ?? {}))
    try {
      environment[variable] = find();
    } catch (cause) {
      if (!(cause instanceof Missing)) throw cause;
      console.error(`SKIPPED: ${cause.message}`);
    }
  return environment;
}

for (const name of asked.length > 0 ? asked : known) {
  const file = fileURLToPath(new URL(`${name}.ts`, import.meta.url));
  const { status } = spawnSync(
    process.execPath,
    ['--conditions=@fed/source', '--disable-warning=ExperimentalWarning', file],
    { stdio: 'inherit', env: { ...process.env, ...found(name) } },
  );
  if (status !== 0) process.exit(status ?? 1);
}
