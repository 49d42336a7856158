import { expect, test } from 'vitest';
import { asArgs } from '../rpc/args.ts';
import { asking } from './asking.ts';
import type { HttpRequest } from './server.ts';

/** A datacenter whose replica here is this old, and whose leader answers fresh. */
function world(ageMs: number) {
  const asked: boolean[] = [];
  const reads = asking({
    datacenter: 'dc1',
    nodeName: 'n1',
    ask: async (_method, args) => {
      const stale = asArgs(args)['AllowStale'] === true;
      asked.push(stale);
      return { Index: 7, KnownLeader: true, LastContact: stale ? ageMs * 1e6 : 0 };
    },
  });
  const read = async (query: string) => {
    const request = { query: new URLSearchParams(query), token: '', signal: new AbortController().signal };
    return (await reads.read(request as HttpRequest, 'Catalog.ListNodes')).meta;
  };
  return { asked, read };
}

test('an answer older than the client can live with is asked of the leader', async () => {
  const w = world(250);
  expect(await w.read('max_stale=1s')).toEqual({ index: 7, knownLeader: true, lastContactMs: 250 });
  expect(await w.read('max_stale=200ms')).toMatchObject({ lastContactMs: 0 });
  expect(await w.read('stale')).toMatchObject({ lastContactMs: 250 });
  expect(await w.read('')).toMatchObject({ lastContactMs: 0 });
  expect(w.asked).toEqual([true, true, false, true, false]);
});
