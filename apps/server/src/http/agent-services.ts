/**
 * agent-services.ts: the services beside this server: registered, shown, checked up on, taken out of rotation.
 *
 * Source: Consul agent/agent_endpoint.go, agent/agent_endpoint.go (AgentHealthServiceByID, AgentService).
 */
import type { CheckRow, ServiceRow } from '@fed/fsm';
import { serviceFields } from '@fed/fsm/filter';
import { need } from '../acl/access.ts';
import type { Agent } from '../agent/agent.ts';
import { readRegistration } from '../agent/registration.ts';
import { predicate } from '../filter/filtering.ts';
import { agentCheckJson, agentServiceJson, contentHash, hashedServiceJson } from './agent-json.ts';
import { enable, get, put, putOrGet, reading, rest, truthy } from './parameters.ts';
import { HttpError, type HttpReply, type HttpRequest, type HttpRoute, queryOptions } from './server.ts';

export interface AgentServicesOptions {
  readonly datacenter: string;
  readonly agent: Agent;
}

/** Waited for a service to change, when the client names no time and at most, in ms. */
const hashWaitMsMax = 600_000;

export function agentServiceRoutes(o: AgentServicesOptions): readonly HttpRoute[] {
  const known = (id: string): ServiceRow => {
    const row = o.agent.service(id);
    if (row === undefined)
      throw new HttpError(
        404,
        `Unknown service ID ${JSON.stringify(id)}. Ensure that the service ID is passed, not the service name.`,
      );
    return row;
  };
  const health = (found: readonly ServiceRow[]) =>
    found.map((row) => {
      const checks = o.agent.checks().filter((check) => check.ServiceID === '' || check.ServiceID === row.ID);
      return { row, checks, status: aggregated(checks) };
    });

  return [
    get('/v1/agent/services', (request) => {
      const who = request.authorizer();
      const keep = predicate(request.query.get('filter') ?? '', serviceFields);
      const rows = o.agent.services().filter((row) => who.may('service', row.Service, 'read') && keep(row));
      return { go: new Map(rows.map((row) => [row.ID, agentServiceJson(row, o.datacenter)])) };
    }),
    get('/v1/agent/service/*', async (request) => shown(request, rest(request))),
    put('/v1/agent/service/register', async (request) => {
      const who = request.authorizer();
      const body = await request.json();
      const registration = reading(() => readRegistration(body, o.agent.nodeName));
      need(who, 'service', registration.service.Service, 'write');
      // Whoever takes an id over takes it away from the service that had it.
      const old = o.agent.service(registration.service.ID);
      if (old !== undefined) need(who, 'service', old.Service, 'write');
      await o.agent.register(registration, { replaceChecks: truthy(request, 'replace-existing-checks') });
      return { text: '' };
    }),
    ...putOrGet('/v1/agent/service/deregister/*', async (request) => {
      const row = known(rest(request));
      need(request.authorizer(), 'service', row.Service, 'write');
      await o.agent.deregister(row.ID);
      return { text: '' };
    }),
    put('/v1/agent/service/maintenance/*', async (request) => {
      const on = enable(request);
      const row = known(rest(request));
      need(request.authorizer(), 'service', row.Service, 'write');
      await o.agent.maintain(row, on, request.query.get('reason') ?? '');
      return { text: '' };
    }),
    get('/v1/agent/health/service/id/*', (request) => {
      const id = rest(request);
      if (id === '') throw new HttpError(500, 'Missing serviceID');
      const [found] = health(o.agent.services().filter((row) => row.ID === id));
      if (found !== undefined) need(request.authorizer(), 'service', found.row.Service, 'read');
      if (found === undefined)
        return verdict(request, 404, `ServiceId ${id} not found`, {
          AggregatedStatus: 'critical',
          Service: null,
          Checks: null,
        });
      return verdict(request, statusCodes[found.status], found.status, healthJson(found));
    }),
    get('/v1/agent/health/service/name/*', (request) => {
      const name = rest(request);
      if (name === '') throw new HttpError(500, 'Missing service Name');
      need(request.authorizer(), 'service', name, 'read');
      const found = health(o.agent.services().filter((row) => row.Service === name));
      if (found.length === 0) return verdict(request, 404, `ServiceName ${name} Not Found`, []);
      const worst = found.map(({ status }) => status).reduce((a, b) => (severity[b] > severity[a] ? b : a));
      return verdict(request, statusCodes[worst], worst, found.map(healthJson));
    }),
  ];

  /** With `?hash=`: when the service is no longer what the client has seen, or the wait is over. */
  async function shown(request: HttpRequest, id: string): Promise<HttpReply> {
    const who = request.authorizer();
    const seen = request.query.get('hash') ?? '';
    const { waitMs } = queryOptions(request.query);
    const allowedMs = Math.min(waitMs || hashWaitMsMax, hashWaitMsMax);
    const began = performance.now();
    for (;;) {
      const row = o.agent.service(id);
      if (row === undefined) throw new HttpError(404, `unknown service ID: ${id}`);
      need(who, 'service', row.Service, 'read');
      const json = agentServiceJson(row, o.datacenter);
      const hash = contentHash(json);
      const leftMs = allowedMs - (performance.now() - began);
      if (seen !== hash || leftMs <= 0)
        return { go: hashedServiceJson(json, hash), headers: { 'X-Consul-Contenthash': hash } };
      await o.agent.servicesChanged(leftMs, request.signal);
    }
  }

  function healthJson({ row, checks, status }: ReturnType<typeof health>[number]) {
    return {
      AggregatedStatus: status,
      Service: agentServiceJson(row, o.datacenter),
      Checks: checks.map(agentCheckJson),
    };
  }
}

type Status = 'passing' | 'warning' | 'critical' | 'maintenance';
const severity: Readonly<Record<Status, number>> = { passing: 0, warning: 1, critical: 2, maintenance: 3 };
const statusCodes: Readonly<Record<Status, number>> = {
  passing: 200,
  warning: 429,
  critical: 503,
  maintenance: 503,
};

/** The worst of what the checks say; none says passing. */
export function aggregated(checks: readonly CheckRow[]): Status {
  let worst: Status = 'passing';
  for (const check of checks) {
    const status = check.Type === 'maintenance' ? 'maintenance' : (check.Status as Status);
    if (severity[status] > severity[worst]) worst = status;
  }
  return worst;
}

/** `?format=text` is for load balancers, which look at the status alone. */
function verdict(request: HttpRequest, status: number, reason: string, go: HttpReply['go'] & {}): HttpReply {
  const headers = { 'X-Consul-Reason': reason };
  if (request.query.get('format') === 'text')
    return { status, text: reason, contentType: 'text/plain', headers };
  return { status, go, headers };
}
