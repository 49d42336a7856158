/** Decisions one by one: an event, and what is wanted done. */
import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import type { CoreConfig } from './config.ts';
import { Core } from './core.ts';
import type { Effect, Failure } from './events.ts';

const config: CoreConfig = {
  instance: 'a-1',
  address: 'a:8300',
  leaseMs: 1_000,
  writeTimeoutMs: 10_000,
  entryBytesMax: 24,
  waitingBytesMax: 48,
  compactAfterBytes: 1_000,
};
const noHead = { index: 0, id: '', revision: 0 };
const silent: Failure = { code: 'unavailable', sure: false, detail: 'no answer' };
const refused: Failure = { code: 'full', sure: true, detail: 'no space' };
const job = (id: number, text = 'x') => ({ kind: 'command', id, command: Buffer.from(text) }) as const;

/** A core that leads in term 5, its claim good until 1,000. */
function leading(): Core {
  const core = new Core(config);
  core.step({ kind: 'start' }, 0);
  core.step({ kind: 'synced', run: 1, revision: 4, leader: undefined, head: noHead, snapshotIndex: 0 }, 0);
  core.step({ kind: 'granted', lease: 7, ttlMs: 2_000, askedAt: 0 }, 0);
  core.step({ kind: 'won', lease: 7, term: 5, head: noHead }, 0);
  assert.equal(core.leadership(0).leader, true);
  return core;
}

const kinds = (effects: readonly Effect[]): readonly string[] => effects.map(({ kind }) => kind);
function find<K extends Effect['kind']>(effects: readonly Effect[], kind: K): Extract<Effect, { kind: K }> {
  const found = effects.find((one) => one.kind === kind);
  assert.ok(found, `${kind} among ${kinds(effects).join()}`);
  return found as Extract<Effect, { kind: K }>;
}

describe('campaign', () => {
  test('only when everything is read and nobody leads', () => {
    const core = new Core(config);
    assert.deepEqual(kinds(core.step({ kind: 'start' }, 0)), ['sync', 'leadership']);
    const leader = { term: 3, address: 'b:8300', lease: 8 };
    const head = noHead;
    const synced = core.step({ kind: 'synced', run: 1, revision: 4, leader, head, snapshotIndex: 0 }, 0);
    assert.deepEqual(kinds(synced), ['watch', 'opened', 'leadership']);
    assert.deepEqual(kinds(core.step({ kind: 'leader', revision: 6, leader: undefined }, 9)), [
      'grant',
      'leadership',
    ]);
  });

  test('won, but entries before our term are still to come: not leading yet', () => {
    const core = new Core(config);
    core.step({ kind: 'start' }, 0);
    core.step({ kind: 'synced', run: 1, revision: 4, leader: undefined, head: noHead, snapshotIndex: 0 }, 0);
    core.step({ kind: 'granted', lease: 7, ttlMs: 2_000, askedAt: 0 }, 0);
    core.step({ kind: 'won', lease: 7, term: 9, head: { index: 1, revision: 8 } }, 0);
    assert.equal(core.leadership(0).leader, false);
    const entry = { id: 'b-1', first: 1, commands: [Buffer.from('x')], install: false };
    const effects = core.step({ kind: 'entry', entry, bytes: 1, revision: 8 }, 1);
    assert.deepEqual(kinds(effects), ['apply', 'leadership']);
    assert.equal(core.leadership(1).leader, true);
  });

  test('a deletion from before our term is old news', () => {
    const core = leading();
    assert.deepEqual(core.step({ kind: 'leader', revision: 4, leader: undefined }, 1), []);
    assert.equal(core.leadership(1).leader, true);
    core.step({ kind: 'leader', revision: 6, leader: undefined }, 2);
    assert.equal(core.leadership(2).leader, false);
  });
});

