/** Three etcds, three servers: what one of them may go through without harm. */
import { test } from 'vitest';
import { EtcdCluster } from './cluster.ts';
import { story } from './story.ts';

test('one etcd after another killed with kill -9, and started again', { timeout: 90_000 }, async () => {
  await using cluster = await EtcdCluster.open(3);
  await story('kill -9 of one etcd of three', cluster, async ({ outage }) => {
    for (let i = 0; i < 1; i++) {
      const leading = await cluster.leader();
      await outage(`the one that leads the cluster`, () => cluster.kill(leading));
      cluster.start(leading);
      await cluster.answers(leading);
    }
    for (const member of cluster.members) {
      await outage(`${member.name}`, () => cluster.kill(member));
      cluster.start(member);
      await cluster.answers(member);
    }
  });
});

test('an etcd frozen, and continued', { timeout: 90_000 }, async () => {
  await using cluster = await EtcdCluster.open(3);
  await story('SIGSTOP of one etcd of three', cluster, async ({ outage }) => {
    for (const member of cluster.members) {
      await outage(`${member.name} frozen`, () => member.child!.signal('SIGSTOP'));
      member.child!.signal('SIGCONT');
      await cluster.answers(member);
    }
  });
});

test('leaders killed while etcd is a cluster', { timeout: 90_000 }, async () => {
  await using cluster = await EtcdCluster.open(3);
  await story('kill -9 of the leader, three etcds', cluster, async ({ failover }) => {
    for (let i = 0; i < 3; i++) {
      const dead = await failover((leader) => leader.kill());
      await dead.startAgain();
    }
  });
});
