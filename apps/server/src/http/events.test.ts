/** Events over real HTTP; the pool between is an array, what travels through it are the bytes of the original. */
import { SerfError, type SerfEvent } from '@fed/serf';
import { settled, VirtualClock } from '@fed/tooling/virtual-clock';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Access } from '../acl/access.ts';
import { guarding } from '../acl/guard.ts';
import { readRules } from '../acl/rules.ts';
import { EventBook } from '../events/event-book.ts';
import { decodeUserEvent, encodeUserEvent, indexOf, newUserEvent } from '../events/user-event.ts';
import { createAsk } from '../rpc/ask.ts';
import { internalEndpoints } from '../rpc/internal.ts';
import { eventRoutes } from './events.ts';
import { type HttpServer, openHttp } from './server.ts';

const id = 'd5a9cbe4-6554-431b-2cb8-94998ae6cd30';
const idBytes = Buffer.from(id.replaceAll('-', ''), 'hex');
let clock: VirtualClock;
let server: HttpServer;
let book: EventBook;

async function open(access: Access): Promise<void> {
  clock = new VirtualClock();
  book = new EventBook({
    nodeName: 'n1',
    services: () => [{ Service: 'web', Tags: ['blue'] }],
  });
  let ltime = 1n;
  const lan = {
    userEvent(name: string, payload: Uint8Array): void {
      if (name.length + payload.length > 512) throw new SerfError('event_too_large', 'too large');
      book.heard({ kind: 'user', ltime: ++ltime, name, payload, coalesce: false });
    },
  };
  const limits = { queryTimeDefaultMs: 300_000, queryTimeMaxMs: 600_000 };
  const fsm = undefined as never; // nothing of this is in the catalog
  const ask = createAsk({
    datacenter: 'dc1',
    primary: 'dc1',
    endpoints: guarding(internalEndpoints({ ...limits, fsm, lan: () => lan }), access),
    abroad: () => Promise.reject(new Error('No path to datacenter')),
  });
  let fired = 0;
  server = await openHttp({
    bind: { host: '127.0.0.1', port: 0 },
    authorizer: (secret) => access.authorizer(secret),
    routes: eventRoutes({
      ...limits,
      datacenter: 'dc1',
      ask,
      book,
      clock,
      randomBytes: () => Buffer.concat([idBytes.subarray(0, 15), Buffer.of(0x30 + fired++)]),
    }),
  });
}

beforeEach(() =>
  open(new Access({ enabled: false, defaultPolicy: 'allow', tokens: [], defaultSecret: undefined })),
);
afterEach(() => server[Symbol.asyncDispose]());

async function ask(method: string, path: string, body?: string, token = '') {
  const response = await fetch(`http://127.0.0.1:${server.address.port}${path}`, {
    method,
    headers: { 'X-Consul-Token': token },
    ...(body === undefined ? {} : { body }),
  });
  const text = await response.text();
  return { status: response.status, text, index: response.headers.get('x-consul-index') };
}
/** A request has reached the server and waits there. */
async function parked(): Promise<void> {
  while (clock.armed === 0) await settled();
}
const fire = (path: string, body?: string, token?: string) =>
  ask('PUT', `/v1/event/fire/${path}`, body, token);
const list = (query = '', token?: string) => ask('GET', `/v1/event/list${query}`, undefined, token);