describe('lease', () => {
  test('renewed long before its end, and again at another endpoint when no answer comes', () => {
    const core = leading();
    assert.equal(core.deadline(), 300);
    const effect = find(core.step({ kind: 'deadline' }, 300), 'keepAlive');
    assert.deepEqual(effect, { kind: 'keepAlive', lease: 7, timeoutMs: 250 });
    core.step({ kind: 'keepAliveFailed', lease: 7, failure: silent }, 550);
    find(core.step({ kind: 'deadline' }, 600), 'keepAlive');
    core.step({ kind: 'keptAlive', lease: 7, askedAt: 600 }, 650);
    assert.equal(core.leadership(1_599).leader, true);
    assert.equal(core.leadership(1_600).leader, false);
  });

  test('of another, not renewed for a claim’s time: its owner is replaced, and nobody else', () => {
    const core = new Core(config);
    core.step({ kind: 'start' }, 0);
    const leader = { term: 3, address: 'b:8300', lease: 8 };
    core.step({ kind: 'synced', run: 1, revision: 4, leader, head: noHead, snapshotIndex: 0 }, 0);
    assert.equal(find(core.step({ kind: 'deadline' }, 0), 'askLease').lease, 8);
    const seen = { kind: 'leaseSeen', lease: 8, ttlMs: 2_000 } as const;
    // Rounded down to seconds: between one and two are left, so it was renewed within the last second.
    assert.deepEqual(core.step({ ...seen, leftMs: 1_000 }, 10), []);
    find(core.step({ kind: 'deadline' }, 250), 'askLease');
    const [grant] = core.step({ ...seen, leftMs: 0 }, 260);
    assert.deepEqual(grant, { kind: 'grant', ttlMs: 2_000, timeoutMs: 400 });
    const [campaign] = core.step({ kind: 'granted', lease: 7, ttlMs: 2_000, askedAt: 260 }, 270);
    assert.deepEqual(campaign, { kind: 'campaign', lease: 7, over: 3, timeoutMs: 400 });
  });

  test('run out while we were stopped: given up before anything else is thought about', () => {
    const core = leading();
    const effects = core.step({ kind: 'append', job: job(1) }, 60_000);
    assert.equal(find(effects, 'fail').code, 'log_not_leader');
    assert.equal(find(effects, 'revoke').lease, 7);
    assert.equal(kinds(effects).includes('commit'), false);
  });
});

describe('writes', () => {
  test('everything that comes while one is on its way goes together, up to the bound of an entry', () => {
    const core = leading();
    const first = find(core.step({ kind: 'append', job: job(1, 'aaaa') }, 1), 'commit');
    assert.deepEqual([first.entry.first, first.entry.commands.length, first.headRevision], [1, 1, 0]);
    for (const id of [2, 3, 4]) assert.deepEqual(core.step({ kind: 'append', job: job(id, 'bbbb') }, 2), []);
    const effects = core.step({ kind: 'committed', id: first.entry.id, revision: 6 }, 3);
    assert.deepEqual(find(effects, 'apply').jobs, [1]);
    const next = find(effects, 'commit');
    assert.deepEqual([next.entry.first, next.entry.commands.length, next.headRevision], [2, 2, 6]);
  });

  test('beyond the bounds: too large alone, too many together; nothing was sent', () => {
    const core = leading();
    assert.equal(
      find(core.step({ kind: 'append', job: job(1, 'x'.repeat(25)) }, 1), 'fail').code,
      'log_too_large',
    );
    core.step({ kind: 'append', job: job(2) }, 1);
    for (const id of [3, 4]) core.step({ kind: 'append', job: job(id, 'x'.repeat(24)) }, 1);
    assert.equal(find(core.step({ kind: 'append', job: job(5) }, 1), 'fail').code, 'log_busy');
  });

  test('a sure refusal is told at once; one that follows a lost answer proves nothing', () => {
    const core = leading();
    const first = find(core.step({ kind: 'append', job: job(1) }, 1), 'commit');
    const told = core.step({ kind: 'commitFailed', id: first.entry.id, failure: refused }, 2);
    assert.equal(find(told, 'fail').code, 'log_disk_full');
    const second = find(core.step({ kind: 'append', job: job(2) }, 3), 'commit');
    assert.deepEqual(core.step({ kind: 'commitFailed', id: second.entry.id, failure: silent }, 4), []);
    const again = find(core.step({ kind: 'deadline' }, core.deadline()), 'commit');
    // The same transaction, only more patiently.
    assert.deepEqual(again, { ...second, timeoutMs: 800 });
    assert.deepEqual(core.step({ kind: 'commitFailed', id: second.entry.id, failure: refused }, 40), []);
    find(core.step({ kind: 'deadline' }, core.deadline()), 'commit');
  });

  test('no answer until its time is over: the writer is told that nobody knows, those behind it that nothing was written', () => {
    const core = leading();
    const { entry } = find(core.step({ kind: 'append', job: job(1) }, 1), 'commit');
    core.step({ kind: 'append', job: job(2) }, 1);
    for (let now = 500; now < 10_001; now += 500)
      core.step({ kind: 'keptAlive', lease: 7, askedAt: now }, now);
    const told = core.step({ kind: 'deadline' }, 10_001).filter((one) => one.kind === 'fail');
    assert.deepEqual(
      told.map(({ id, code }) => [id, code]),
      [
        [2, 'log_unavailable'],
        [1, 'log_outcome_unknown'],
      ],
    );
    // Found to have succeeded after all, it is applied, and nobody is told twice.
    const late = core.step({ kind: 'committed', id: entry.id, revision: 6 }, 10_002);
    assert.deepEqual(find(late, 'apply').jobs, [undefined]);
  });
});

