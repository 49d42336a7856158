/**
 * check-packages.mjs: packs every published package as npm would, lints the tarballs (publint, are-the-types-wrong),
 * then installs all of them together in an empty project and imports each as ESM and as CJS.
 */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const out = mkdtempSync(join(tmpdir(), 'fed-pack-'));
const sh = (command, args, options = {}) =>
  execFileSync(command, args, { stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8', ...options });
const overrides = {};
const libraries = [];
/** Each library under every name it can be imported by. */
const doors = [];

try {
  for (const group of ['packages', 'apps'])
    for (const folder of readdirSync(group)) {
      const cwd = join(group, folder);
      const manifest = JSON.parse(readFileSync(join(cwd, 'package.json'), 'utf8'));
      if (!existsSync(join(cwd, 'README.md'))) throw new Error(`${manifest.name}: no README.md`);
      if (manifest.private) continue;
      const file = join(out, `${manifest.name.replace('@', '').replace('/', '-')}-${manifest.version}.tgz`);
      sh('pnpm', ['pack', '--out', file], { cwd });
      sh('pnpm', ['exec', 'publint', 'run', file, '--strict']);
      if (!manifest.bin) {
        sh('pnpm', ['exec', 'attw', file, '--profile', 'node16', '--format', 'ascii']);
        libraries.push(manifest.name);
        for (const door of Object.keys(manifest.publishConfig.exports))
          if (door !== './package.json') doors.push(manifest.name + door.slice(1));
      }
      if (/workspace:|catalog:|@fed\/source/.test(sh('tar', ['xzOf', file, 'package/package.json'])))
        throw new Error(
          `${manifest.name}: the packed manifest still holds workspace words and cannot be published`,
        );
      overrides[manifest.name] = `file:${file}`;
    }

  const app = join(out, 'consumer');
  mkdirSync(app);
  const yaml = Object.entries(overrides)
    .map(([name, file]) => `  '${name}': '${file}'`)
    .join('\n');
  writeFileSync(join(app, 'package.json'), JSON.stringify({ private: true, dependencies: overrides }));
  writeFileSync(
    join(app, 'pnpm-workspace.yaml'),
    `pmOnFail: ignore\npackages: ['.']\nallowBuilds:\n  protobufjs: false\noverrides:\n${yaml}\n`,
  );
  sh('pnpm', ['install', '--prefer-offline', '--no-frozen-lockfile'], { cwd: app });
  for (const name of doors) {
    const filled = (load) => `if (!Object.keys(${load}('${name}')).length) process.exit(1)`;
    sh('node', ['--input-type=module', '-e', filled('await import')], { cwd: app });
    sh('node', ['--input-type=commonjs', '-e', filled('require')], { cwd: app });
  }
  console.log(
    `packages: ${libraries.length} libraries and ${Object.keys(overrides).length - libraries.length} apps packed, linted and imported`,
  );
} finally {
  rmSync(out, { recursive: true, force: true });
}
