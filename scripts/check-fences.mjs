/**
 * check-fences.mjs: fails when a source file looks into a room it may not, or when a deciding folder does I/O.
 * The rules and their reasons are in fences.mjs.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pure, rooms, testsOnly } from './fences.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const problems = [];

for (const folder of ['packages', 'apps'])
  for (const name of readdirSync(join(root, folder))) check(name, join(root, folder, name));
for (const name of ['bench', 'interop']) check(name, join(root, name));

if (problems.length > 0) {
  console.error(problems.join('\n'));
  process.exit(1);
}
console.log(`fences: ${rooms.length} rooms, no arrow points the wrong way`);

function check(name, folder) {
  const fence = rooms.find((r) => r.room === name);
  if (fence === undefined) {
    problems.push(`${name}: a room without a fence; add it to scripts/fences.mjs with its reason`);
    return;
  }
  for (const file of sources(folder)) {
    const text = readFileSync(file, 'utf8');
    const isTest =
      file.endsWith('.test.ts') || file.includes('/test/') || name === 'bench' || name === 'interop';
    const where = relative(root, file);
    for (const [, target] of text.matchAll(/(?:from|import)\s*\(?\s*'@fed\/([a-z-]+)[^']*'/g)) {
      if (target === name || target === 'tooling') continue;
      if (testsOnly.includes(target) && !isTest) problems.push(`${where}: @fed/${target} is for tests only`);
      else if (!isTest && fence.into !== '*' && !fence.into.includes(target))
        problems.push(`${where}: ${name} may not look into ${target}, because ${fence.because}`);
    }
    for (const [, target] of text.matchAll(/from '((?:\.\.\/)+(?:packages|apps)\/[^']+)'/g))
      problems.push(`${where}: '${target}' climbs over the fence; import the package by its name`);
    const inner = relative(join(folder, 'src'), dirname(file)).split('/');
    if (!isTest && inner.some((part) => pure.folders.includes(basename(part)))) {
      const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
      for (const { pattern, because } of pure.forbidden)
        if (pattern.test(code))
          problems.push(`${where}: ${pattern} has no place where decisions are made: ${because}`);
    }
  }
}

function* sources(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && !['node_modules', 'dist', '.turbo', 'vectors'].includes(entry.name))
      yield* sources(path);
    else if (/\.(ts|mjs)$/.test(entry.name)) yield path;
  }
}
