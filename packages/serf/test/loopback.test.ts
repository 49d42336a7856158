/**
 * Whole serfs over real UDP and TCP on loopback. Everything is waited for, nothing slept for.
 */
import { Keyring } from '@fed/memberlist';
import { describe, expect, test } from 'vitest';
import { Pool, target, text } from './pool.ts';

describe('members', () => {
  test('a join shows both sides each other with their tags', async () => {
    await using pool = new Pool();
    const a = await pool.open('a', { tags: { role: 'web', zone: '1' } });
    const b = await pool.open('b', { tags: { role: 'db' } });
    expect(await b.serf.join([target(a)])).toMatchObject({ joined: 1, errors: [] });
    await a.member('member-join', 'b');
    expect(a.serf.member('b')).toMatchObject({
      status: 'alive',
      tags: { role: 'db' },
      vsn: { dMin: 2, dMax: 5, dCur: 4 },
    });
    expect(b.serf.member('a')).toMatchObject({ status: 'alive', tags: { role: 'web', zone: '1' } });
    expect(b.serf.stats()).toMatchObject({ members: '2', failed: '0', left: '0', encrypted: 'false' });
  });

  test('a flood of nonsense is counted in full and logged in part', async () => {
    await using pool = new Pool();
    const logged: string[] = [];
    const a = await pool.open('a', { log: ({ code }) => logged.push(code) });
    const b = await pool.open('b');
    await b.serf.join([target(a)]);
    const list = b.serf.memberlist;
    for (let i = 0; i < 100; i++) await list.sendReliable(list.member('a')!, Uint8Array.of(99, i));
    b.serf.userEvent('last', text(''));
    await a.until(() => a.serf.warnings()['message_unknown_type'] === 100);
    expect(logged.filter((code) => code === 'message_unknown_type')).toHaveLength(10 + 3); // and 16, 32, 64
  });

  test('changed tags reach the others as an update', async () => {
    await using pool = new Pool();
    const a = await pool.open('a', { tags: { role: 'web', old: 'yes' } });
    const b = await pool.open('b');
    await b.serf.join([target(a)]);
    await a.serf.setTags({ role: 'db', new: 'yes' });
    await b.member('member-update', 'a');
    expect({ ...b.serf.member('a')?.tags }).toEqual({ role: 'db', new: 'yes' });
    expect({ ...a.serf.local().tags }).toEqual({ role: 'db', new: 'yes' });
    await expect(a.serf.setTags({ big: 'x'.repeat(600) })).rejects.toMatchObject({ code: 'tags_too_large' });
  });

  test('one who leaves has left, and did not fail', async () => {
    await using pool = new Pool();
    const a = await pool.open('a');
    const b = await pool.open('b');
    const c = await pool.open('c');
    await b.serf.join([target(a)]);
    await c.serf.join([target(a)]);
    await b.member('member-join', 'c');
    await c.serf.leave();
    await c.serf[Symbol.asyncDispose]();
    for (const w of [a, b]) {
      await w.member('member-leave', 'c');
      expect(w.serf.member('c')?.status).toBe('left');
      expect(w.heard.some((e) => e.kind === 'member-failed')).toBe(false);
    }
    const over = { code: 'not_alive' };
    await expect(c.serf.join([target(a)])).rejects.toMatchObject(over);
    await expect(c.serf.setTags({})).rejects.toMatchObject(over);
    await expect(c.serf.forceLeave('a')).rejects.toMatchObject(over);
    await expect(c.serf.keys.list()).rejects.toMatchObject(over);
    expect(() => c.serf.userEvent('e', text('x'))).toThrowError(expect.objectContaining(over));
    expect(() => c.serf.query('q', text('x'))).toThrowError(expect.objectContaining(over));
    await c.serf.leave(); // done already
  });

  test('one who dies has failed; forced to leave it has left; back again it is found', async () => {
    await using pool = new Pool();
    const a = await pool.open('a');
    const b = await pool.open('b');
    const c = await pool.open('c');
    await b.serf.join([target(a)]);
    await c.serf.join([target(a)]);
    await b.member('member-join', 'c');
    const { port } = c.serf.local();
    await c.serf[Symbol.asyncDispose]();
    await Promise.all([a.member('member-failed', 'c'), b.member('member-failed', 'c')]);
    expect(a.serf.member('c')?.status).toBe('failed');
    await a.serf.forceLeave('c');
    await Promise.all([a.member('member-leave', 'c'), b.member('member-leave', 'c')]);
    expect(b.serf.member('c')?.status).toBe('left');

    await b.serf[Symbol.asyncDispose]();
    await a.member('member-failed', 'b');
    const joins = a.heard.filter((e) => e.kind === 'member-join').length;
    await pool.open('b', { port: b.serf.local().port, tags: { back: 'yes' } });
    await a.until((heard) => heard.filter((e) => e.kind === 'member-join').length > joins);
    expect(a.serf.member('b')).toMatchObject({ status: 'alive', tags: { back: 'yes' } });
    expect(port).not.toBe(b.serf.local().port);
  });

  test('a failed member forced to leave with prune is forgotten everywhere', async () => {
    await using pool = new Pool();
    const a = await pool.open('a', { config: { reconnectIntervalMs: 0 } });
    const b = await pool.open('b', { config: { reconnectIntervalMs: 0 } });
    const c = await pool.open('c');
    await b.serf.join([target(a)]);
    await c.serf.join([target(a)]);
    await b.member('member-join', 'c');
    await c.serf[Symbol.asyncDispose]();
    await Promise.all([a.member('member-failed', 'c'), b.member('member-failed', 'c')]);
    await a.serf.forceLeave('c', { prune: true });
    await Promise.all([a.member('member-reap', 'c'), b.member('member-reap', 'c')]);
    expect(
      a.serf
        .members()
        .map((m) => m.name)
        .sort(),
    ).toEqual(['a', 'b']);
  });

  test('failed members are forgotten after their time', async () => {
    await using pool = new Pool();
    const config = { reconnectIntervalMs: 0, reconnectTimeoutMs: 3_600_000 };
    const a = await pool.open('a', { config, forgetAfterMs: (m, ms) => (m.name === 'b' ? 1 : ms) });
    const b = await pool.open('b');
    await b.serf.join([target(a)]);
    await a.member('member-join', 'b');
    await b.serf[Symbol.asyncDispose]();
    await a.member('member-reap', 'b');
    expect(a.heard.map((e) => e.kind)).toEqual([
      'member-join',
      'member-join',
      'member-failed',
      'member-reap',
    ]);
    expect(a.serf.coordinate('b')).toBeUndefined();
  });

  test('a member the application refuses does not get in, and its join fails', async () => {
    await using pool = new Pool();
    const seen: string[] = [];
    const a = await pool.open('a', {
      refuseMember: (m) => {
        seen.push(`${m.name} ${m.tags['role'] ?? ''} ${m.status}`);
        return m.tags['role'] === 'server' || m.name === 'a'
          ? undefined
          : `member '${m.name}' is not a server`;
      },
    });
    const b = await pool.open('b', { tags: { role: 'client' } });
    const c = await pool.open('c', { tags: { role: 'server' } });
    await b.serf.join([target(a)]).catch(() => undefined); // the refusing side may have answered before it looked
    await c.serf.join([target(a)]);
    await a.member('member-join', 'c');
    expect(a.serf.member('b')).toBeUndefined();
    expect(seen).toContain('b client none');
  });

  test('coordinates move with acks', async () => {
    await using pool = new Pool();
    const a = await pool.open('a');
    const b = await pool.open('b');
    await b.serf.join([target(a)]);
    await a.member('member-join', 'b');
    await a.until(() => a.serf.coordinate('b'));
    expect(a.serf.coordinate()?.vec).toHaveLength(8);
    expect(a.serf.coordinate()?.error).toBeLessThanOrEqual(1.5);
    expect(a.serf.stats()['coordinate_resets']).toBe('0');
  });
});

