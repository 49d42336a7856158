import assert from 'node:assert/strict';
import { test } from 'vitest';
import { seededRng } from '../../test/chance.ts';
import { EtcdWorld, leaderOf } from '../../test/etcd-world.ts';
import { EtcdLogError } from './errors.ts';

const word = (text: string): Uint8Array => Buffer.from(text);
const texts = (words: readonly { readonly word: string }[]): readonly string[] =>
  words.map((one) => one.word);

async function code(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  assert.ok(error instanceof EtcdLogError, `refused with ${String(error)}`);
  return error.code;
}

test('append: what the leader acknowledges is applied everywhere, in one order', async () => {
  const world = new EtcdWorld(seededRng(1));
  const [a, b] = [await world.open('a'), await world.open('b')];
  await world.run(1000, () => leaderOf([a, b]) !== undefined);
  const leader = leaderOf([a, b])!;
  const answers = await world.during(
    Promise.all(['x', 'y', 'z'].map((text) => leader.engine.append(word(text)))),
  );
  assert.deepEqual(answers, [
    { index: 1, result: 'x!' },
    { index: 2, result: 'y!' },
    { index: 3, result: 'z!' },
  ]);
  await world.run(100);
  assert.deepEqual(texts(a.words), ['x', 'y', 'z']);
  assert.deepEqual(a.words, b.words);
});

test('append: a follower refuses and says who leads', async () => {
  const world = new EtcdWorld(seededRng(1));
  const [a, b] = [await world.open('a'), await world.open('b')];
  await world.run(1000, () => leaderOf([a, b]) !== undefined);
  const follower = leaderOf([a, b]) === a ? b : a;
  await world.run(100);
  const error = await world.during(follower.engine.append(word('x')).catch((cause: EtcdLogError) => cause));
  assert.ok(error instanceof EtcdLogError);
  assert.equal(error.code, 'log_not_leader');
  assert.equal(error.leaderAddress, follower === b ? 'a:8300' : 'b:8300');
});

test('lease: a leader cut off from etcd gives up before another takes over', async () => {
  const world = new EtcdWorld(seededRng(2));
  const [a, b] = [await world.open('a'), await world.open('b')];
  await world.run(1000, () => leaderOf([a, b]) !== undefined);
  const first = leaderOf([a, b])!;
  const second = first === a ? b : a;
  first.connection.cut();
  let both = false;
  await world.run(5000, () => {
    both ||= first.engine.leadership().leader && second.engine.leadership().leader;
    return second.engine.leadership().leader;
  });
  assert.equal(second.engine.leadership().leader, true);
  assert.equal(both, false);
  assert.ok(second.engine.leadership().term > 0);
});

test('write in the middle of which the lead is lost: told that the outcome is unknown only while nobody can know', async () => {
  const world = new EtcdWorld(seededRng(3));
  const [a, b] = [await world.open('a'), await world.open('b')];
  await world.run(1000, () => leaderOf([a, b]) !== undefined);
  const first = leaderOf([a, b])!;
  const second = first === a ? b : a;
  first.connection.cut();
  const never = code(first.engine.append(word('lost')));
  await world.run(5000, () => second.engine.leadership().leader);
  assert.equal(second.engine.leadership().leader, true);
  first.connection.mend();
  // Back in time to find out: it is in no log and never will be.
  assert.equal(await world.during(never), 'log_not_leader');
  await world.during(second.engine.append(word('kept')));
  await world.run(200);
  assert.deepEqual(texts(first.words), ['kept']);
  assert.deepEqual(texts(second.words), ['kept']);
});

test('write whose answer is lost: done once, and told so', async () => {
  const world = new EtcdWorld(seededRng(4));
  const a = await world.open('a');
  await world.run(1000, () => a.engine.leadership().leader);
  a.connection.losesOneIn = 2;
  for (const text of ['p', 'q', 'r', 's', 't'])
    await world.during(a.engine.append(word(text)).catch(() => {}));
  a.connection.losesOneIn = 0;
  await world.run(5000, () => a.engine.leadership().leader);
  assert.deepEqual([...new Set(texts(a.words))], texts(a.words));
});

