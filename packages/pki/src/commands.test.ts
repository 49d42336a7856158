/** What the command lines do beyond the recorded runs. */
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { MemoryFiles } from '../test/memory-files.ts';
import { caCreate, certCreate } from './commands.ts';
import { certificateFileNames, fileNumberMax } from './file-names.ts';
import { systemFiles } from './system.ts';

describe('commands', () => {
  test('a CA key that exists is as safe as a CA certificate that exists', async () => {
    const files = new MemoryFiles();
    files.texts.set('consul-agent-ca-key.pem', 'precious');
    expect(await caCreate({}, files)).toEqual({
      stdout: [],
      stderr: ['consul-agent-ca-key.pem already exists.'],
      exitCode: 1,
    });
    expect([...files.texts]).toEqual([['consul-agent-ca-key.pem', 'precious']]);
  });

  test('files are called after the domain, and #DOMAIN# finds them again', async () => {
    const files = new MemoryFiles();
    await caCreate({ domain: 'example' }, files);
    const outcome = await certCreate({ client: true, dc: 'dc9', domain: 'example' }, files);
    expect(outcome.stdout.slice(0, 3)).toEqual([
      '==> Using example-agent-ca.pem and example-agent-ca-key.pem',
      '==> Saved dc9-client-example-0.pem',
      '==> Saved dc9-client-example-0-key.pem',
    ]);
  });

  test('a certificate is numbered so that neither of its files exists', () => {
    const taken = new Set(['dc1-cli-consul-0.pem', 'dc1-cli-consul-1-key.pem']);
    const o = { kind: 'cli' as const, datacenter: 'dc1', domain: 'consul' };
    expect(certificateFileNames(o, (path) => taken.has(path))).toEqual({
      certificate: 'dc1-cli-consul-2.pem',
      key: 'dc1-cli-consul-2-key.pem',
    });
  });

  test('when every number is taken the command says so', async () => {
    const files = new MemoryFiles();
    await caCreate({}, files);
    for (let n = 0; n <= fileNumberMax; n += 1) files.texts.set(`dc1-cli-consul-${n}.pem`, '');
    const outcome = await certCreate({ cli: true }, files);
    expect(outcome.stderr).toEqual(["Could not find a filename that doesn't already exist"]);
  });

  test('an empty -key is asked for', async () => {
    expect((await certCreate({ server: true, key: '' }, new MemoryFiles())).stderr).toEqual([
      'Please provide the key',
    ]);
  });

  test('a key of another kind, an empty datacenter, a bad address: text and exit code, nothing written', async () => {
    const files = new MemoryFiles();
    await caCreate({}, files);
    files.texts.set('bad.pem', 'nonsense');
    const before = files.texts.size;
    const outcomes = [
      await certCreate({ server: true, key: 'bad.pem' }, files),
      await certCreate({ server: true, dc: '' }, files),
      await certCreate({ server: true, additionalIpAddresses: ['1.2.3'] }, files),
    ];
    expect(outcomes.map((o) => o.exitCode)).toEqual([1, 1, 1]);
    expect(outcomes.map((o) => o.stderr.length)).toEqual([1, 1, 1]);
    expect(files.texts.size).toBe(before);
  });

  test('on a real disk: keys are readable by their owner alone, and nothing is overwritten', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'fed-pki-'));
    try {
      const files = {
        ...systemFiles,
        exists: (path: string) => systemFiles.exists(join(dir, path)),
        read: (path: string) => systemFiles.read(join(dir, path)),
        write: (path: string, text: string, mode: number) => systemFiles.write(join(dir, path), text, mode),
      };
      await caCreate({}, files);
      expect(statSync(join(dir, 'consul-agent-ca-key.pem')).mode & 0o777).toBe(0o600);
      const before = readFileSync(join(dir, 'consul-agent-ca.pem'), 'utf8');
      const race = { ...files, exists: () => false }; // it appears after the look
      const outcome = await caCreate({}, race);
      expect(outcome).toMatchObject({ exitCode: 1, stderr: ['open consul-agent-ca.pem: file exists'] });
      expect(readFileSync(join(dir, 'consul-agent-ca.pem'), 'utf8')).toBe(before);
      expect((await certCreate({ cli: true, ca: '.' }, files)).stderr).toEqual([
        'Error reading CA: read .: is a directory',
      ]);
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});