describe('user events', () => {
  test('reach everybody once, the sender included, and newcomers by push/pull', async () => {
    await using pool = new Pool();
    const a = await pool.open('a');
    const b = await pool.open('b');
    await b.serf.join([target(a)]);
    await a.member('member-join', 'b');
    a.serf.userEvent('deploy', text('v1'));
    b.serf.userEvent('restart', text(''), { coalesce: true });
    const names = (heard: readonly { kind: string; name?: string }[]): string[] =>
      heard.flatMap((e) => (e.kind === 'user' ? [e.name ?? ''] : [])).sort();
    for (const w of [a, b]) {
      await w.until((heard) => names(heard).length === 2);
      expect(names(w.heard)).toEqual(['deploy', 'restart']);
    }
    const late = await pool.open('late');
    await late.serf.join([target(a)]);
    await late.until((heard) => names(heard).length === 2);
    const deaf = await pool.open('deaf');
    await deaf.serf.join([target(a)], { ignoreOld: true });
    a.serf.userEvent('after', text(''));
    await deaf.until((heard) => names(heard).includes('after'));
    expect(names(deaf.heard)).toEqual(['after']);
  });

  // I7
  test('a listener may call back, in order, and one that throws disturbs nobody', async () => {
    await using pool = new Pool();
    const codes: string[] = [];
    const a = await pool.open('a', { log: (e) => codes.push(e.code) });
    a.serf.events((e) => {
      if (e.kind === 'user' && e.name === 'first') a.serf.userEvent('second', text(''));
      throw new Error('a bug of the application');
    });
    const heard: string[] = [];
    a.serf.events((e) => e.kind === 'user' && heard.push(e.name));
    a.serf.userEvent('first', text(''));
    expect(heard).toEqual(['first', 'second']);
    expect(codes).toEqual(['listener_failed', 'listener_failed']);
  });

  test('one that is too big is refused and told to nobody', async () => {
    await using pool = new Pool();
    const a = await pool.open('a');
    expect(() => a.serf.userEvent('big', new Uint8Array(512))).toThrowError(
      expect.objectContaining({ code: 'event_too_large' }),
    );
    expect(a.serf.stats()['event_time']).toBe('1');
  });
});

