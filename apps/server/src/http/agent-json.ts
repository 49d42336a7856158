/**
 * agent-json.ts: services, checks and members as the agent's own endpoints show them: no null lists, no indexes of the catalog.
 *
 * Source: Consul agent/agent_endpoint.go (buildAgentService), api/agent.go (AgentService).
 */
import { createHash } from 'node:crypto';
import { type CheckRow, checkJson, goJson, type JsonValue, type ServiceRow, serviceJson } from '@fed/fsm';
import type { SerfMember } from '@fed/serf';

const statusNumbers = { alive: 1, leaving: 2, left: 3, failed: 4 } as const;
const proxyKinds: ReadonlySet<string> = new Set([
  'connect-proxy',
  'mesh-gateway',
  'terminating-gateway',
  'ingress-gateway',
]);

type Json = { readonly [field: string]: JsonValue };

export function agentServiceJson(row: ServiceRow, datacenter: string): Json {
  const json = serviceJson(row, { emptyLists: true });
  const {
    Kind,
    ID,
    Service,
    Tags,
    TaggedAddresses,
    Weights,
    Proxy: proxy,
    Connect,
  } = json as Record<string, JsonValue>;
  return {
    ...(Kind === undefined ? {} : { Kind }),
    ID: ID as string,
    Service: Service as string,
    Tags: Tags as JsonValue,
    Meta: new Map(Object.entries(row.Meta ?? {})),
    Port: row.Port,
    Address: row.Address,
    ...(TaggedAddresses === undefined ? {} : { TaggedAddresses }),
    Weights: Weights as JsonValue,
    EnableTagOverride: row.EnableTagOverride,
    ...(proxyKinds.has(row.Kind) ? { Proxy: proxy as JsonValue } : {}),
    ...(row.Connect.Native ? { Connect: Connect as JsonValue } : {}),
    Datacenter: datacenter,
  };
}

/** Changes when, and only when, something a reader can see of the service does. */
export function contentHash(json: Json): string {
  return createHash('sha256').update(goJson(json)).digest('hex').slice(0, 16);
}

/** Between Meta and Proxy, where the original has it. */
export function hashedServiceJson(json: Json, hash: string): Json {
  const { Proxy: proxy, Connect, Datacenter, ...rest } = json as Record<string, JsonValue>;
  return {
    ...rest,
    ContentHash: hash,
    ...(proxy === undefined ? {} : { Proxy: proxy }),
    ...(Connect === undefined ? {} : { Connect }),
    Datacenter: Datacenter as string,
  };
}

export function agentCheckJson(row: CheckRow): Json {
  return checkJson({ ...row, CreateIndex: 0, ModifyIndex: 0 }, { emptyLists: true });
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
