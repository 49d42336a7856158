import type { SerfEvent, SerfMember } from '@fed/serf';
import { settled, VirtualClock } from '@fed/tooling/virtual-clock';
import { expect, test } from 'vitest';
import { serverTags } from '../tags.ts';
import { openFlood } from './flood.ts';

function member(name: string, over: Partial<SerfMember> = {}): SerfMember {
  return {
    name,
    host: '10.0.0.2',
    port: 8301,
    addr: Buffer.from([10, 0, 0, 2]),
    status: 'alive',
    vsn: { pMin: 1, pMax: 5, pCur: 2, dMin: 2, dMax: 5, dCur: 4 },
    tags: serverTags({
      datacenter: 'dc1',
      nodeId: name,
      serverPort: 8300,
      build: '1.9.8:',
      tls: true,
      acls: false,
      wanJoinPort: 9302,
    }),
    ...over,
  };
}

function world(...lan: SerfMember[]) {
  const clock = new VirtualClock();
  const wan = new Map<string, SerfMember>([['n1.dc1', member('n1.dc1')]]);
  const tries: string[] = [];
  const failed: string[] = [];
  const listeners = new Set<(event: SerfEvent) => void>();
  let reachable = true;
  const flood = openFlood({
    datacenter: 'dc1',
    lan: {
      members: () => lan,
      events: (listener) => {
        listeners.add(listener);
        return { [Symbol.dispose]: () => void listeners.delete(listener) };
      },
    },
    wan: {
      member: (name) => wan.get(name),
      join: ([target = '']) => {
        tries.push(target);
        if (!reachable) return Promise.reject(new Error('unreachable'));
        const name = target.split('/')[0] as string;
        wan.set(name, member(name));
        return Promise.resolve({ joined: 1, errors: [] });
      },
    },
    failed: (name) => failed.push(name),
    clock,
  });
  return {
    clock,
    flood,
    tries,
    failed,
    wan,
    cut: (on: boolean): void => {
      reachable = !on;
    },
    join: (row: SerfMember): void => {
      lan.push(row);
      for (const listener of listeners) listener({ kind: 'member-join', members: [row] });
    },
  };
}

test('every alive server of the datacenter is brought into the WAN pool, at its own WAN port, and nobody else', async () => {
  const w = world(
    member('n1'),
    member('n2'),
    member('n3', { status: 'failed' }),
    member('c1', { tags: { dc: 'dc1', role: 'node' } }),
  );
  await settled();
  expect(w.tries).toEqual(['n2.dc1/10.0.0.2:9302']);
  w.join(member('n4', { host: 'fd00::4' }));
  await settled();
  expect(w.tries.slice(1)).toEqual(['n4.dc1/[fd00::4]:9302']);
  await w.clock.advance(300_000);
  expect(w.tries).toHaveLength(2);
  await w.flood[Symbol.asyncDispose]();
  expect(w.clock.armed).toBe(0);
});

test('who could not be brought in, or has left it, is tried again within a minute', async () => {
  const w = world(member('n1'));
  w.cut(true);
  w.join(member('n2'));
  await settled();
  expect(w.failed).toEqual(['n2.dc1']);
  w.cut(false);
  await w.clock.advance(60_000);
  expect(w.tries).toHaveLength(2);
  w.wan.set('n2.dc1', member('n2.dc1', { status: 'left' }));
  await w.clock.advance(60_000);
  expect(w.tries).toHaveLength(3);
  await w.flood[Symbol.asyncDispose]();
});
