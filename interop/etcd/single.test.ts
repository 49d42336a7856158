/** One etcd, three servers, one fault after another. */
import { setTimeout as pause } from 'node:timers/promises';
import { test } from 'vitest';
import { EtcdCluster } from './cluster.ts';
import { leaderAmong } from './servers.ts';
import { story } from './story.ts';

/** Long past any lease, in ms. */
const longMs = 3_000;

test('leaders killed with kill -9', { timeout: 90_000 }, async () => {
  await using cluster = await EtcdCluster.open(1);
  await story('kill -9 of the leader', cluster, async ({ failover }) => {
    for (let i = 0; i < 5; i++) {
      const dead = await failover((leader) => leader.kill());
      await dead.startAgain();
    }
  });
});

test('leaders stopped past their lease, and continued', { timeout: 90_000 }, async () => {
  await using cluster = await EtcdCluster.open(1);
  await story('SIGSTOP of the leader', cluster, async ({ servers, failover }) => {
    for (let i = 0; i < 2; i++) {
      const stopped = await failover((leader) => leader.driven.child.signal('SIGSTOP'));
      const { term } = (await leaderAmong(servers, stopped.leads.term)).leads;
      stopped.driven.child.signal('SIGCONT');
      await stopped.driven.event(
        'that it follows',
        10_000,
        (line) => line['term'] === term && line['leader'] === false,
      );
    }
  });
});

test('leaders cut off from etcd, and let in again', { timeout: 90_000 }, async () => {
  await using cluster = await EtcdCluster.open(1);
  await story('partition of the leader', cluster, async ({ servers, failover }) => {
    for (let i = 0; i < 2; i++) {
      const alone = await failover((leader) => {
        for (const cable of leader.cables) cable.cut();
      });
      const { term } = (await leaderAmong(servers, alone.leads.term)).leads;
      for (const cable of alone.cables) cable.mend();
      await alone.driven.event(
        'that it follows',
        10_000,
        (line) => line['term'] === term && line['leader'] === false,
      );
    }
  });
});

test('etcd itself killed and started again', { timeout: 90_000 }, async () => {
  await using cluster = await EtcdCluster.open(1);
  await story('kill -9 of the only etcd', cluster, async ({ outage }) => {
    for (const downMs of [0, longMs])
      await outage(`down for ${downMs} ms`, async () => {
        const [only] = cluster.members;
        await cluster.kill(only!);
        await pause(downMs);
        cluster.start(only!);
        await cluster.answers(only!);
      });
  });
});
