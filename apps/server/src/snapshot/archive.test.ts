import { gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { readArchive, writeArchive } from './archive.ts';
import { byteSize, inspect } from './inspect.ts';
import { readTar, TarError, writeTar } from './tar.ts';

/** A header and two records, as they stand in state.bin: {LastIndex: 7}, Index{…}, Index{…}. */
const text = (s: string): Buffer => Buffer.concat([Buffer.from([0xa0 + s.length]), Buffer.from(s)]);
const record = (key: string): Buffer =>
  Buffer.concat([Buffer.from([16, 0x82]), text('Key'), text(key), text('Value'), Buffer.from([7])]);
const state = Buffer.concat([
  Buffer.from([0x81]),
  text('LastIndex'),
  Buffer.from([7]),
  record('nodes'),
  record('checks'),
]);
const archive = () =>
  writeArchive({
    state,
    index: 7,
    term: 2,
    server: { id: 'id', address: '192.0.2.1:8300' },
    wallMs: 1_700_000_000_000,
  });

test('archive: what was packed comes out again', async () => {
  const { meta, state: out } = await readArchive(await archive());
  expect(meta).toEqual({ Version: 1, ID: '2-7-1700000000000', Index: 7, Term: 2, Size: state.length });
  expect(Buffer.compare(out, state)).toBe(0);
});

test('archive: the members are those of the original, in its order', async () => {
  const files = readTar(gunzipSync(await archive()));
  expect(files.map(({ name }) => name)).toEqual(['meta.json', 'state.bin', 'SHA256SUMS']);
  expect(JSON.parse(Buffer.from(files[0]?.bytes ?? []).toString())).toMatchObject({
    Peers: Buffer.from('\x91\xae192.0.2.1:8300', 'latin1').toString('base64'),
    Configuration: { Servers: [{ Suffrage: 0, ID: 'id', Address: '192.0.2.1:8300' }] },
  });
});

describe('archive: what is refused', () => {
  const repacked = async (change: (files: Map<string, Uint8Array>) => void): Promise<Buffer> => {
    const files = new Map(readTar(gunzipSync(await archive())).map(({ name, bytes }) => [name, bytes]));
    change(files);
    return gzipSync(
      writeTar(
        [...files].map(([name, bytes]) => ({ name, bytes })),
        0,
      ),
    );
  };
  const code = (expected: string) => expect.objectContaining({ code: expected });
  test('what is no gzip', () => expect(readArchive(Buffer.from('x'))).rejects.toEqual(code('not_gzip')));
  test('every cut is noticed', async () => {
    const whole = await archive();
    for (let end = 0; end < whole.length; end += 13)
      await expect(readArchive(whole.subarray(0, end))).rejects.toEqual(code('not_gzip'));
  });
  test('what is no tar', () =>
    expect(readArchive(gzipSync(Buffer.alloc(600, 1)))).rejects.toEqual(code('not_tar')));
  test('a missing file, by name', async () =>
    expect(readArchive(await repacked((files) => files.delete('state.bin')))).rejects.toThrow(
      'the archive has no state.bin',
    ));
  test('a changed file, by name', async () =>
    expect(
      readArchive(await repacked((files) => files.set('state.bin', Buffer.from('other')))),
    ).rejects.toThrow('hash check failed for "state.bin"'));
  test('a sum of nothing', async () =>
    expect(readArchive(await repacked((files) => files.set('SHA256SUMS', Buffer.from(''))))).rejects.toEqual(
      code('checksum'),
    ));
  test('another version', async () => {
    const { createHash } = await import('node:crypto');
    const changed = await repacked((files) => {
      const meta = Buffer.from(
        JSON.stringify({ ...JSON.parse(Buffer.from(files.get('meta.json') ?? []).toString()), Version: 9 }),
      );
      const sum = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
      files.set('meta.json', meta);
      files.set('SHA256SUMS', Buffer.from(`${sum(meta)}  meta.json\n${sum(state)}  state.bin\n`));
    });
    await expect(readArchive(changed)).rejects.toThrow('meta.json: Version 9 is unknown');
  });
  test('a tar whose size field lies', () => {
    const tar = writeTar([{ name: 'a', bytes: Buffer.from('abc') }], 0);
    expect(() => readTar(tar.subarray(0, 514))).toThrow(TarError);
    tar[124] = 0x37;
    expect(() => readTar(tar)).toThrow(TarError);
  });
});

test('inspect: records are counted by type, the header with the first', async () => {
  const { meta } = await readArchive(await archive());
  const lines = inspect(meta, state).split('\n');
  expect(lines).toContain(` Index                       2          ${state.length}B`);
  expect(lines).toContain(` Total                                  ${state.length}B`);
});

for (const [bytes, shown] of [
  [0, '0B'],
  [1016, '1016B'],
  [1024, '1KB'],
  [6600, '6.4KB'],
  [5 * 1024 * 1024, '5MB'],
] as const)
  test(`inspect: ${bytes} bytes are ${shown}`, () => expect(byteSize(bytes)).toBe(shown));
