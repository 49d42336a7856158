/**
 * proxies.ts: what sends connections on by their server name, in the ways `bench -- gateway` compares.
 *
 * Ours and Envoy are started as an operator would, in a federation of two datacenters; then everything else is stopped (a
 * gateway keeps its last configuration), and whoever measures takes the place of dc2's gateway. HAProxy, and Envoy
 * where there are to be two of them, get a configuration of their own that does the same.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type DataPlane, Federation } from '@fed/tooling/federation';
import { freePorts } from '@fed/tooling/ports';

const host = '127.0.0.1';
export const sni = 'server.dc2.consul';

export interface Relayer extends AsyncDisposable {
  readonly pids: readonly number[];
  /** Each takes its share of the connections. */
  readonly ports: readonly number[];
  /** Where it sends them. */
  readonly backendPort: number;
}

interface Place {
  /** An empty one, for configurations and logs. */
  readonly folder: string;
  /** At a time, of each process. */
  readonly connectionsMax: number;
}

/** `processes` above 1: ours relays with so many. */
export async function openGateway(
  dataPlane: DataPlane,
  { folder }: Place,
  processes = 1,
): Promise<Relayer | undefined> {
  const envoyBinary = dataPlane === 'envoy' ? process.env['ENVOY_BIN'] : undefined;
  if (dataPlane === 'envoy' && envoyBinary === undefined) return undefined; // said already
  const federation = await Federation.prepare({
    datacenters: ['dc1', 'dc2'],
    folder,
    dataPlane: { dc1: dataPlane },
    ...(envoyBinary !== undefined && { envoyBinary }),
    ...(processes > 1 && { gatewayFlags: ['--concurrency', String(processes)] }),
  });
  try {
    federation.startAll();
    await federation.up();
    await federation.until('the federation has formed', 60_000, () => federation.formed());
    const reads = async (): Promise<boolean> =>
      (await federation.get<readonly unknown[]>('dc1', '/v1/catalog/nodes?dc=dc2')).length === 1;
    await federation.until('dc1 has a route to dc2', 30_000, reads);
    await federation.stop('dc1', 'server', 'SIGKILL');
    await federation.stop('dc2', 'gateway', 'SIGKILL');
    await federation.stop('dc2', 'server', 'SIGKILL');
    const { gateway, gatewayPort } = federation.site('dc1');
    const own = gateway?.pid as number;
    const pids = dataPlane === 'envoy' ? childrenOf(own) : processes > 1 ? [own, ...childrenOf(own)] : [own];
    return {
      pids,
      ports: [gatewayPort],
      backendPort: federation.site('dc2').gatewayPort,
      [Symbol.asyncDispose]: () => federation[Symbol.asyncDispose](),
    };
  } catch (e) {
    await federation[Symbol.asyncDispose]();
    throw e;
  }
}

/** `splice`: bytes stay in the kernel where HAProxy finds that worth it; no other here can do so. */
export function openHaproxy(place: Place, o: { splice?: boolean; processes?: number } = {}) {
  const configuration = (port: number, backendPort: number): string => `global
  nbthread 1
  maxconn ${place.connectionsMax}
  maxpipes 64
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
${o.splice ? '  option splice-auto\n  option splice-request\n  option splice-response\n' : ''}frontend gateway
  bind ${host}:${port} backlog 4096
  tcp-request inspect-delay 10s
  tcp-request content accept if { req_ssl_hello_type 1 }
  use_backend dc2 if { req.ssl_sni -i ${sni} }
backend dc2
  server one ${host}:${backendPort}
`;
  return openAlike(process.env['HAPROXY_BIN'], place, o.processes, configuration, (file) => [
    '-f',
    file,
    '-db',
  ]);
}

/** With the filters our own server configures. */
export function openEnvoys(place: Place, processes: number): Promise<Relayer | undefined> {
  const v3 = 'type.googleapis.com/envoy.extensions.filters';
  const at = (port: number) => ({ socket_address: { address: host, port_value: port } });
  const endpoint = (port: number) => ({ lb_endpoints: [{ endpoint: { address: at(port) } }] });
  const limits = { max_connections: 16_384, max_pending_requests: 4_096 };
  const configuration = (port: number, backendPort: number): string =>
    JSON.stringify({
      static_resources: {
        listeners: [
          {
            name: 'default',
            address: at(port),
            listener_filters: [
              {
                name: 'envoy.filters.listener.tls_inspector',
                typed_config: { '@type': `${v3}.listener.tls_inspector.v3.TlsInspector` },
              },
            ],
            filter_chains: [
              {
                filter_chain_match: { server_names: [sni] },
                filters: [
                  {
                    name: 'envoy.filters.network.tcp_proxy',
                    typed_config: {
                      '@type': `${v3}.network.tcp_proxy.v3.TcpProxy`,
                      stat_prefix: 'dc2',
                      cluster: 'dc2',
                    },
                  },
                ],
              },
            ],
          },
        ],
        clusters: [
          {
            name: 'dc2',
            type: 'STATIC',
            connect_timeout: '5s',
            circuit_breakers: { thresholds: [limits] },
            load_assignment: { cluster_name: 'dc2', endpoints: [endpoint(backendPort)] },
          },
        ],
      },
    });
  return openAlike(process.env['ENVOY_BIN'], place, processes, configuration, (file) => [
    ...['-c', file, '--concurrency', '1', '--disable-hot-restart', '--log-level', 'error'],
  ]);
}

/** So many processes of one program, each on a port of its own, all before one backend; undefined without the program. */
async function openAlike(
  program: string | undefined,
  { folder }: Place,
  processes = 1,
  configuration: (port: number, backendPort: number) => string,
  flags: (file: string) => readonly string[],
): Promise<Relayer | undefined> {
  if (program === undefined) return undefined; // said already
  const [backendPort, ...ports] = (await freePorts(1 + processes)) as [number, ...number[]];
  const pids: number[] = [];
  await using started = new AsyncDisposableStack();
  for (const port of ports) {
    const file = join(folder, `${port}.json`);
    writeFileSync(file, configuration(port, backendPort));
    const child = spawn(program, flags(file), { stdio: ['ignore', 'ignore', 'inherit'] });
    const exit = once(child, 'exit');
    started.defer(async () => {
      child.kill('SIGKILL');
      await exit;
    });
    for (let up = false; !up; ) {
      if (child.exitCode !== null) throw new Error(`${program} ended with ${child.exitCode}`);
      const socket = connect({ host, port });
      up = await new Promise((resolve) => {
        socket.once('connect', () => resolve(true));
        socket.once('error', () => resolve(false));
      });
      socket.destroy();
    }
    pids.push(child.pid as number);
  }
  const running = started.move();
  return { pids, ports, backendPort, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

function childrenOf(pid: number): readonly number[] {
  const listed = execFileSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' });
  return listed.trim().split(/\s+/).map(Number);
}
