/**
 * assignment.ts: where a gateway takes its configuration from: what the operator said, else what the agent says.
 *
 * With an authority named, TLS is wanted; without one, plain text is preferred where the agent has both. An agent that
 * cannot be asked is no reason to stop: the usual port is tried, and the log says so.
 * Lives here: that choice. Must not live here: requests (agent.ts), streams.
 * Source: Consul command/connect/envoy (xdsAddress).
 */
import type { Agent, AgentError } from './agent.ts';
import type { Agents } from './agents.ts';
import type { Authorities } from './authorities.ts';
import type { GatewayConfig, GrpcAddress } from './config.ts';
import type { Assignment } from './data-plane.ts';
import type { Log } from './log.ts';

const portDefault = { plain: 8_502, tls: 8_503 };
/** Agents that name their xDS port, ours and Consul from 1.13 on, allow a ping every 15 s. */
const keepaliveMs = 30_000;

/** `ca`: the authorities that were named; what they are is asked when a stream is opened. */
export async function askAgent(o: {
  readonly config: GatewayConfig;
  readonly ca: Pick<Authorities, 'pem'>;
  readonly agent: Agent;
  readonly log: Log;
  readonly stop: AbortSignal;
}): Promise<Assignment> {
  const { config: c, ca, agent, log, stop } = o;
  if (c.dataPlane === 'embedded' && c.grpc !== undefined) return assignment(c, ca, c.grpc);
  const { hostname } = new URL(agent.url); // IPv6 in brackets, as gRPC wants it
  const usual = xdsAt(hostname, {}, ca.pem !== undefined);
  try {
    const [self, instance] = await Promise.all([
      agent.self(stop),
      c.dataPlane === 'envoy' ? agent.instance(c.id, stop) : undefined,
    ]);
    const told = xdsAt(hostname, self, ca.pem !== undefined);
    const named = self.xdsPort !== undefined || self.xdsTlsPort !== undefined;
    if (c.grpc === undefined && !named)
      log.warn(
        { target: told.target },
        'the agent names no xDS port; trying the usual one, or set --grpc-addr',
      );
    return {
      ...assignment(c, ca, c.grpc ?? told),
      ...(named && { keepaliveMs }),
      ...(self.datacenter !== undefined && { datacenter: self.datacenter }),
      ...(instance?.proxyConfig !== undefined && { proxyConfig: instance.proxyConfig }),
    };
  } catch (e) {
    const { code, message: cause } = e as AgentError;
    const { target } = c.grpc ?? usual;
    log.warn({ code, cause, target }, 'cannot ask the agent for its xDS port; trying this one');
    return assignment(c, ca, c.grpc ?? usual);
  }
}

/**
 * The same where there are several. Envoy cannot be told of another server later, so it is given all of them, in turn from the
 * one the gateway is registered at.
 */
export async function askAgents(
  o: Omit<Parameters<typeof askAgent>[0], 'agent'> & { readonly agents: Agents },
): Promise<Assignment> {
  const { agents, ...rest } = o;
  const first = await askAgent({ ...rest, agent: agents.current });
  if (o.config.dataPlane !== 'envoy' || o.config.grpc !== undefined || agents.count === 1) return first;
  const others = agents.all.filter((agent) => agent !== agents.current);
  const told = await Promise.all(others.map((agent) => askAgent({ ...rest, agent })));
  return { ...first, others: told.map(({ target }) => target) };
}

function xdsAt(
  hostname: string,
  ports: { readonly xdsPort?: number; readonly xdsTlsPort?: number },
  authorityNamed: boolean,
): GrpcAddress {
  const tls = authorityNamed || (ports.xdsPort === undefined && ports.xdsTlsPort !== undefined);
  const port = tls ? (ports.xdsTlsPort ?? portDefault.tls) : (ports.xdsPort ?? portDefault.plain);
  return { target: `${hostname}:${port}`, tls };
}

function assignment(
  c: GatewayConfig,
  ca: Pick<Authorities, 'pem'>,
  { target, tls }: GrpcAddress,
): Assignment {
  if (!tls) return { target };
  const { tlsServerName: serverName } = c;
  const name = serverName !== undefined && { serverName };
  if (ca.pem === undefined) return { target, tls: { ...name } };
  return {
    target,
    tls: {
      get ca() {
        return ca.pem as string;
      },
      ...name,
    },
  };
}