describe('queries', () => {
  test('everybody acks, those meant may answer once, the asker too', async () => {
    await using pool = new Pool();
    const a = await pool.open('a', { tags: { role: 'web' } });
    const b = await pool.open('b', { tags: { role: 'db' } });
    const c = await pool.open('c', { tags: { role: 'web' } });
    await b.serf.join([target(a)]);
    await c.serf.join([target(a)]);
    await b.member('member-join', 'c');
    const again: unknown[] = [];
    for (const w of [a, b, c])
      w.serf.events((e) => {
        if (e.kind !== 'query' || e.query.name !== 'uptime') return;
        e.respond(text(`${w.serf.name} says ${Buffer.from(e.query.payload)}`));
        try {
          e.respond(text('twice'));
        } catch (cause) {
          again.push(cause);
        }
      });
    const all = b.serf.query('uptime', text('hi'), {
      ack: true,
      relayFactor: 1,
      timeoutMs: 5_000,
      onResponse: () => settle(),
    });
    const seen: string[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    function settle(): void {
      seen.push('answer');
      if (seen.length === 3) resolve();
    }
    await promise;
    all[Symbol.dispose]();
    const { acks, responses } = await all.done;
    expect(responses.map((r) => Buffer.from(r.payload).toString()).sort()).toEqual([
      'a says hi',
      'b says hi',
      'c says hi',
    ]);
    expect(new Set(acks).size).toBe(acks.length);
    expect(again).toHaveLength(3);
    expect(again[0]).toMatchObject({ code: 'query_answered' });

    const answered = Promise.withResolvers<void>();
    const some = c.serf.query('uptime', text('?'), {
      filterNodes: ['a', 'b'],
      filterTags: { role: '^web$' },
      timeoutMs: 5_000,
      onResponse: () => answered.resolve(),
    });
    await answered.promise;
    some[Symbol.dispose]();
    const meant = await some.done;
    expect(meant.responses.map((r) => r.from)).toEqual(['a']);
    expect(meant.acks).toEqual([]);
  });

  test('queries and answers that are too big are refused', async () => {
    await using pool = new Pool();
    const a = await pool.open('a');
    expect(() => a.serf.query('big', new Uint8Array(1_024))).toThrowError(
      expect.objectContaining({ code: 'query_too_large' }),
    );
    const query = a.serf.query('small', text(''), { timeoutMs: 1_000 });
    const asked = await a.until((heard) => heard.find((e) => e.kind === 'query'));
    expect(() => asked.respond(new Uint8Array(1_024))).toThrowError(
      expect.objectContaining({ code: 'response_too_large' }),
    );
    query[Symbol.dispose]();
    expect((await query.done).responses).toEqual([]);
  });
});

describe('encryption', () => {
  const key = (fill: number): Uint8Array => new Uint8Array(32).fill(fill);

  test('an encrypted pool works, and one without the key stays outside', async () => {
    await using pool = new Pool();
    const a = await pool.open('a', { keyring: new Keyring([key(1)], key(1)) });
    const b = await pool.open('b', { keyring: new Keyring([key(1)], key(1)) });
    const stranger = await pool.open('stranger', { keyring: new Keyring([key(2)], key(2)) });
    await b.serf.join([target(a)]);
    await a.member('member-join', 'b');
    b.serf.userEvent('secret', text('x'));
    await a.until((heard) => heard.some((e) => e.kind === 'user'));
    await expect(stranger.serf.join([target(a)])).rejects.toMatchObject({ code: 'join_failed' });
    expect(a.serf.members()).toHaveLength(2);
    expect(a.serf.stats()['encrypted']).toBe('true');
  });

  test('keys are rotated: install, use, remove, listed in between', async () => {
    await using pool = new Pool();
    const a = await pool.open('a', { keyring: new Keyring([key(1)], key(1)) });
    const b = await pool.open('b', { keyring: new Keyring([key(1)], key(1)) });
    await b.serf.join([target(a)]);
    await a.member('member-join', 'b');
    const [one, two] = [key(1), key(2)].map((k) => Buffer.from(k).toString('base64'));
    expect(await a.serf.keys.install(key(2))).toMatchObject({
      nodes: 2,
      responses: 2,
      errors: 0,
      failure: undefined,
    });
    expect(await a.serf.keys.use(key(2))).toMatchObject({ failure: undefined });
    const list = await b.serf.keys.list();
    expect(Object.fromEntries(list.keys)).toEqual({ [one!]: 2, [two!]: 2 });
    expect(Object.fromEntries(list.primaryKeys)).toEqual({ [two!]: 2 });
    expect(await a.serf.keys.remove(key(2))).toMatchObject({
      errors: 2,
      failure: '2/2 nodes reported failure',
    });
    expect(await a.serf.keys.remove(key(1))).toMatchObject({ failure: undefined });
    expect(b.serf.keyring?.keys()).toEqual([key(2)]);
  });

  test('a pool without keys says so', async () => {
    await using pool = new Pool();
    const a = await pool.open('a');
    const outcome = await a.serf.keys.install(key(2));
    expect(outcome.failure).toBe('1/1 nodes reported failure');
    expect(outcome.messages.get('a')).toBe('No keyring to modify (encryption not enabled)');
  });
});
