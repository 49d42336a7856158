/**
 * xds.ts: the gateways that are connected to this server, for people: how each fares, and what it has.
 *
 * Ours; the original shows the like in its logs only.
 * Lives here: shapes of answers, times as ages. Must not live here: how they come about (@fed/xds).
 */
import type { Holding, Json, XdsClientStatus, XdsHoldings } from '@fed/xds';
import { need } from '../acl/access.ts';
import type { GatewayPlane } from '../gateway-plane.ts';
import { get } from './parameters.ts';
import { HttpError, type HttpRequest, type HttpRoute } from './server.ts';

export function xdsRoutes(o: {
  readonly nodeName: string;
  readonly gateways: Pick<GatewayPlane, 'clients' | 'holdings'>;
  /** The clock the xDS server runs on. */
  readonly now: () => number;
}): readonly HttpRoute[] {
  const mayRead = (request: HttpRequest): void => need(request.authorizer(), 'agent', o.nodeName, 'read');
  return [
    get('/v1/agent/xds/clients', (request) => {
      mayRead(request);
      return { json: clientsView(o.gateways.clients(), o.now()) };
    }),
    get('/v1/agent/xds/dump', (request) => {
      mayRead(request);
      const gateway = request.query.get('gateway') || undefined;
      const held = o.gateways.holdings(gateway);
      if (gateway !== undefined && held.length === 0)
        throw new HttpError(404, `no gateway '${gateway}' is connected to this server`);
      return { json: dumpView(held) };
    }),
  ];
}

function clientsView(clients: readonly XdsClientStatus[], now: number): readonly unknown[] {
  const age = (at: number | undefined): number | undefined =>
    at === undefined ? undefined : Math.max(0, Math.round(now - at));
  return clients.map(({ types, ageMs, ...client }) => ({
    ...client,
    ageMs: Math.round(ageMs),
    types: Object.fromEntries(
      Object.entries(types).map(([type, { pendingSince, lastAckAt, lastNack, ...status }]) => [
        type,
        {
          ...status,
          pendingMs: age(pendingSince),
          lastAckAgeMs: age(lastAckAt),
          ...(lastNack === undefined
            ? {}
            : { lastNack: { message: lastNack.message, names: lastNack.names, ageMs: age(lastNack.at) } }),
        },
      ]),
    ),
  }));
}

function dumpView(all: readonly XdsHoldings[]): readonly unknown[] {
  // Gateways of one datacenter share most resources; each is decoded once.
  const messages = new Map<string, Json>();
  const message = (current: NonNullable<Holding['current']>): Json => {
    const key = `${current.type} ${current.version}`;
    const known = messages.get(key) ?? current.message;
    messages.set(key, known);
    return known;
  };
  return all.map(({ types, ...gateway }) => ({
    ...gateway,
    resources: Object.fromEntries(
      Object.entries(types).map(([type, holdings]) => [
        type,
        holdings.map(({ name, state, version, current }) => ({
          name,
          state,
          version,
          current: current?.version,
          resource: current === undefined ? undefined : message(current),
        })),
      ]),
    ),
  }));
}