describe('a write in the middle of which the lead is lost', () => {
  function lost(): { core: Core; id: string } {
    const core = leading();
    const { entry } = find(core.step({ kind: 'append', job: job(1) }, 1), 'commit');
    const effects = core.step({ kind: 'deadline' }, 1_000);
    assert.deepEqual(kinds(effects), ['revoke', 'unwatch', 'sync', 'leadership']);
    return { core, id: entry.id };
  }
  const at = { kind: 'synced', run: 2, revision: 9, snapshotIndex: 0, head: noHead } as const;

  test('our key still stands: an attempt may yet get through, so ask again', () => {
    const { core } = lost();
    const effects = core.step({ ...at, leader: { term: 5, address: 'a:8300', lease: 7 } }, 2_100);
    assert.equal(kinds(effects).includes('fail'), false);
    assert.equal(find(core.step({ kind: 'deadline' }, core.deadline()), 'sync').run, 3);
  });

  test('our key is gone and the entry is not there: it never will be', () => {
    const { core } = lost();
    assert.equal(find(core.step({ ...at, leader: undefined }, 2_100), 'fail').code, 'log_not_leader');
  });

  test('the entry is there: done', () => {
    const { core, id } = lost();
    const entry = { id, first: 1, commands: [Buffer.from('x')], install: false };
    assert.deepEqual(
      find(core.step({ kind: 'entry', entry, bytes: 1, revision: 6 }, 2_100), 'apply').jobs,
      [1],
    );
  });

  test('a snapshot covers the place where it would stand: nobody can know', () => {
    const { core } = lost();
    const snapshot = { kind: 'snapshotRead', run: 2, index: 1, bytes: 10 } as const;
    assert.deepEqual(kinds(core.step(snapshot, 2_050)), ['restore']);
    const head = { index: 1, id: 'b-1' };
    const effects = core.step({ ...at, head, snapshotIndex: 1, leader: undefined }, 2_100);
    assert.equal(find(effects, 'fail').code, 'log_outcome_unknown');
  });
});

test('an answer that comes after a snapshot has overtaken it is not applied again', () => {
  const core = leading();
  const { entry } = find(core.step({ kind: 'append', job: job(1) }, 1), 'commit');
  core.step({ kind: 'deadline' }, 1_000);
  core.step({ kind: 'snapshotRead', run: 2, index: 3, bytes: 10 }, 1_050);
  const effects = core.step({ kind: 'committed', id: entry.id, revision: 6 }, 1_060);
  assert.deepEqual(kinds(effects), ['fail']);
  assert.equal(find(effects, 'fail').code, 'log_outcome_unknown');
  assert.equal(core.stats().lastIndex, 3);
});

