/** The embedded log: what is acknowledged stays, what fails says so, and nothing stops for a snapshot. */
import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import type { LogEngine } from '../engine.ts';
import { LogError } from './errors.ts';
import { createMemoryFs, type MemoryFs } from './memory-fs.ts';
import { openEmbeddedLog } from './open.ts';
import type { EmbeddedLogOptions, LogEvent } from './options.ts';

/** A state machine that only remembers: its state is the list of commands, its snapshot the same list. */
async function open(fs: MemoryFs, o: Partial<EmbeddedLogOptions> = {}) {
  let state: { index: number; text: string }[] = [];
  const events: LogEvent[] = [];
  const log = await openEmbeddedLog({
    dir: '/data',
    fs,
    log: (event) => events.push(event),
    apply: (index, command) => {
      state.push({ index, text: Buffer.from(command).toString() });
      return `applied ${index}`;
    },
    snapshot: () => state.map((entry) => Buffer.from(JSON.stringify(entry))),
    restore: (records) => {
      state = [...records].map((record) => JSON.parse(Buffer.from(record).toString()));
    },
    ...o,
  });
  const append = (text: string): Promise<{ index: number; result: unknown }> => log.append(Buffer.from(text));
  return {
    log,
    append,
    events,
    texts: () => state.map((entry) => entry.text),
    indexes: () => state.map((entry) => entry.index),
  };
}

const code = (wanted: LogError['code']) => (error: unknown) => {
  assert.ok(error instanceof LogError, String(error));
  assert.equal(error.code, wanted);
  assert.match(error.message, /\/data/);
  return true;
};

async function reopened(fs: MemoryFs, log: LogEngine, o: Partial<EmbeddedLogOptions> = {}) {
  await log[Symbol.asyncDispose]();
  return open(fs, o);
}

describe('append', () => {
  test('indexes count from 1; the result is the state machine’s; a restart finds the same state', async () => {
    const fs = createMemoryFs();
    const a = await open(fs);
    assert.deepEqual(await a.append('one'), { index: 1, result: 'applied 1' });
    assert.deepEqual(await a.append('two'), { index: 2, result: 'applied 2' });
    await using b = (await reopened(fs, a.log)).log;
    assert.equal(b.stats().lastIndex, 2);
    assert.equal((await b.append(Buffer.from('three'))).index, 3);
  });

  test('commands of one moment share one batch, and those that come meanwhile share the next', async () => {
    const fs = createMemoryFs();
    const a = await open(fs);
    let syncs = 0;
    let later: Promise<unknown>[] = [];
    fs.fault = (operation, path) => {
      if (operation === 'sync' && path.includes('segment') && ++syncs === 2)
        later = ['x', 'y', 'z'].map((text) => a.append(text));
      return undefined;
    };
    await Promise.all(['a', 'b', 'c', 'd'].map((text) => a.append(text)));
    await Promise.all(later);
    assert.deepEqual(a.texts(), ['a', 'b', 'c', 'd', 'x', 'y', 'z']);
    assert.equal(a.log.stats().batches, 2);
    // One sync for the new segment's header, one for each batch.
    assert.equal(syncs, 3);
    await a.log[Symbol.asyncDispose]();
  });

  test('nothing is applied or acknowledged before it is durable', async () => {
    const fs = createMemoryFs();
    const a = await open(fs);
    await a.append('first');
    let applied: readonly string[] = [];
    fs.fault = (operation) => {
      if (operation === 'sync') applied = a.texts();
      return undefined;
    };
    await a.append('second');
    assert.deepEqual(applied, ['first']);
    await a.log[Symbol.asyncDispose]();
  });

  test('segments are closed when full, and read back in order', async () => {
    const fs = createMemoryFs();
    const a = await open(fs, { segmentBytesMax: 200 });
    for (let i = 0; i < 20; i++) await a.append(`command ${i}`);
    assert.ok(fs.paths().length > 3, fs.paths().join());
    const b = await reopened(fs, a.log, { segmentBytesMax: 200 });
    assert.deepEqual(
      b.texts(),
      Array.from({ length: 20 }, (_, i) => `command ${i}`),
    );
    await b.log[Symbol.asyncDispose]();
  });

  test('a command beyond the bound is refused; the engine stays usable', async () => {
    await using a = (await open(createMemoryFs(), { commandBytesMax: 100 })).log;
    await assert.rejects(a.append(new Uint8Array(101)), { code: 'log_too_large' });
    assert.equal((await a.append(new Uint8Array(100))).index, 1);
  });

  test('when too much waits for the disk, writers are told to come back', async () => {
    await using a = (await open(createMemoryFs(), { waitingBytesMax: 1000 })).log;
    const ten = Array.from({ length: 10 }, () => a.append(new Uint8Array(100)));
    await assert.rejects(a.append(new Uint8Array(1)), { code: 'log_busy' });
    await Promise.all(ten);
    assert.equal((await a.append(Uint8Array.of(1))).index, 11);
  });

  test('after dispose nothing is taken; what was under way is finished first', async () => {
    const a = await open(createMemoryFs());
    const last = a.append('last');
    await a.log[Symbol.asyncDispose]();
    assert.equal((await last).index, 1);
    await assert.rejects(a.append('late'), { code: 'log_closed' });
    await assert.rejects(a.log.compact(), { code: 'log_closed' });
    await a.log[Symbol.asyncDispose]();
  });

  test('a state machine that throws stops the engine at that command', async () => {
    const fs = createMemoryFs();
    const a = await open(fs, {
      apply: (index) => {
        if (index === 2) throw new Error('bug');
        return index;
      },
    });
    const results = await Promise.allSettled([a.append('1'), a.append('2'), a.append('3')]);
    assert.deepEqual(
      results.map((r) => (r.status === 'fulfilled' ? r.value.index : r.reason.code)),
      [1, 'log_halted', 'log_halted'],
    );
    await assert.rejects(a.append('4'), code('log_halted'));
    await assert.rejects(a.log.barrier(), code('log_halted'));
    assert.equal(a.log.stats().refusing, 'log_halted');
    assert.deepEqual(
      a.events.filter(({ kind }) => kind === 'halted').map((event) => 'error' in event && event.error.code),
      ['log_halted'],
    );
    await a.log[Symbol.asyncDispose]();
  });
});