test('compact: a snapshot stands for the log before it, and who comes later reads it', async () => {
  const world = new EtcdWorld(seededRng(5));
  const a = await world.open('a', { chunkBytesMax: 50 });
  await world.run(1000, () => a.engine.leadership().leader);
  for (const text of ['p', 'q', 'r']) await world.during(a.engine.append(word(text)));
  assert.deepEqual(await world.during(a.engine.compact()), { index: 3 });
  assert.deepEqual(
    world.etcd.keys().filter((key) => key.includes('/log/')),
    [],
  );
  await world.during(a.engine.append(word('s')));
  const b = await world.open('b');
  assert.deepEqual(texts(b.words), ['p', 'q', 'r', 's']);
  assert.equal(b.engine.stats().snapshotIndex, 3);
});

test('compacted: who was cut off while its history went away takes the snapshot instead', async () => {
  const world = new EtcdWorld(seededRng(6));
  const [a, b] = [await world.open('a'), await world.open('b')];
  await world.run(1000, () => leaderOf([a, b]) !== undefined);
  const leader = leaderOf([a, b])!;
  const other = leader === a ? b : a;
  await world.during(leader.engine.append(word('p')));
  await world.run(100);
  other.connection.cut();
  for (const text of ['q', 'r']) {
    await world.during(leader.engine.append(word(text)));
    await world.during(leader.engine.compact());
  }
  world.etcd.compact(world.etcd.revision);
  await world.during(leader.engine.append(word('s')));
  other.connection.mend();
  await world.run(3000, () => other.words.length === 4);
  assert.deepEqual(texts(other.words), ['p', 'q', 'r', 's']);
});

test('install: the state is replaced everywhere, at an index above the one asked for', async () => {
  const world = new EtcdWorld(seededRng(7));
  const [a, b] = [await world.open('a'), await world.open('b')];
  await world.run(1000, () => leaderOf([a, b]) !== undefined);
  const leader = leaderOf([a, b])!;
  await world.during(leader.engine.append(word('old')));
  const records = [word('{"index":7,"word":"new"}')];
  assert.deepEqual(await world.during(leader.engine.install(records, { atLeast: 100 })), { index: 101 });
  const { index } = await world.during(leader.engine.append(word('next')));
  assert.equal(index, 102);
  await world.run(500);
  for (const server of [a, b]) assert.deepEqual(texts(server.words), ['new', 'next']);
});

test('barrier: a leader that was replaced without noticing is told so', async () => {
  const world = new EtcdWorld(seededRng(8));
  const a = await world.open('a');
  await world.run(1000, () => a.engine.leadership().leader);
  await world.during(a.engine.barrier());
  world.etcd.txn({ success: [{ delete: '/fed/dc1/leader' }] });
  world.etcd.put('/fed/dc1/leader', Buffer.from('{"node":"b","address":"b:8300"}'));
  assert.equal(await world.during(code(a.engine.barrier())), 'log_not_leader');
});

test('open: what is not a log of ours is refused with the name of the key', async () => {
  const world = new EtcdWorld(seededRng(9));
  world.etcd.put('/fed/dc1/head', Buffer.from('somebody else was here'));
  const error = await world.open('a').catch((cause: unknown) => cause);
  assert.ok(error instanceof EtcdLogError);
  assert.equal(error.code, 'log_corrupt');
  assert.match(error.message, /\/fed\/dc1\/head/);
});

test('append: what was begun in a term that is over is not written in the next', async () => {
  const world = new EtcdWorld(seededRng(10));
  const a = await world.open('a');
  await world.run(1000, () => a.engine.leadership().leader);
  const { term } = a.engine.leadership();
  await world.during(a.engine.append(word('p'), { term }));
  await world.during(a.engine.resign());
  assert.equal(a.engine.leadership().leader, false);
  await world.run(5000, () => a.engine.leadership().leader);
  assert.ok(a.engine.leadership().term > term);
  assert.equal(await world.during(code(a.engine.append(word('q'), { term }))), 'log_not_leader');
  assert.deepEqual(texts(a.words), ['p']);
});

test('resign: what is on its way is finished, and another leads at once', async () => {
  const world = new EtcdWorld(seededRng(11));
  const [a, b] = [await world.open('a'), await world.open('b')];
  await world.run(1000, () => leaderOf([a, b]) !== undefined);
  const first = leaderOf([a, b])!;
  const second = first === a ? b : a;
  const onItsWay = first.engine.append(word('p'));
  await world.during(first.engine.resign());
  assert.deepEqual(await world.during(onItsWay), { index: 1, result: 'p!' });
  const before = world.clock.now();
  await world.run(5000, () => second.engine.leadership().leader);
  assert.ok(world.clock.now() - before < 200, `${world.clock.now() - before} ms`);
  assert.equal(second.engine.lastContactMs(), 0);
  assert.ok(first.engine.lastContactMs()! <= 1_100);
});
