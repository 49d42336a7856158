/**
 * Hundreds of runs on virtual time, each with its own accidents: three servers on one etcd, connections cut and mended,
 * answers lost, requests arriving after their sender has given up, leaders resigning, history dropped, servers restarted.
 *
 * Whatever happens: what was acknowledged is applied everywhere exactly once and at the index that was told; what was
 * refused is applied nowhere; what is unknown at most once; all logs are one; no term has two leaders.
 */
import assert from 'node:assert/strict';
import { test } from 'vitest';
import { EtcdLogError } from '../src/etcd/errors.ts';
import type { Rng } from '../src/ports.ts';
import { seededRng, seedOfRun } from './chance.ts';
import { EtcdWorld, leaderOf, type Server } from './etcd-world.ts';

const runs = Number(process.env['FSM_RUNS'] ?? 60);
const names = ['a', 'b', 'c'];

interface Told {
  readonly acknowledged: Map<string, number>;
  readonly refused: Map<string, string>;
  readonly unknown: Set<string>;
}

test(`${runs} runs of accidents`, { timeout: 120_000 }, async () => {
  const seed = seedOfRun();
  const total = { acknowledged: 0, refused: 0, unknown: 0, terms: 0 };
  for (let run = 0; run < runs; run++) {
    const story = `FSM_SEED=${seed + run}`;
    try {
      const { told, terms } = await accidents(seededRng(seed + run));
      total.acknowledged += told.acknowledged.size;
      total.refused += told.refused.size;
      total.unknown += told.unknown.size;
      total.terms += terms;
    } catch (cause) {
      throw new Error(`${story}: ${(cause as Error).message}`, { cause });
    }
  }
  console.log(`FSM_SEED=${seed}:`, total);
  assert.ok(
    total.acknowledged > 20 * runs && total.unknown > 0 && total.terms > 2 * runs,
    'nothing much happened',
  );
});

async function accidents(rng: Rng): Promise<{ readonly told: Told; readonly terms: number }> {
  const world = new EtcdWorld(rng);
  const told: Told = { acknowledged: new Map(), refused: new Map(), unknown: new Set() };
  const leaders = new Map<number, string>();
  const small = { compactAfterBytes: 400, chunkBytesMax: 64, entryBytesMax: 200, writeTimeoutMs: 4_000 };
  const servers = new Map<string, Server>();
  const open = async (name: string): Promise<void> => {
    const server = await world.open(name, {
      ...small,
      log: (event) => {
        if (event.kind !== 'leadership' || !event.leader) return;
        const before = leaders.get(event.term);
        assert.equal(before, undefined, `term ${event.term} is led by ${before} and ${name}`);
        leaders.set(event.term, name);
      },
    });
    servers.set(name, server);
  };
  for (const name of names) await open(name);
  let words = 0;
  const waiting = new Set<Promise<void>>();
  const write = ({ engine }: Server): void => {
    const word = `w${++words}`;
    const writing = engine.append(Buffer.from(word)).then(
      ({ index, result }) => {
        assert.equal(result, `${word}!`);
        told.acknowledged.set(word, index);
      },
      (error: unknown) => {
        assert.ok(error instanceof EtcdLogError, String(error));
        if (error.code === 'log_outcome_unknown') told.unknown.add(word);
        else told.refused.set(word, error.code);
      },
    );
    const one = writing.finally(() => waiting.delete(one));
    waiting.add(one);
  };
  for (let turn = 0; turn < 120; turn++) {
    const server = servers.get(names[rng.below(names.length)]!)!;
    switch (rng.below(24)) {
      case 0:
        server.connection.cut();
        break;
      case 1:
      case 2:
      case 3:
        server.connection.mend();
        break;
      case 4:
        server.connection.losesOneIn = 2 + rng.below(4);
        break;
      case 5:
      case 6:
        server.connection.losesOneIn = 0;
        break;
      case 7:
        void server.engine.resign();
        break;
      case 8:
        if (rng.below(4) === 0 && world.etcd.compacted < world.etcd.revision)
          world.etcd.compact(world.etcd.revision);
        break;
      case 9:
        server.connection.mend();
        server.connection.losesOneIn = 0;
        if (rng.below(3) > 0) break;
        await world.during(Promise.resolve(server.engine[Symbol.asyncDispose]()));
        await open(server.name);
        break;
      case 10:
        server.engine.compact().catch(() => {});
        break;
      default:
        for (let n = rng.below(6); n > 0; n--) for (const one of servers.values()) write(one);
    }
    // Now and then nobody writes for long enough that a late request meets the head it was made for.
    await world.run(rng.below(12) === 0 ? 4_000 : rng.below(400));
  }
  for (const { connection } of servers.values()) {
    connection.losesOneIn = 0;
    connection.mend();
  }
  await world.during(Promise.all(waiting));
  await world.run(15_000);
  check([...servers.values()], told);
  // What arrived late is removed with the next snapshot.
  const { engine } = leaderOf([...servers.values()])!;
  await world.during(engine.append(Buffer.from('last')));
  await world.during(engine.compact());
  checkTidy(world);
  for (const { engine } of servers.values())
    await world.during(Promise.resolve(engine[Symbol.asyncDispose]()));
  return { told, terms: leaders.size };
}

function check(servers: readonly Server[], told: Told): void {
  const leading = servers.filter(({ engine }) => engine.leadership().leader);
  assert.equal(leading.length, 1, 'in the end one leads');
  const [first, ...others] = servers;
  for (const other of others) assert.deepEqual(other.words, first!.words, `${other.name} and ${first!.name}`);
  const indexOf = new Map<string, number>();
  for (const { word, index } of first!.words) {
    assert.equal(indexOf.has(word), false, `${word} was applied twice`);
    indexOf.set(word, index);
  }
  for (const [word, index] of told.acknowledged)
    assert.equal(indexOf.get(word), index, `${word} was acknowledged at ${index}`);
  for (const [word, code] of told.refused)
    assert.equal(indexOf.has(word), false, `${word} was refused with ${code}, and stands in the log`);
  for (const word of indexOf.keys())
    assert.ok(told.acknowledged.has(word) || told.unknown.has(word), `${word} came from nowhere`);
}

/** After a snapshot there is no log before it, and nothing of other snapshots, finished or not. */
function checkTidy({ etcd }: EtcdWorld): void {
  const { folder } = JSON.parse(Buffer.from(etcd.get('/fed/dc1/snapshot')!.value).toString()) as {
    folder: string;
  };
  const left = etcd.keys().filter((key) => !key.startsWith(folder));
  assert.deepEqual(
    left,
    ['head', 'leader', 'snapshot'].map((key) => `/fed/dc1/${key}`),
  );
}