/** Answers as recorded from Consul 1.10.1, to the byte. */
describe('events', () => {
  test('one is fired, heard and listed', async () => {
    const fields = '"NodeFilter":"","ServiceFilter":"","TagFilter":"","Version":1';
    expect(await fire('deploy', 'v1')).toMatchObject({
      status: 200,
      text: `{"ID":"${id}","Name":"deploy","Payload":"djE=",${fields},"LTime":0}`,
    });
    expect(await list()).toEqual({
      status: 200,
      text: `[{"ID":"${id}","Name":"deploy","Payload":"djE=",${fields},"LTime":2}]`,
      index: '17947230984545144363',
    });
    expect(await list('?name=none')).toEqual({ status: 200, text: '[]', index: '1' });
  });

  for (const [path, status, text] of [
    ['', 400, 'Missing name'],
    ['x?tag=a', 500, 'Cannot provide tag filter without service filter'],
    ['x?node=(', 500, 'Invalid node filter: error parsing regexp: missing closing ): `(`'],
    ['y?dc=dc9', 500, 'No path to datacenter'],
  ] as const)
    test(`refused: ${path}`, async () => expect(await fire(path)).toMatchObject({ status, text }));

  test('what is too large for the pool is refused, and nobody hears of it', async () => {
    expect(await fire('big', 'a'.repeat(600))).toMatchObject({
      status: 500,
      text: '1 error occurred:\n\t* error broadcasting event to segment "": user event exceeds configured limit of 512 bytes before encoding\n\n',
    });
    expect((await list()).text).toBe('[]');
  });

  test('whom it is for: node, service and tag, as patterns', async () => {
    for (const [query, heard] of [
      ['?node=^n', true],
      ['?node=^N', false],
      ['?service=w.b', true],
      ['?service=db', false],
      ['?service=web&tag=^b', true],
      ['?service=web&tag=green', false],
      ['?node=n1&service=web&tag=blue', true],
    ] as const) {
      const name = `e${query.replace(/\W/g, '')}`;
      await fire(name + query);
      expect(
        book.list().some((event) => event.Name === name),
        query,
      ).toBe(heard);
    }
  });

  test('who waits is answered by the next event, or when the wait is over', async () => {
    await fire('a');
    const { index } = await list();
    const waiting = list(`?index=${index}&wait=10s`);
    await parked();
    await fire('b');
    expect((await waiting).text).toContain('"Name":"b"');
    const quiet = list(`?index=${(await list()).index}&wait=10s`);
    await parked();
    await clock.advance(10_000);
    expect((await quiet).text).toContain('"Name":"b"');
  });

  test('only the last 256 are remembered', async () => {
    for (let n = 0; n < 300; n++)
      book.heard({
        kind: 'user',
        ltime: BigInt(n),
        name: `consul:event:${n}`,
        payload: encodeUserEvent(
          newUserEvent(
            { Name: `${n}`, Payload: Buffer.of(), NodeFilter: '', ServiceFilter: '', TagFilter: '' },
            idBytes,
          ),
        ),
        coalesce: false,
      } satisfies SerfEvent);
    expect(
      book
        .list()
        .map(({ Name }) => Name)
        .slice(0, 2),
    ).toEqual(['44', '45']);
  });

  test('rules: firing needs event:write, each listed event event:read', async () => {
    await server[Symbol.asyncDispose]();
    const rules = readRules({ event: { deploy: { policy: 'write' } } });
    await open(
      new Access({
        enabled: true,
        defaultPolicy: 'deny',
        tokens: [
          { secret: 's', accessor: 'a', rules },
          { secret: 'all', accessor: 'b', rules: undefined },
        ],
        defaultSecret: undefined,
      }),
    );
    expect((await fire('deploy', '', 's')).status).toBe(200);
    expect(await fire('other', '', 's')).toMatchObject({
      status: 403,
      text: expect.stringContaining('lacks permission \'event:write\' on "other"'),
    });
    expect((await fire('other', '', 'all')).status).toBe(200);
    expect(JSON.parse((await list('', 's')).text)).toHaveLength(1);
    expect(JSON.parse((await list('', 'all')).text)).toHaveLength(2);
    expect(JSON.parse((await list()).text)).toHaveLength(0);
  });
});

describe('the bytes of an event', () => {
  test('go through the pool and back; empty fields are not sent', () => {
    const event = newUserEvent(
      { Name: 'deploy', Payload: Buffer.from('v1'), NodeFilter: '', ServiceFilter: 's', TagFilter: '' },
      idBytes,
    );
    const bytes = encodeUserEvent(event);
    expect(Buffer.from(bytes).toString('latin1')).toBe(
      `\x85\xa2ID\xda\x00\x24${id}\xa1n\xa6deploy\xa1p\xa2v1\xa2sf\xa1s\xa1v\x01`,
    );
    expect(decodeUserEvent(bytes, 7n)).toEqual({
      ...event,
      Payload: Uint8Array.from(event.Payload),
      LTime: 7n,
    });
    expect(indexOf(event)).toBe(17947230984545144363n);
  });

  test('what is none, or of a later version, is passed over', () => {
    const event = newUserEvent(
      { Name: 'n', Payload: Buffer.of(), NodeFilter: '', ServiceFilter: '', TagFilter: '' },
      idBytes,
    );
    for (const bytes of [
      Buffer.of(),
      Buffer.of(0xc0),
      Buffer.of(0x91, 1),
      encodeUserEvent({ ...event, Version: 2 }),
      encodeUserEvent({ ...event, ID: 'x' }),
    ])
      expect(decodeUserEvent(bytes, 1n)).toBeUndefined();
  });
});