describe('barrier and leadership', () => {
  test('alone one leads; the barrier passes when all that was asked before is applied', async () => {
    const a = await open(createMemoryFs());
    assert.deepEqual(a.log.leadership(), { leader: true, term: 1 });
    void a.append('before');
    await a.log.barrier();
    assert.deepEqual(a.texts(), ['before']);
    await a.log[Symbol.asyncDispose]();
  });

  test('a barrier given up on rejects with the signal’s reason', async () => {
    await using a = (await open(createMemoryFs())).log;
    const stop = new AbortController();
    const barrier = a.barrier(stop.signal);
    stop.abort(new Error('gone'));
    await assert.rejects(barrier, /gone/);
    await assert.rejects(a.barrier(stop.signal), /gone/);
  });
});

describe('the disk refuses', () => {
  for (const [errno, wanted] of [
    ['ENOSPC', 'log_disk_full'],
    ['EDQUOT', 'log_disk_full'],
    ['EROFS', 'log_read_only'],
    ['EIO', 'log_io'],
  ] as const)
    for (const operation of ['write', 'sync', 'create', 'syncDir'] as const)
      test(`${errno} on ${operation}: ${wanted}, nothing kept, and the next command goes through once it is over`, async () => {
        const fs = createMemoryFs();
        const a = await open(fs, { segmentBytesMax: 100 });
        await a.append('kept');
        fs.fault = (op) => (op === operation ? errno : undefined);
        const big = 'lost'.repeat(30); // needs a segment of its own
        const outcome = await a.append(big).then(
          () => assert.fail('acknowledged without a disk'),
          (error: LogError) => error,
        );
        assert.ok(outcome instanceof LogError);
        // A sync that fails twice, for the frame and for taking it back, leaves the outcome open.
        assert.ok([wanted, 'log_outcome_unknown'].includes(outcome.code), outcome.message);
        assert.match(outcome.message, /\/data/);
        assert.equal(a.log.stats().refusing, outcome.code);
        assert.deepEqual(a.texts(), ['kept'], 'reads go on');
        fs.fault = () => undefined;
        assert.equal((await a.append('after')).index, 2);
        assert.equal(a.log.stats().refusing, undefined);
        assert.deepEqual(
          a.events.map((event) => event.kind),
          ['opened', 'write_refused', 'write_recovered'],
        );
        const b = await reopened(fs, a.log);
        assert.deepEqual(b.texts(), ['kept', 'after']);
        await b.log[Symbol.asyncDispose]();
      });

  test('a frame that was written but could not be synced is taken back, durably, before anything else', async () => {
    const fs = createMemoryFs();
    const a = await open(fs);
    await a.append('kept');
    let failed = false;
    fs.fault = (op) => {
      if (op !== 'sync' || failed) return undefined;
      failed = true;
      return 'EIO';
    };
    await assert.rejects(a.append('lost'), code('log_io'));
    fs.kill();
    const b = await open(fs);
    assert.deepEqual(b.texts(), ['kept']);
    await b.log[Symbol.asyncDispose]();
  });

  test('when it cannot even be taken back the outcome is unknown, and said to be', async () => {
    const fs = createMemoryFs();
    const a = await open(fs);
    await a.append('kept');
    fs.fault = (op) => (op === 'sync' || op === 'truncate' ? 'EIO' : undefined);
    await assert.rejects(a.append('perhaps'), code('log_outcome_unknown'));
    fs.kill();
    fs.fault = () => undefined;
    const b = await open(fs);
    assert.deepEqual(b.texts(), ['kept', 'perhaps']);
    await b.log[Symbol.asyncDispose]();
  });

  test('a disk that went read-only changed nothing, so the outcome is not unknown', async () => {
    const fs = createMemoryFs();
    const a = await open(fs);
    await a.append('kept');
    fs.fault = (op) => (['write', 'sync', 'truncate', 'create'].includes(op) ? 'EROFS' : undefined);
    await assert.rejects(a.append('lost'), code('log_read_only'));
    await assert.rejects(a.append('lost too'), code('log_read_only'));
    fs.fault = () => undefined;
    assert.equal((await a.append('after')).index, 2);
    await a.log[Symbol.asyncDispose]();
  });

  test('a disk really filling up: a part of the frame is there and is cut; freeing space is enough', async () => {
    const fs = createMemoryFs();
    const a = await open(fs);
    await a.append('kept');
    fs.capacityBytes = 120;
    await assert.rejects(a.append('x'.repeat(500)), code('log_disk_full'));
    await assert.rejects(a.append('y'.repeat(500)), code('log_disk_full'));
    fs.capacityBytes = 10_000;
    await a.append('after');
    const b = await reopened(fs, a.log);
    assert.deepEqual(b.texts(), ['kept', 'after']);
    await b.log[Symbol.asyncDispose]();
  });

  test('opening names the directory too', async () => {
    const fs = createMemoryFs();
    fs.fault = (op) => (op === 'list' ? 'EACCES' : undefined);
    await assert.rejects(open(fs), code('log_read_only'));
    fs.fault = () => undefined;
    await (await open(fs)).log[Symbol.asyncDispose]();
  });
});

