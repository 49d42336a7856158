import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { expect, test } from 'vitest';
import { systemPrograms as programs } from './programs.ts';

test('programs: found on PATH only if they can be run; what they say, and that they fail, is told', async () => {
  const sh = programs.find('sh') as string;
  expect(sh).toMatch(/\/sh$/);
  expect(programs.find('no-such-program-anywhere')).toBeUndefined();
  expect(await programs.output(sh, ['-c', 'echo 1.2.3'])).toBe('1.2.3\n');
  await expect(programs.output(sh, ['-c', 'exit 3'])).rejects.toThrow();
  await expect(programs.start('/no/such/program', [])).rejects.toMatchObject({ code: 'ENOENT' });
});

test('programs: the exit status; 128 and the number of the signal for one that was killed', async () => {
  const sh = programs.find('sh') as string;
  expect(await (await programs.start(sh, ['-c', 'exit 7'])).ended).toBe(7);
  const waiting = await programs.start(sh, ['-c', 'exec sleep 600']);
  programs.forward('SIGTERM');
  expect(await waiting.ended).toBe(128 + 15);
});

test('programs: a secret is ours alone to read, and gone with its folder', () => {
  const secret = programs.secret('s.json', 'hush');
  expect(readFileSync(secret.path, 'utf8')).toBe('hush');
  expect(statSync(secret.path).mode & 0o777).toBe(0o600);
  expect(statSync(dirname(secret.path)).mode & 0o777).toBe(0o700);
  secret[Symbol.dispose]();
  expect(existsSync(dirname(secret.path))).toBe(false);
});
