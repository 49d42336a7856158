/**
 * run.mjs: the one way in. `npm run <task>` lands here on whatever Node the machine has; this script brings the
 * pinned pnpm along through npx, and pnpm brings the pinned Node along as an ordinary locked dependency.
 *
 * Must not need anything that is not in Node itself: it runs before the first install.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { packageManager } = JSON.parse(readFileSync(`${root}/package.json`, 'utf8'));
const [task = 'test', ...rest] = process.argv.slice(2);

if (Number(process.versions.node.split('.')[0]) < 20) {
  console.error(`Node 20 or newer is needed to start; this is ${process.version}.`);
  process.exit(1);
}

const runningInPnpm = process.env.npm_config_user_agent?.split(' ')[0] === packageManager.replace('@', '/');
const [command, ...prefix] = runningInPnpm ? ['pnpm'] : ['npx', '--prefer-offline', '--yes', packageManager];

// A terminal's Ctrl-C reaches the whole process group; the child decides what it means and we report its verdict.
process.on('SIGINT', () => {});

const { status, signal, error } = spawnSync(command, [...prefix, 'run', `task:${task}`, ...rest], {
  cwd: root,
  stdio: 'inherit',
  shell: process.platform === 'win32',
  env: {
    ...process.env,
    DO_NOT_TRACK: '1',
    TURBO_TELEMETRY_DISABLED: '1',
    npm_config_update_notifier: 'false',
    npm_config_fund: 'false',
    npm_config_audit: 'false',
  },
});
if (error) console.error(error.message);
process.exit(status ?? (signal === 'SIGINT' ? 130 : 1));
