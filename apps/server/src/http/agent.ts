/**
 * agent.ts: the endpoints about this server itself: who it is, whom it sees, which services run beside it.
 *
 * Source: Consul agent/agent_endpoint.go.
 */
import type { SerfMember } from '@fed/serf';
import { need, needOperator } from '../acl/access.ts';
import type { Agent } from '../agent/agent.ts';
import type { ReloadReport } from '../standing.ts';
import { type Metric, metricsJson, prometheusText } from '../status/metrics.ts';
import { version } from '../version.ts';
import { agentCheckRoutes } from './agent-checks.ts';
import { memberJson } from './agent-json.ts';
import { agentServiceRoutes } from './agent-services.ts';
import { get, put, putOrGet, rest, truthy } from './parameters.ts';
import { HttpError, type HttpRequest, type HttpRoute } from './server.ts';

export { memberJson } from './agent-json.ts';

export interface AgentRoutesOptions {
  readonly datacenter: string;
  readonly nodeName: string;
  readonly agent: Agent;
  readonly members: (wan: boolean) => readonly SerfMember[];
  readonly self: () => unknown;
  readonly metrics: () => readonly Metric[];
  /** Before each name, and a dot. */
  readonly metricsPrefix: string;
  readonly wallMs: () => number;
  /** Our own view of the federation: per datacenter, how it is reached and what stands in the way. */
  readonly federation: () => unknown;
  /** Every connection that came from a server of another datacenter, with the port it came from. */
  readonly foreignConnections: () => unknown;
  /** Throws when nobody there can be joined. */
  readonly join: (target: string) => Promise<unknown>;
  readonly leave: () => void;
  readonly forceLeave: (
    name: string,
    o: { readonly prune: boolean; readonly wan: boolean },
  ) => Promise<boolean>;
  /** Reads configuration and certificates again. Throws what is wrong with them; then nothing is changed. */
  readonly reload: () => ReloadReport;
}

export function agentRoutes(o: AgentRoutesOptions): readonly HttpRoute[] {
  const mayRead = (request: HttpRequest): void => need(request.authorizer(), 'agent', o.nodeName, 'read');
  const mayWrite = (request: HttpRequest): void => need(request.authorizer(), 'agent', o.nodeName, 'write');

  return [
    ...agentServiceRoutes(o),
    ...agentCheckRoutes(o),
    get('/v1/agent/self', (request) => {
      mayRead(request);
      return { json: o.self() };
    }),
    get('/v1/agent/version', () => ({
      json: { SHA: '', BuildDate: '1970-01-01T00:00:01Z', HumanVersion: version, FIPS: '' },
    })),
    get('/v1/agent/members', (request) => {
      const who = request.authorizer();
      if ((request.query.get('segment') ?? '') !== '')
        throw new HttpError(500, 'Network segments are not supported in this version of Consul');
      const members = o.members(truthy(request, 'wan')).filter(({ name }) => who.may('node', name, 'read'));
      return { json: members.map(memberJson) };
    }),
    get('/v1/agent/federation', (request) => {
      mayRead(request);
      return { json: o.federation() };
    }),
    get('/v1/agent/foreign-connections', (request) => {
      mayRead(request);
      return { json: o.foreignConnections() };
    }),
    get('/v1/agent/metrics', (request) => {
      mayRead(request);
      const metrics = o.metrics();
      if (request.query.get('format') === 'prometheus')
        return {
          text: prometheusText(metrics, o.metricsPrefix),
          contentType: 'text/plain; version=0.0.4; charset=utf-8',
        };
      return { json: metricsJson(metrics, { prefix: o.metricsPrefix, wallMs: o.wallMs() }) };
    }),
    ...putOrGet('/v1/agent/join/*', async (request) => {
      mayWrite(request);
      if (truthy(request, 'wan'))
        throw new HttpError(500, 'WAN join is disabled when wan federation via mesh gateways is enabled');
      await o.join(rest(request));
      return { text: '' };
    }),
    put('/v1/agent/leave', (request) => {
      mayWrite(request);
      o.leave();
      return { text: '' };
    }),
    ...putOrGet('/v1/agent/force-leave/*', async (request) => {
      needOperator(request.authorizer(), 'write');
      const name = rest(request);
      const found = await o.forceLeave(name, {
        prune: truthy(request, 'prune'),
        wan: truthy(request, 'wan'),
      });
      if (!found) throw new HttpError(500, `agent: No node found with name '${name}'`);
      return { text: '' };
    }),
    put('/v1/agent/reload', (request) => {
      mayWrite(request);
      const { taken, waiting } = o.reload();
      // The original's body is empty; its clients do not look at it.
      return { json: { Changed: taken, NeedRestart: waiting } };
    }),
  ];
}
