import { expect, test } from 'vitest';
import { EnvoyError, findEnvoy } from './binary.ts';

const says = (text: string) => ({ find: () => '/usr/bin/envoy', output: async () => text });
const versioned = (v: string) =>
  says(`\n/usr/bin/envoy  version: 9e5580933739775e/${v}/Clean/RELEASE/BoringSSL\n\n`);

test('envoy: the one on PATH, or the one given; its version is the first x.y.z it says', async () => {
  const found = { path: '/usr/bin/envoy', version: '1.36.2', untested: false };
  expect(await findEnvoy(versioned('1.36.2'), {})).toEqual(found);
  expect(await findEnvoy(versioned('1.36.2'), { given: '/opt/envoy' })).toEqual({
    ...found,
    path: '/opt/envoy',
  });
});

test.each([
  ['1.30.0', false],
  ['1.40.9', false],
  ['1.41.0', true],
  ['2.0.0', true],
])('envoy %s is taken; newer than any we have run against: %s', async (version, untested) => {
  expect(await findEnvoy(versioned(version), {})).toMatchObject({ version, untested });
});

test('envoy below the floor is refused, unless asked for', async () => {
  await expect(findEnvoy(versioned('1.29.12'), {})).rejects.toMatchObject({
    code: 'envoy_too_old',
    message: expect.stringContaining('--ignore-envoy-compatibility'),
  });
  expect(await findEnvoy(versioned('1.9.0'), { anyVersion: true })).toMatchObject({ version: '1.9.0' });
});

test('no envoy, one that does not run, one that is something else: each with its remedy', async () => {
  const missing = { find: () => undefined, output: async () => '' };
  await expect(findEnvoy(missing, {})).rejects.toMatchObject({
    code: 'envoy_missing',
    message: expect.stringContaining('--envoy-binary'),
  });
  const broken = {
    find: () => '/usr/bin/envoy',
    output: () => Promise.reject(new Error('spawn ENOEXEC\n  at x')),
  };
  await expect(findEnvoy(broken, {})).rejects.toThrow(
    new EnvoyError(
      'envoy_unusable',
      '/usr/bin/envoy --version: spawn ENOEXEC; is this an Envoy for this machine?',
    ),
  );
  await expect(findEnvoy(says('GNU coreutils'), {})).rejects.toMatchObject({ code: 'envoy_unusable' });
});