describe('one process per directory', () => {
  test('a second opener is refused until the first has closed', async () => {
    const fs = createMemoryFs();
    const a = await open(fs);
    await assert.rejects(open(fs), code('log_locked'));
    const b = await reopened(fs, a.log);
    await b.log[Symbol.asyncDispose]();
  });

  test('a failed opening gives the lock back', async () => {
    const fs = createMemoryFs();
    const failing = open(fs, { apply: () => 0, log: () => assert.fail('listener') });
    await assert.rejects(failing, /listener/);
    await (await open(fs)).log[Symbol.asyncDispose]();
  });
});

describe('recovery', () => {
  async function written(count: number, o: Partial<EmbeddedLogOptions> = {}) {
    const fs = createMemoryFs();
    const a = await open(fs, o);
    for (let i = 1; i <= count; i++) await a.append(`command ${i}`);
    await a.log[Symbol.asyncDispose]();
    return fs;
  }
  const lastSegment = (fs: MemoryFs): string =>
    fs
      .paths()
      .filter((path) => path.includes('segment'))
      .at(-1) as string;

  test('a torn tail is cut with a warning that names file and offset', async () => {
    const fs = await written(3);
    const path = lastSegment(fs);
    const file = await fs.open(path);
    const good = await file.size();
    await file.write(Buffer.from('FRAM torn'), good);
    const a = await open(fs);
    assert.equal(a.texts().length, 3);
    const cut = a.events[0];
    assert.ok(cut?.kind === 'torn_tail_cut');
    assert.deepEqual([cut.file, cut.offset, cut.bytes], [path, good, 9]);
    await a.append('after');
    const b = await reopened(fs, a.log);
    assert.deepEqual(b.texts().at(-1), 'after');
    assert.equal(b.events[0]?.kind, 'opened');
    await b.log[Symbol.asyncDispose]();
  });

  for (const which of [0, 1, -1])
    test(`a flipped bit in segment ${which} is an error with file and offset, and touches nothing`, async () => {
      const fs = await written(12, { segmentBytesMax: 200 });
      const path = fs
        .paths()
        .filter((p) => p.includes('segment'))
        .at(which) as string;
      const bytes = fs.bytesOf(path);
      bytes[60] = (bytes[60] as number) ^ 4;
      const before = fs.paths().map((p) => Buffer.from(fs.bytesOf(p)));
      await assert.rejects(open(fs), (error) => {
        code('log_corrupt')(error);
        assert.equal((error as LogError).file, path);
        assert.ok(((error as LogError).offset ?? -1) >= 0);
        return true;
      });
      assert.deepEqual(
        fs.paths().map((p) => Buffer.from(fs.bytesOf(p))),
        before,
      );
    });

  test('a segment missing in the middle, or after the snapshot, is an error', async () => {
    const fs = await written(12, { segmentBytesMax: 200 });
    await fs.remove(fs.paths()[1] as string);
    await assert.rejects(open(fs), code('log_corrupt'));
    const other = await written(12, { segmentBytesMax: 200 });
    await other.remove(other.paths()[0] as string);
    await assert.rejects(open(other), /commands 1 to \d+ are missing/);
  });

  test('a torn end of a segment that is not the last is damage', async () => {
    const fs = await written(12, { segmentBytesMax: 200 });
    const path = fs.paths()[0] as string;
    const file = await fs.open(path);
    await file.truncate((await file.size()) - 1);
    await assert.rejects(open(fs), code('log_corrupt'));
  });

  test('a last segment of which not even the header was written is removed', async () => {
    const fs = await written(3);
    await (await fs.create('/data/segment-0000000000000004')).write(Buffer.from('FED'), 0);
    const a = await open(fs);
    assert.equal(a.texts().length, 3);
    assert.equal((await a.append('four')).index, 4);
    const b = await reopened(fs, a.log);
    assert.equal(b.texts().length, 4);
    await b.log[Symbol.asyncDispose]();
  });
});

