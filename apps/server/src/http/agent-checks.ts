/**
 * agent-checks.ts: the checks of this node and of its services: registered, heard of, taken away; and maintenance of the node.
 *
 * Source: Consul agent/agent_endpoint.go.
 */
import type { CheckRow } from '@fed/fsm';
import { checkFields } from '@fed/fsm/filter';
import { need } from '../acl/access.ts';
import type { Authorizer } from '../acl/rules.ts';
import type { Agent } from '../agent/agent.ts';
import { checkRow, checkStatuses, readCheck } from '../agent/check-definition.ts';
import { decode } from '../agent/decode.ts';
import { serfHealth } from '../agent/registration.ts';
import { predicate } from '../filter/filtering.ts';
import { agentCheckJson } from './agent-json.ts';
import { enable, get, put, putOrGet, reading, rest } from './parameters.ts';
import { HttpError, type HttpReply, type HttpRequest, type HttpRoute } from './server.ts';

/** What a service says of itself is shown up to this, in characters. */
const outputCharsMax = 4096;

export function agentCheckRoutes({ agent }: { readonly agent: Agent }): readonly HttpRoute[] {
  const known = (id: string): CheckRow => {
    const row = agent.check(id);
    if (row === undefined)
      throw new HttpError(
        404,
        `Unknown check ID ${JSON.stringify(id)}. Ensure that the check ID is passed, not the check name.`,
      );
    return row;
  };
  const mayWrite = (who: Authorizer, { ServiceID, ServiceName }: CheckRow): void =>
    ServiceID === ''
      ? need(who, 'node', agent.nodeName, 'write')
      : need(who, 'service', ServiceName, 'write');
  const update = async (request: HttpRequest, status: Verdict, output: string): Promise<HttpReply> => {
    const row = known(rest(request));
    mayWrite(request.authorizer(), row);
    if ((await agent.heard(row.CheckID, { status, output: cut(output) })) !== 'heard')
      throw new HttpError(500, `CheckID ${JSON.stringify(row.CheckID)} does not have associated TTL`);
    return { text: '' };
  };
  const heard =
    (status: Verdict) =>
    (request: HttpRequest): Promise<HttpReply> =>
      update(request, status, request.query.get('note') ?? '');

  return [
    get('/v1/agent/checks', (request) => {
      const who = request.authorizer();
      const keep = predicate(request.query.get('filter') ?? '', checkFields);
      const rows = agent.checks().filter((row) => maySee(who, row) && keep(row));
      return { go: new Map(rows.map((row) => [row.CheckID, agentCheckJson(row)])) };
    }),
    put('/v1/agent/check/register', async (request) => {
      const who = request.authorizer();
      const sent = await request.json();
      const body = reading(() => readCheck(sent));
      const service = (body.ServiceID ?? '') === '' ? undefined : agent.service(body.ServiceID as string);
      if (service === undefined && (body.ServiceID ?? '') !== '')
        throw new HttpError(404, `ServiceID ${JSON.stringify(body.ServiceID)} does not exist`);
      const row = reading(() =>
        checkRow(body, { node: agent.nodeName, service, fallbackId: body.Name, name: body.Name }),
      );
      if (row.CheckID === serfHealth)
        throw new HttpError(400, `Invalid check ID: '${serfHealth}' is kept by the pool of servers`);
      mayWrite(who, row);
      const old = agent.check(row.CheckID);
      if (old !== undefined) mayWrite(who, old);
      await agent.registerCheck(row);
      return { text: '' };
    }),
    ...putOrGet('/v1/agent/check/deregister/*', async (request) => {
      const row = known(rest(request));
      mayWrite(request.authorizer(), row);
      await agent.deregisterCheck(row.CheckID);
      return { text: '' };
    }),
    ...putOrGet('/v1/agent/check/pass/*', heard('passing')),
    ...putOrGet('/v1/agent/check/warn/*', heard('warning')),
    ...putOrGet('/v1/agent/check/fail/*', heard('critical')),
    put('/v1/agent/check/update/*', async (request) => {
      const sent = await request.json();
      const { Status = '', Output = '' } = reading(() => decode(sent, { Status: 'text', Output: 'text' }));
      if (!checkStatuses.has(Status)) throw new HttpError(400, `Invalid check status: '${Status}'`);
      return update(request, Status as Verdict, Output);
    }),
    put('/v1/agent/maintenance', async (request) => {
      const on = enable(request);
      need(request.authorizer(), 'node', agent.nodeName, 'write');
      await agent.maintain(undefined, on, request.query.get('reason') ?? '');
      return { text: '' };
    }),
  ];
}

type Verdict = 'passing' | 'warning' | 'critical';

function maySee(who: Authorizer, { Node, ServiceName }: CheckRow): boolean {
  return ServiceName === '' ? who.may('node', Node, 'read') : who.may('service', ServiceName, 'read');
}

function cut(output: string): string {
  if (output.length <= outputCharsMax) return output;
  const kept = output.slice(0, outputCharsMax);
  return `${kept} ... (captured ${outputCharsMax} of ${output.length} bytes)`;
}
