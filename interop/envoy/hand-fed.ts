/**
 * hand-fed.ts: one gateway process of either data plane, whose world is told by the test.
 *
 * The xDS server runs in the test, so that what it knows of its client can be looked at, and so that it can be taken away.
 * Lives here: server and process. Must not live here: worlds.
 */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gatewayCli } from '@fed/tooling/federation';
import { type GatewayWorld, openXdsServer, type XdsClientStatus, type XdsServer } from '@fed/xds';
import { Child } from '../lib/child.ts';
import { program } from '../lib/peers.ts';
import type { Pem } from './certificates.ts';
import { EnvoyView } from './view.ts';

/** Until a gateway has started and taken its first configuration, in ms. */
export const startMs = 20_000;

export interface HandFedOptions {
  readonly id: string;
  readonly dataPlane: 'embedded' | 'envoy';
  /** Environment variable with the path of Envoy. */
  readonly variable: string;
  /** Absent: not registered; then there is no waiting for the gateway either. */
  readonly world?: GatewayWorld;
  readonly adminPort: number;
  readonly token?: string;
  /** Envoy alone, told over the older variant of ADS that always says everything; its configuration goes into this folder. */
  readonly stateOfTheWorld?: { readonly folder: string };
  /** xDS over TLS, by this certificate and no other; the file holds its authority. */
  readonly tls?: Pem & { readonly caFile: string; readonly serverName: string };
  readonly drainTime?: string;
  /** More of the gateway's flags. */
  readonly flags?: readonly string[];
}

/** What a server in a test hands out, to be changed at will. */
class Told {
  world: GatewayWorld | undefined;
  readonly #heard = new Set<(world: GatewayWorld | undefined) => void>();
  readonly refusals: string[] = [];

  constructor(world: GatewayWorld | undefined) {
    this.world = world;
  }

  tell(world: GatewayWorld | undefined): void {
    this.world = world;
    for (const hear of this.#heard) hear(world);
  }

  async serve(port: number, tls?: Pem): Promise<XdsServer> {
    const bind = { host: '127.0.0.1', port };
    return await openXdsServer({
      ...(tls === undefined ? { bind } : { tls: { cert: tls.cert, key: tls.key, bind } }),
      coalesceMs: 10,
      log: (n) => {
        if (n.code === 'nack') this.refusals.push(n.text);
      },
      watchGateway: (_node, onWorld) => {
        this.#heard.add(onWorld);
        onWorld(this.world);
        return { [Symbol.dispose]: () => void this.#heard.delete(onWorld) };
      },
    });
  }
}

export class HandFed implements AsyncDisposable {
  readonly child: Child;
  readonly view: EnvoyView;
  readonly #told: Told;
  #xds: XdsServer;

  private constructor(o: HandFedOptions, told: Told, xds: XdsServer, child: Child) {
    this.#told = told;
    this.#xds = xds;
    this.child = child;
    this.view = new EnvoyView(`http://127.0.0.1:${o.adminPort}`);
  }

  static async open(o: HandFedOptions): Promise<HandFed> {
    const told = new Told(o.world);
    const xds = await told.serve(0, o.tls);
    const args = [
      gatewayCli,
      '--no-register',
      ...['--proxy-id', o.id],
      ...['--http-addr', '127.0.0.1:1'], // no agent: everything is told
      ...['--grpc-addr', `127.0.0.1:${xds.address.port}`],
      ...(o.tls === undefined ? [] : ['--grpc-ca-file', o.tls.caFile, '--tls-server-name', o.tls.serverName]),
      ...['--admin-bind', `127.0.0.1:${o.adminPort}`],
      ...['--drain-time', o.drainTime ?? '0s'],
      ...(o.token === undefined ? [] : ['--token', o.token]),
      ...(o.flags ?? []),
      ...(o.dataPlane === 'envoy' ? ['--data-plane', 'envoy', '--envoy-binary', program(o.variable)] : []),
    ];
    const child =
      o.stateOfTheWorld === undefined
        ? new Child(o.id, process.execPath, { args })
        : startAlone(o, o.stateOfTheWorld.folder, args);
    const it = new HandFed(o, told, xds, child);
    try {
      if (o.world !== undefined && o.stateOfTheWorld === undefined) await it.listening();
      return it;
    } catch (cause) {
      await it[Symbol.asyncDispose]();
      throw cause;
    }
  }

  /** The gateway's stream; undefined while it has none. */
  client(): XdsClientStatus | undefined {
    return this.#xds.clients()[0];
  }

  /** A new world, from now on. */
  tell(world: GatewayWorld | undefined): void {
    this.#told.tell(world);
  }

  /** Every refusal our server has noted. */
  get refusals(): readonly string[] {
    return this.#told.refusals;
  }

  /** The server goes away with all its memory, and comes back with `world`. */
  async restartServer(world: GatewayWorld): Promise<void> {
    const { port } = this.#xds.address;
    await this.#xds[Symbol.asyncDispose]();
    this.#told.world = world;
    this.#xds = await this.#told.serve(port);
  }

  /** Resolves once it has said that it listens. */
  async listening(): Promise<void> {
    await this.child.says(/^mesh gateway .* listening on/, startMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.child[Symbol.asyncDispose]();
    await this.#xds[Symbol.asyncDispose]();
  }
}

/** Envoy from our bootstrap, but for the one word that chooses how ADS speaks. */
function startAlone(o: HandFedOptions, folder: string, args: readonly string[]): Child {
  const printed = execFileSync(process.execPath, [...args, '--bootstrap-only'], { encoding: 'utf8' });
  const bootstrap = JSON.parse(printed) as { dynamic_resources: { ads_config: { api_type: string } } };
  bootstrap.dynamic_resources.ads_config.api_type = 'GRPC';
  const file = join(folder, 'state-of-the-world.json');
  writeFileSync(file, JSON.stringify(bootstrap));
  const envoyArgs = ['--config-path', file, '--disable-hot-restart', '--concurrency', '1'];
  return new Child(o.id, program(o.variable), { args: envoyArgs });
}