describe('compaction', () => {
  test('the snapshot replaces what is before it; a restart continues from it', async () => {
    const fs = createMemoryFs();
    const a = await open(fs, { segmentBytesMax: 150 });
    for (let i = 1; i <= 10; i++) await a.append(`command ${i}`);
    assert.deepEqual(await a.log.compact(), { index: 10 });
    await a.append('command 11');
    assert.deepEqual(fs.paths(), ['/data/segment-0000000000000011', '/data/snapshot-0000000000000010']);
    const b = await reopened(fs, a.log);
    assert.deepEqual(b.indexes(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    assert.deepEqual(b.events, [{ kind: 'opened', lastIndex: 11, snapshotIndex: 10, replayed: 1 }]);
    await b.append('command 12');
    await b.log.compact();
    await b.append('command 13');
    assert.deepEqual(fs.paths(), ['/data/segment-0000000000000013', '/data/snapshot-0000000000000012']);
    await b.log[Symbol.asyncDispose]();
  });

  test('writes go on while the snapshot is written, and are not in it', async () => {
    const fs = createMemoryFs();
    const a = await open(fs);
    for (let i = 1; i <= 3; i++) await a.append(`command ${i}`);
    let during: Promise<unknown> | undefined;
    fs.fault = (op, path) => {
      if (op === 'write' && path.endsWith('snapshot.tmp')) during ??= a.append('meanwhile');
      return undefined;
    };
    await a.log.compact();
    await during;
    fs.kill();
    const b = await open(fs);
    assert.deepEqual(b.texts(), ['command 1', 'command 2', 'command 3', 'meanwhile']);
    assert.deepEqual(b.events, [{ kind: 'opened', lastIndex: 4, snapshotIndex: 3, replayed: 1 }]);
    await b.log[Symbol.asyncDispose]();
  });

  test('it comes by itself when the log has grown enough, and not for every command after', async () => {
    const fs = createMemoryFs();
    const a = await open(fs, { compactAfterBytes: 1000, snapshot: () => [Buffer.from('[]')] });
    for (let i = 0; i < 60; i++) await a.append('x'.repeat(50));
    await a.log[Symbol.asyncDispose]();
    const taken = a.events.filter((event) => event.kind === 'compacted').length;
    assert.ok(taken >= 2 && taken <= 6, `${taken} snapshots`);
  });

  test('one that fails is reported, leaves the log alone, and is tried again later', async () => {
    const fs = createMemoryFs();
    const a = await open(fs);
    await a.append('one');
    fs.fault = (op, path) => (op === 'sync' && path.endsWith('.tmp') ? 'ENOSPC' : undefined);
    await assert.rejects(a.log.compact(), code('log_disk_full'));
    assert.equal(a.events.at(-1)?.kind, 'compaction_failed');
    await a.append('two');
    fs.fault = () => undefined;
    assert.deepEqual(await a.log.compact(), { index: 2 });
    const b = await reopened(fs, a.log);
    assert.deepEqual(b.texts(), ['one', 'two']);
    await b.log[Symbol.asyncDispose]();
  });

  test('a damaged snapshot is an error that names it', async () => {
    const fs = createMemoryFs();
    const a = await open(fs);
    await a.append('one');
    await a.log.compact();
    await a.log[Symbol.asyncDispose]();
    const path = '/data/snapshot-0000000000000001';
    const bytes = fs.bytesOf(path);
    bytes[30] = (bytes[30] as number) ^ 1;
    await assert.rejects(
      open(fs),
      (error) => code('log_corrupt')(error) && (error as LogError).file === path,
    );
  });

  test('nothing new since the last one: no new one', async () => {
    const a = await open(createMemoryFs());
    await a.append('one');
    await a.log.compact();
    await a.log.compact();
    assert.equal(a.events.filter((event) => event.kind === 'compacted').length, 1);
    await a.log[Symbol.asyncDispose]();
  });
});

describe('install', () => {
  const foreign = ['from', 'elsewhere'].map((text, i) => Buffer.from(JSON.stringify({ index: i, text })));

  test('replaces the state at an index above both histories; the log goes on from there', async () => {
    const fs = createMemoryFs();
    const a = await open(fs);
    for (let i = 0; i < 5; i++) await a.append('old');
    const order = [a.append('before'), a.log.install(foreign, { atLeast: 100 }), a.append('after')];
    assert.deepEqual(
      (await Promise.all(order)).map(({ index }) => index),
      [6, 101, 102],
    );
    assert.deepEqual(a.texts(), ['from', 'elsewhere', 'after']);
    const b = await reopened(fs, a.log);
    assert.deepEqual(b.texts(), ['from', 'elsewhere', 'after']);
    assert.deepEqual(fs.paths(), ['/data/segment-0000000000000102', '/data/snapshot-0000000000000101']);
    await b.log[Symbol.asyncDispose]();
  });

  test('a kill right after it leaves old segments that are passed over, and a new one is begun', async () => {
    const fs = createMemoryFs();
    const a = await open(fs);
    for (let i = 0; i < 5; i++) await a.append('old');
    await a.log.install(foreign, { atLeast: 0 });
    fs.kill();
    const b = await open(fs);
    assert.deepEqual(b.texts(), ['from', 'elsewhere']);
    assert.equal((await b.append('next')).index, 7);
    const c = await reopened(fs, b.log);
    assert.deepEqual(c.texts(), ['from', 'elsewhere', 'next']);
    await c.log[Symbol.asyncDispose]();
  });

  test('one that the disk refuses changes nothing', async () => {
    const fs = createMemoryFs();
    const a = await open(fs);
    await a.append('old');
    fs.fault = (op) => (op === 'rename' ? 'EROFS' : undefined);
    await assert.rejects(a.log.install(foreign, { atLeast: 0 }), code('log_read_only'));
    fs.fault = () => undefined;
    assert.deepEqual(a.texts(), ['old']);
    assert.equal((await a.append('next')).index, 2);
    await a.log[Symbol.asyncDispose]();
  });
});
