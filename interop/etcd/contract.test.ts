/** The etcd in memory, on which the log is tested on virtual time, does as the real one does: one test for both. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { TempFolder } from '../lib/temp-folder.ts';
import { EtcdCluster } from './cluster.ts';

const room = fileURLToPath(new URL('../../packages/fsm', import.meta.url));

test('what the log relies on holds for both', { timeout: 90_000 }, async () => {
  await using cluster = await EtcdCluster.open(1);
  await using folder = await TempFolder.open();
  const report = join(folder.path, 'report.json');
  const args = ['run', 'test/etcd-contract.test.ts', '--reporter=json', `--outputFile=${report}`];
  const env = { ...process.env, FSM_ETCD: cluster.endpoints[0] };
  await promisify(execFile)(process.execPath, ['node_modules/vitest/vitest.mjs', ...args], {
    cwd: room,
    env,
  });
  const { numPassedTests, numTotalTests } = JSON.parse(await readFile(report, 'utf8')) as Record<
    string,
    number
  >;
  expect(numPassedTests).toBe(numTotalTests);
  expect(numTotalTests).toBeGreaterThanOrEqual(14);
});
