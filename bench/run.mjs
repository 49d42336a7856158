/**
 * run.mjs: `npm run bench [-- NAME…]`. Each benchmark prints a table and one JSON line; each number stands beside a
 * baseline taken in the same run on the same machine, because numbers of different days and machines do not compare.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const known = ['slice', 'gateway', 'xds', 'gossip', 'federation', 'state'];
const asked = process.argv.slice(2).filter((word) => word !== '--');
const unknown = asked.filter((name) => !known.includes(name));
if (unknown.length > 0) {
  console.error(`no benchmark '${unknown.join("', '")}'; known are: ${known.join(', ')}`);
  process.exit(1);
}
for (const name of asked.length > 0 ? asked : known) {
  const file = fileURLToPath(new URL(`${name}.ts`, import.meta.url));
  const { status } = spawnSync(
    process.execPath,
    ['--conditions=@fed/source', '--disable-warning=ExperimentalWarning', file],
    { stdio: 'inherit' },
  );
  if (status !== 0) process.exit(status ?? 1);
}
