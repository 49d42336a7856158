/**
 * agent.ts: the endpoints about this server itself: who it is, whom it sees, which services run beside it.
 *
 * Source: Consul agent/agent_endpoint.go.
 */
import { createHash } from 'node:crypto';
import { checkJson, goJson, type JsonValue, type ServiceRow, serviceJson } from '@fed/fsm';
import type { SerfMember } from '@fed/serf';
import type { Agent } from '../agent/agent.ts';
import { RegistrationError, readRegistration } from '../agent/registration.ts';
import { HttpError, type HttpReply, type HttpRequest, type HttpRoute } from './server.ts';

export interface AgentRoutesOptions {
  readonly datacenter: string;
  readonly nodeName: string;
  readonly agent: Agent;
  readonly members: (wan: boolean) => readonly SerfMember[];
  readonly self: () => unknown;
  readonly metrics: () => readonly {
    readonly name: string;
    readonly value: number;
    readonly labels?: Readonly<Record<string, string>>;
  }[];
  /** Our own view of the federation: per datacenter, how it is reached and what stands in the way. */
  readonly federation: () => unknown;
  /** Every connection that came from a server of another datacenter, with the port it came from. */
  readonly foreignConnections: () => unknown;
  readonly leave: () => void;
  readonly forceLeave: (
    name: string,
    o: { readonly prune: boolean; readonly wan: boolean },
  ) => Promise<boolean>;
  /** Reads certificates again. Throws what is wrong with them; then the old ones stay. */
  readonly reload: () => void;
}

const statusNumbers = { alive: 1, leaving: 2, left: 3, failed: 4 } as const;

export function agentRoutes(o: AgentRoutesOptions): readonly HttpRoute[] {
  const get = (path: string, handle: HttpRoute['handle']): HttpRoute => ({ method: 'GET', path, handle });
  const put = (path: string, handle: HttpRoute['handle']): HttpRoute => ({ method: 'PUT', path, handle });
  const heard =
    (status: 'passing' | 'warning' | 'critical') =>
    (request: HttpRequest): HttpReply => {
      const id = decodeURIComponent(request.params['*'] ?? '');
      if (!o.agent.heard(id, { status, output: request.query.get('note') ?? '' }))
        throw new HttpError(
          404,
          `Unknown check ID "${id}" or not a TTL check. Check IDs are listed at /v1/agent/checks.`,
        );
      return { text: '' };
    };

  return [
    get('/v1/agent/self', () => ({ json: o.self() })),
    get('/v1/agent/members', (request) => ({ json: o.members(truthy(request, 'wan')).map(memberJson) })),
    get('/v1/agent/federation', () => ({ json: o.federation() })),
    get('/v1/agent/foreign-connections', () => ({ json: o.foreignConnections() })),
    get('/v1/agent/metrics', (request) => {
      const metrics = o.metrics();
      if (request.query.get('format') === 'prometheus')
        return { text: prometheus(metrics), contentType: 'text/plain; version=0.0.4; charset=utf-8' };
      return {
        json: {
          Gauges: metrics.map(({ name, value, labels }) => ({
            Name: `fed.${name}`,
            Value: value,
            Labels: labels ?? {},
          })),
        },
      };
    }),
    get('/v1/agent/services', () => ({
      go: Object.fromEntries(o.agent.services().map((row) => [row.ID, serviceBody(row)])),
    })),
    get('/v1/agent/checks', () => ({
      go: Object.fromEntries(
        o.agent.checks().map((row) => [row.CheckID, checkJson(row, { emptyLists: true })]),
      ),
    })),
    get('/v1/agent/service/:id', (request) => {
      const row = o.agent.service(request.params['id'] ?? '');
      if (row === undefined) throw new HttpError(404, `unknown service ID: ${request.params['id']}`);
      const body = serviceBody(row);
      const hash = createHash('sha256').update(goJson(body)).digest('hex').slice(0, 16);
      return { go: { ...body, ContentHash: hash, Datacenter: o.datacenter } };
    }),
    put('/v1/agent/service/register', async (request) => {
      const body = await request.json();
      try {
        await o.agent.register(readRegistration(body, o.nodeName));
      } catch (error) {
        if (error instanceof RegistrationError) throw new HttpError(400, error.message);
        throw error;
      }
      return { text: '' };
    }),
    put('/v1/agent/service/deregister/*', async (request) => {
      const id = decodeURIComponent(request.params['*'] ?? '');
      if (!(await o.agent.deregister(id))) throw new HttpError(404, `Unknown service ID "${id}"`);
      return { text: '' };
    }),
    put('/v1/agent/check/pass/*', heard('passing')),
    put('/v1/agent/check/warn/*', heard('warning')),
    put('/v1/agent/check/fail/*', heard('critical')),
    put('/v1/agent/join/*', (request) => {
      if (truthy(request, 'wan'))
        throw new HttpError(500, 'WAN join is disabled when wan federation via mesh gateways is enabled');
      throw new HttpError(500, 'joining by address is not offered: one server stands for its datacenter');
    }),
    put('/v1/agent/leave', () => {
      o.leave();
      return { text: '' };
    }),
    put('/v1/agent/force-leave/:name', async (request) => {
      const name = request.params['name'] ?? '';
      const found = await o.forceLeave(name, {
        prune: truthy(request, 'prune'),
        wan: truthy(request, 'wan'),
      });
      if (!found) throw new HttpError(500, `agent: No node found with name '${name}'`);
      return { text: '' };
    }),
    put('/v1/agent/reload', () => {
      o.reload();
      return { text: '' };
    }),
  ];
}

export function memberJson(member: SerfMember): unknown {
  const { vsn } = member;
  return {
    Name: member.name,
    Addr: member.host,
    Port: member.port,
    Tags: Object.fromEntries(Object.entries(member.tags).sort(([a], [b]) => (a < b ? -1 : 1))),
    Status: statusNumbers[member.status],
    ProtocolMin: vsn.pMin,
    ProtocolMax: vsn.pMax,
    ProtocolCur: vsn.pCur,
    DelegateMin: vsn.dMin,
    DelegateMax: vsn.dMax,
    DelegateCur: vsn.dCur,
  };
}

/** The agent's own view of a service: no null lists, and no indexes of the catalog. */
function serviceBody(row: ServiceRow): { readonly [field: string]: JsonValue } {
  const { CreateIndex: _created, ModifyIndex: _modified, ...body } = serviceJson(row, { emptyLists: true });
  return { ...body, Meta: row.Meta ?? {} };
}

function truthy(request: HttpRequest, key: string): boolean {
  const value = request.query.get(key);
  return value !== null && value !== '0' && value !== 'false';
}

function prometheus(metrics: ReturnType<AgentRoutesOptions['metrics']>): string {
  const lines: string[] = [];
  const typed = new Set<string>();
  for (const { name, value, labels } of metrics) {
    const metric = `fed_${name.replace(/[^a-zA-Z0-9_]/g, '_')}`;
    if (!typed.has(metric)) lines.push(`# TYPE ${metric} gauge`);
    typed.add(metric);
    const pairs = Object.entries(labels ?? {}).map(([key, v]) => `${key}="${v.replace(/["\\\n]/g, '_')}"`);
    lines.push(`${metric}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${value}`);
  }
  return `${lines.join('\n')}\n`;
}
