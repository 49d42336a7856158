/**
 * server.ts: one server of ours as a process of its own, as an operator starts it, for clients that know nothing of us.
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fedCli } from '@fed/tooling/federation';
import { freePorts } from '@fed/tooling/ports';
import { Child } from '../lib/child.ts';
import { TempFolder } from '../lib/temp-folder.ts';
import { until } from '../lib/until.ts';

/** Another build of our server may be tried by naming its cli.js. */
const serverCli = process.env['FED_SERVER_CLI'] ?? fedCli;
export const host = '127.0.0.1';
export const datacenter = 'dc1';
export const node = 'n1';

export class Server implements AsyncDisposable {
  readonly httpPort: number;
  readonly rpcPort: number;
  readonly lanPort: number;
  readonly #child: Child;
  readonly #folder: TempFolder;

  private constructor(child: Child, folder: TempFolder, ports: readonly number[]) {
    this.#child = child;
    this.#folder = folder;
    [this.rpcPort, this.lanPort, , this.httpPort] = ports as [number, number, number, number];
  }

  /** @param config laid over the configuration */
  static async start(config: Readonly<Record<string, unknown>> = {}): Promise<Server> {
    const folder = await TempFolder.open();
    const fed = (...args: string[]): void =>
      void execFileSync(process.execPath, [serverCli, ...args], { cwd: folder.path });
    fed('tls', 'ca', 'create');
    fed('tls', 'cert', 'create', '--server', '--dc', datacenter, '--node', node);
    const ports = await freePorts(5);
    const [server, serf_lan, serf_wan, http, grpc] = ports;
    const file = (name: string): string => join(folder.path, name);
    await folder.write(
      'server.json',
      JSON.stringify({
        server: true,
        datacenter,
        node_name: node,
        data_dir: file('data'),
        ca_file: file('consul-agent-ca.pem'),
        cert_file: file(`${datacenter}-server-consul-0.pem`),
        key_file: file(`${datacenter}-server-consul-0-key.pem`),
        verify_incoming: true,
        verify_outgoing: true,
        verify_server_hostname: true,
        connect: { enabled: true, enable_mesh_gateway_wan_federation: true },
        ports: { server, serf_lan, serf_wan, http, grpc },
        ...config,
      }),
    );
    const child = new Child('fed server', process.execPath, {
      args: [serverCli, 'server', '--config', file('server.json')],
      cwd: folder.path,
    });
    const started = new Server(child, folder, ports);
    try {
      await until('the server answers', 30_000, async () => {
        if (!child.running) throw new Error(child.tail());
        return (await (await fetch(`http://${host}:${http}/v1/status/leader`)).json()) !== '';
      });
    } catch (cause) {
      await started[Symbol.asyncDispose]();
      throw cause;
    }
    return started;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child[Symbol.asyncDispose]();
    await this.#folder[Symbol.asyncDispose]();
  }
}
