/**
 * agents.ts: one server as a child process, ours or a Consul one, of a datacenter of its own, ready to be asked over HTTP.
 *
 * Lives here: starting, waiting until it leads, ending. Must not live here: what is measured.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { closedPorts } from '@fed/tooling/consul';
import { fedCli } from '@fed/tooling/federation';
import { freePorts } from '@fed/tooling/ports';

const host = '127.0.0.1';
const upMs = 30_000;
/** A port that was free a moment ago may be taken by the time it is wanted. */
const triesMax = 3;
/** Another build of our server may be tried by naming its cli.js. */
const serverCli = process.env['FED_SERVER_CLI'] ?? fedCli;

interface Ports {
  readonly http: number;
  readonly server: number;
}

export interface AgentProcess extends AsyncDisposable {
  readonly url: string;
  readonly serverPort: number;
  readonly pid: number;
}

/** Certified by the CA in `folder`, if there is one. */
export async function openOurs(folder: string): Promise<AgentProcess> {
  mkdirSync(folder, { recursive: true });
  const fed = (...args: string[]): void =>
    void execFileSync(process.execPath, [serverCli, ...args], { cwd: folder });
  if (!existsSync(join(folder, 'consul-agent-ca.pem'))) fed('tls', 'ca', 'create');
  fed('tls', 'cert', 'create', '--server', '--dc', 'dc1', '--node', 'n1');
  return withPorts(5, ([server, serf_lan, serf_wan, http, grpc]) => {
    const file = write(folder, {
      ...common(folder),
      ca_file: join(folder, 'consul-agent-ca.pem'),
      cert_file: join(folder, 'dc1-server-consul-0.pem'),
      key_file: join(folder, 'dc1-server-consul-0-key.pem'),
      verify_incoming: true,
      verify_outgoing: true,
      verify_server_hostname: true,
      connect: { enabled: true, enable_mesh_gateway_wan_federation: true },
      ports: { server, serf_lan, serf_wan, http, grpc },
    });
    return started(
      { http, server } as Ports,
      process.execPath,
      [serverCli, 'server', '--config', file],
      folder,
    );
  });
}

export async function openConsul(program: string, folder: string): Promise<AgentProcess> {
  mkdirSync(folder, { recursive: true });
  return withPorts(4, ([server, serf_lan, serf_wan, http]) => {
    const file = write(folder, {
      ...common(folder),
      disable_update_check: true,
      ports: { ...closedPorts(program), server, serf_lan, serf_wan, http, grpc: -1 },
    });
    return started({ http, server } as Ports, program, ['agent', `-config-file=${file}`], folder);
  });
}

async function withPorts(
  count: number,
  start: (ports: readonly number[]) => Promise<AgentProcess>,
): Promise<AgentProcess> {
  for (let tries = 1; ; tries++) {
    try {
      return await start(await freePorts(count));
    } catch (error) {
      if (tries === triesMax) throw error;
    }
  }
}

function common(folder: string) {
  return {
    server: true,
    bootstrap_expect: 1,
    datacenter: 'dc1',
    node_name: 'n1',
    bind_addr: host,
    data_dir: join(folder, 'data'),
    log_level: 'error',
  };
}

function write(folder: string, config: object): string {
  const file = join(folder, 'agent.json');
  writeFileSync(file, JSON.stringify(config));
  return file;
}

async function started(
  ports: Ports,
  command: string,
  args: readonly string[],
  cwd: string,
): Promise<AgentProcess> {
  const child: ChildProcess = spawn(command, args, { cwd, stdio: ['ignore', 'ignore', 'inherit'] });
  const ended = once(child, 'exit');
  const url = `http://${host}:${ports.http}`;
  const agent: AgentProcess = {
    url,
    serverPort: ports.server,
    pid: child.pid as number,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await ended;
    },
  };
  for (const began = performance.now(); ; ) {
    const answer = await fetch(`${url}/v1/health/node/n1`).catch(() => undefined);
    // Written by whoever leads, so that writes are possible from now on.
    if (answer?.ok === true && (await answer.text()).includes('serfHealth')) return agent;
    if (performance.now() - began > upMs || child.exitCode !== null) {
      await agent[Symbol.asyncDispose]();
      throw new Error(`${command} does not answer at ${url}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
