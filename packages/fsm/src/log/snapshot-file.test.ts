/** Snapshot files: whole or not at all, and any damage named. */
import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { LogError } from './errors.ts';
import { createMemoryFs } from './memory-fs.ts';
import { readSnapshotFile, snapshotFileIndex, snapshotFileName, writeSnapshotFile } from './snapshot-file.ts';

const records = ['header', '', 'x'.repeat(300_000), 'last'].map((s) => Buffer.from(s));

describe('snapshot file', () => {
  test('gives back its records and its index', async () => {
    const fs = createMemoryFs();
    await writeSnapshotFile(fs, '/d', 42, records);
    const read = await readSnapshotFile(fs, '/d', snapshotFileName(42));
    assert.equal(read.index, 42);
    assert.deepEqual(read.records.map(String), records.map(String));
    assert.deepEqual(fs.paths(), ['/d/snapshot-0000000000000042']);
  });

  test('names sort as numbers', () => {
    assert.ok(snapshotFileName(9) < snapshotFileName(10));
    assert.equal(snapshotFileIndex(snapshotFileName(2 ** 53 - 1)), 2 ** 53 - 1);
    assert.equal(snapshotFileIndex('snapshot.tmp'), undefined);
  });

  test('every flipped bit and every cut is an error that names file and offset', async () => {
    const fs = createMemoryFs();
    await writeSnapshotFile(
      fs,
      '/d',
      1,
      records.filter((record) => record.length < 100),
    );
    const path = `/d/${snapshotFileName(1)}`;
    const good = Buffer.from(fs.bytesOf(path));
    const damaged = async (make: (bytes: Buffer) => Buffer): Promise<void> => {
      const bytes = make(Buffer.from(good));
      const broken = { ...fs, read: async () => bytes };
      await assert.rejects(readSnapshotFile(broken, '/d', snapshotFileName(1)), (error) => {
        assert.ok(error instanceof LogError);
        assert.deepEqual([error.code, error.file], ['log_corrupt', path]);
        assert.equal(typeof error.offset, 'number');
        return true;
      });
    };
    for (let at = 0; at < good.length; at++) {
      await damaged((bytes) => {
        bytes[at] = (bytes[at] as number) ^ (1 << (at % 8));
        return bytes;
      });
      await damaged((bytes) => bytes.subarray(0, at));
    }
    await damaged((bytes) => Buffer.concat([bytes, Buffer.of(0)]));
  });

  test('a disk that fills up leaves no half snapshot, and the old one untouched', async () => {
    const fs = createMemoryFs();
    await writeSnapshotFile(fs, '/d', 1, [Buffer.from('old')]);
    fs.capacityBytes = 100_000;
    await assert.rejects(writeSnapshotFile(fs, '/d', 2, records), { code: 'ENOSPC' });
    assert.deepEqual(fs.paths(), ['/d/snapshot-0000000000000001']);
  });
});
