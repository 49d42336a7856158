/** scenario.ts: the recorded catalog as worlds, for tests. */
import { readFileSync } from 'node:fs';
import type { GatewayWorld, Instance, ServiceGroup } from '../src/core/world.ts';

export function vector<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`./vectors/${name}.json`, import.meta.url), 'utf8')) as T;
}

interface VectorRow {
  node: { node: string; datacenter: string; address: string; taggedAddresses?: Record<string, string> };
  service: {
    id: string;
    service: string;
    address: string;
    port: number;
    meta?: Record<string, string>;
    taggedAddresses?: Record<string, { address: string; port: number }>;
    weights?: { passing: number; warning: number };
    modifyIndex?: number;
  };
  checks: { checkId: string; status: string }[];
}

interface Scenario {
  trustDomain: string;
  dnsDomain: string;
  federationStates: Record<string, VectorRow[]>;
  consulServers: Record<string, VectorRow[]>;
  connectServices: Record<string, Record<string, VectorRow[]>>;
  serviceResolvers: Record<
    string,
    Record<
      string,
      {
        connectTimeout: string;
        defaultSubset: string;
        subsets: Record<string, { filter: string; onlyPassing?: boolean }>;
      }
    >
  >;
  gatewaysUnderTest: Record<string, { datacenter: string; node: string; config: Record<string, unknown> }>;
}

export const scenario: Scenario = vector<Scenario>('scenario');

export function instanceOf(row: VectorRow): Instance & { Service: { ID: string; Service: string } } {
  const { node, service } = row;
  return {
    Node: {
      Node: node.node,
      Datacenter: node.datacenter,
      Address: node.address,
      TaggedAddresses: node.taggedAddresses ?? null,
    },
    Service: {
      ID: service.id,
      Service: service.service,
      Address: service.address,
      Port: service.port,
      Meta: service.meta ?? null,
      TaggedAddresses: taggedOf(service.taggedAddresses),
      Weights: service.weights
        ? { Passing: service.weights.passing, Warning: service.weights.warning }
        : null,
      ModifyIndex: service.modifyIndex ?? 0,
    },
    Checks: row.checks.map((c) => ({ Status: c.status })),
  };
}

export function taggedOf(
  tagged: Record<string, { address: string; port: number }> | undefined,
): Record<string, { Address: string; Port: number }> | null {
  if (tagged === undefined) return null;
  return Object.fromEntries(
    Object.entries(tagged).map(([name, a]) => [name, { Address: a.address, Port: a.port }]),
  );
}

/** The world of the gateway a golden file was written for. */
export function worldOf(golden: 'golden-dc1-gw1a' | 'golden-dc2-gw2a'): GatewayWorld {
  const { datacenter, node, config } = scenario.gatewaysUnderTest[`${golden}.json`]!;
  const gateway = instanceOf(scenario.federationStates[datacenter]!.find((r) => r.node.node === node)!);
  return {
    datacenter,
    domain: scenario.dnsDomain,
    trustDomain: scenario.trustDomain,
    gateway: { ...gateway.Service, Proxy: { Config: config as Record<string, string> } },
    servers: scenario.consulServers[datacenter]!.map((row) => ({
      node: row.node.node,
      host: row.service.address || row.node.address,
      port: row.service.port,
      critical: row.checks.some((c) => c.status === 'critical'),
    })),
    federationStates: statesOf(scenario.federationStates),
    services: servicesOf(datacenter),
  };
}

function statesOf(states: Record<string, VectorRow[]>): GatewayWorld['federationStates'] {
  return Object.entries(states).map(([dc, rows]) => ({
    Datacenter: dc,
    MeshGateways: rows.map(instanceOf) as unknown as GatewayWorld['federationStates'][number]['MeshGateways'],
  }));
}

function servicesOf(datacenter: string): ServiceGroup[] {
  return Object.entries(scenario.connectServices[datacenter]!).map(([name, rows]) => {
    const resolver = scenario.serviceResolvers[datacenter]?.[name];
    return {
      name,
      instances: rows.map(instanceOf),
      ...(resolver
        ? {
            resolver: {
              connectTimeoutMs: Number.parseInt(resolver.connectTimeout, 10) * 1000,
              defaultSubset: resolver.defaultSubset,
              subsets: resolver.subsets,
            },
          }
        : {}),
    };
  });
}