test('barrier: who comes while the question is on its way waits for the next', () => {
  const core = leading();
  find(core.step({ kind: 'barrier', id: 1 }, 1), 'readBarrier');
  assert.deepEqual(core.step({ kind: 'barrier', id: 2 }, 2), []);
  const effects = core.step({ kind: 'barrierRead', term: 5, headIndex: 0 }, 3);
  assert.deepEqual(kinds(effects), ['done', 'readBarrier']);
  assert.equal(find(effects, 'done').id, 1);
});

test('link: silent for three seconds, it is given up and its endpoint with it', () => {
  const core = leading();
  for (let now = 500; now < 3_000; now += 500) {
    core.step({ kind: 'keptAlive', lease: 7, askedAt: now }, now);
    core.step({ kind: 'deadline' }, now);
  }
  const effects = core.step({ kind: 'deadline' }, 3_000);
  assert.deepEqual(find(effects, 'unwatch'), { kind: 'unwatch', suspect: true });
  assert.equal(core.leadership(3_000).leader, true, 'a leader needs no watch');
});

test('link: without etcd for five seconds, nobody is said to lead', () => {
  const core = new Core(config);
  core.step({ kind: 'start' }, 0);
  const leader = { term: 3, address: 'b:8300', lease: 8 };
  core.step({ kind: 'synced', run: 1, revision: 4, leader, head: noHead, snapshotIndex: 0 }, 0);
  core.step({ kind: 'watchLost', watch: 1, failure: silent }, 10);
  for (let run = 2; core.deadline() < 5_000; run++) {
    core.step({ kind: 'deadline' }, core.deadline());
    core.step({ kind: 'syncFailed', run, failure: silent }, Math.min(4_999, core.deadline()));
    assert.equal(core.leadership(4_999).leaderAddress, 'b:8300');
  }
  assert.equal(core.deadline(), 5_000);
  assert.ok(kinds(core.step({ kind: 'deadline' }, 5_000)).includes('leadership'));
  assert.equal(core.leadership(5_000).leaderAddress, undefined);
  assert.ok(core.deadline() > 5_000);
});

test('link: what was applied before a reading began must be in it, also for who led and wrote it', () => {
  const core = leading();
  const { entry } = find(core.step({ kind: 'append', job: job(1) }, 1), 'commit');
  core.step({ kind: 'committed', id: entry.id, revision: 6 }, 2);
  core.step({ kind: 'watchLost', watch: 1, failure: silent }, 3);
  const { run, after } = find(core.step({ kind: 'deadline' }, core.deadline()), 'sync');
  assert.equal(after, 1);
  const effects = core.step(
    { kind: 'synced', run, revision: 2, leader: undefined, head: noHead, snapshotIndex: 0 },
    900,
  );
  assert.match(find(effects, 'halt').detail, /ends at 0, but 1 was applied here/);
});

test('link: what we wrote while a reading was on its way need not be in it', () => {
  const core = leading();
  core.step({ kind: 'watchLost', watch: 1, failure: silent }, 1);
  const { run } = find(core.step({ kind: 'deadline' }, core.deadline()), 'sync');
  const { entry } = find(core.step({ kind: 'append', job: job(1) }, 500), 'commit');
  core.step({ kind: 'committed', id: entry.id, revision: 6 }, 501);
  const leader = { term: 5, address: 'a:8300', lease: 7 };
  const effects = core.step(
    { kind: 'synced', run, revision: 5, leader, head: noHead, snapshotIndex: 0 },
    502,
  );
  assert.deepEqual(kinds(effects), ['watch', 'resynced']);
});

test('halted: what the state machine cannot apply, nobody is asked to try again', () => {
  const core = leading();
  core.step({ kind: 'append', job: job(1) }, 1);
  const effects = core.step({ kind: 'halted' }, 2);
  assert.deepEqual(kinds(effects), ['unwatch', 'revoke', 'fail', 'halt', 'leadership']);
  assert.equal(find(core.step({ kind: 'append', job: job(2) }, 3), 'fail').code, 'log_halted');
  assert.equal(core.deadline(), Number.POSITIVE_INFINITY);
});
