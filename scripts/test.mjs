/**
 * test.mjs: all tests that need nothing but npm packages, in one vitest; ends with one line that counts them.
 * Arguments go to vitest: `npm test -- packages/fsm`, `npm test -- -t 'suspicion'`.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';

const folder = mkdtempSync(join(tmpdir(), 'fed-test-'));
const report = join(folder, 'report.json');
const args = process.argv.slice(2).filter((word) => word !== '--');
// Whole stories wait for processes more than they compute; by itself vitest would leave a core free.
const workers = `--maxWorkers=${availableParallelism() + 1}`;
const { status } = spawnSync(
  'vitest',
  ['run', workers, '--reporter=dot', '--reporter=json', `--outputFile.json=${report}`, ...args],
  { stdio: 'inherit', shell: process.platform === 'win32' },
);
try {
  const { numPassedTests, numFailedTests } = JSON.parse(readFileSync(report, 'utf8'));
  console.log(`\n${numPassedTests} passed, ${numFailedTests} failed`);
} catch {
  console.error('vitest wrote no report');
}
rmSync(folder, { recursive: true, force: true });
process.exit(status ?? 1);
