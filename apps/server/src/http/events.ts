/**
 * events.ts: PUT /v1/event/fire and GET /v1/event/list: events people fire, carried by the LAN pool.
 *
 * Source: Consul agent/event_endpoint.go.
 */
import type { JsonValue } from '@fed/fsm';
import type { EventBook } from '../events/event-book.ts';
import {
  encodeUserEvent,
  indexOf,
  newUserEvent,
  type UserEvent,
  UserEventError,
} from '../events/user-event.ts';
import type { Ask } from '../rpc/ask.ts';
import { get, put, rest } from './parameters.ts';
import { HttpError, type HttpReply, type HttpRequest, type HttpRoute, queryOptions } from './server.ts';

export interface EventRoutesOptions {
  readonly datacenter: string;
  readonly ask: Ask;
  readonly book: EventBook;
  readonly clock: { now(): number; at(when: number, wake: () => void): Disposable };
  readonly randomBytes: (size: number) => Uint8Array;
  readonly queryTimeDefaultMs: number;
  readonly queryTimeMaxMs: number;
}

/** Far above what the pool carries, which has the last word. */
const payloadBytesMax = 64 * 1024;

export function eventRoutes(o: EventRoutesOptions): readonly HttpRoute[] {
  return [
    put('/v1/event/fire/*', async (request) => {
      const { query, token, signal } = request;
      const Name = rest(request);
      if (Name === '') throw new HttpError(400, 'Missing name');
      const event = fired(
        {
          Name,
          Payload: await request.body(payloadBytesMax),
          NodeFilter: query.get('node') ?? '',
          ServiceFilter: query.get('service') ?? '',
          TagFilter: query.get('tag') ?? '',
        },
        o.randomBytes(16),
      );
      await o.ask(
        'Internal.EventFire',
        {
          Datacenter: query.get('dc') ?? o.datacenter,
          Name,
          Payload: encodeUserEvent(event),
          Token: token,
          AllowStale: true,
        },
        { signal },
      );
      return { go: eventJson(event) };
    }),
    get('/v1/event/list', (request) => listed(request)),
  ];

  /** With `?index=`: when the last event of the list is no longer the one the client has seen, or the wait is over. */
  async function listed(request: HttpRequest): Promise<HttpReply> {
    const who = request.authorizer();
    const { minIndex, waitMs } = queryOptions(request.query);
    const seen = minIndex === 0 ? 0n : BigInt(request.query.get('index') ?? '0');
    const name = request.query.get('name') ?? '';
    const over = new AbortController();
    using _timer = o.clock.at(
      o.clock.now() + Math.min(waitMs || o.queryTimeDefaultMs, o.queryTimeMaxMs),
      () => over.abort(),
    );
    for (;;) {
      const events = o.book
        .list()
        .filter((event) => (name === '' || event.Name === name) && who.may('event', event.Name, 'read'));
      const index = indexOf(events.at(-1));
      if (index !== seen || over.signal.aborted)
        return { go: events.map(eventJson), headers: { 'X-Consul-Index': String(index) } };
      await o.book.next(AbortSignal.any([request.signal, over.signal])).catch((error: unknown) => {
        if (!over.signal.aborted) throw error;
      });
    }
  }
}

function fired(...[fields, id]: Parameters<typeof newUserEvent>): UserEvent {
  try {
    return newUserEvent(fields, id);
  } catch (error) {
    if (!(error instanceof UserEventError)) throw error;
    throw new HttpError(500, error.message);
  }
}

function eventJson(event: UserEvent): JsonValue {
  const { ID, Name, Payload, NodeFilter, ServiceFilter, TagFilter, Version, LTime } = event;
  return {
    ID,
    Name,
    Payload: Payload.length === 0 ? null : Buffer.from(Payload).toString('base64'),
    NodeFilter,
    ServiceFilter,
    TagFilter,
    Version,
    LTime,
  };
}
