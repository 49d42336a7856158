/**
 * gateway.ts: a mesh gateway in the simulation.
 *
 * Production code registers it, keeps it registered, says what it must do (@fed/xds) and matches names to clusters and
 * clusters to endpoints (mesh-gateway's relay). Modelled: the gRPC stream of the configuration is a function call with a delay, and
 * the bytes of a relayed connection are one conduit over several hops.
 * Lives here: a gateway's program. Must not live here: connections (conduit.ts), which fault when.
 */
import {
  Clusters,
  Counters,
  clusterOf,
  type KeepRegistered,
  keepRegistered,
  RouteTable,
  registrationBody,
} from '@fed/mesh-gateway/inside';
import { readRegistration } from '@fed/server/inside';
import {
  describeGateway,
  type GatewayIr,
  type GatewayWorld,
  type RelayCluster,
  type RelayConfig,
} from '@fed/xds';
import type { SeededRng } from '../seeded-rng.ts';
import type { FedNetwork, Found, HostPort, Listener, RouteRequest, SimHost } from './network.ts';
import { SimProcess } from './process.ts';
import { HttpPort, httpPort, XdsPort, xdsPort } from './server-ports.ts';

export const gatewayPort = 8443;
/** The feed's own pause for siblings of a change, and the client's between two tries to get a stream. */
const coalesceMs = 50;
const streamRetryMs = 500;
const answerMsMax = 5_000;
const connectAttemptsMax = 3;

export class SimGateway implements Listener {
  readonly id: string;
  readonly host: SimHost;
  readonly #net: FedNetwork;
  readonly #rng: SeededRng;
  /** Private address of the server that is its agent. */
  readonly #agent: string;
  readonly #datacenter: string;
  #life: Life | undefined;

  constructor(o: {
    readonly id: string;
    readonly datacenter: string;
    readonly net: FedNetwork;
    readonly rng: SeededRng;
    readonly host: SimHost;
    readonly agent: string;
  }) {
    this.id = o.id;
    this.host = o.host;
    this.#net = o.net;
    this.#rng = o.rng;
    this.#agent = o.agent;
    this.#datacenter = o.datacenter;
  }

  get running(): boolean {
    return this.#life !== undefined;
  }

  /** Names it routes at the moment. */
  get serves(): boolean {
    return this.#life?.routes !== undefined;
  }

  start(): void {
    if (this.#life !== undefined) return;
    this.#net.note(`start gateway ${this.#datacenter}/${this.id} ${this.host.name}`);
    const process = new SimProcess(this.host, this.#net.clock);
    const rng = this.#rng.fork();
    const life = new Life(process, rng);
    this.#life = life;
    life.keeping = keepRegistered({
      agents: {
        count: 1,
        turn: () => {},
        current: {
          url: this.#datacenter,
          register: (body, signal) =>
            this.#ask(life, signal, async ({ agent }, nodeName) => {
              await agent.register(readRegistration(JSON.parse(JSON.stringify(body)), nodeName), {
                replaceChecks: true,
              });
            }),
          instance: (id, signal) =>
            this.#ask(life, signal, async ({ agent }) => {
              const row = agent.service(id);
              return row && { address: row.Address, port: row.Port };
            }),
          self: () => Promise.resolve({}),
          forget: () => Promise.resolve(),
        },
      },
      body: registrationBody(
        {
          id: this.id,
          service: 'mesh-gateway',
          exposeServers: true,
          address: { host: this.host.address, port: gatewayPort },
          wanAddress: { host: this.host.publicAddress as string, port: gatewayPort },
          bindAddresses: [],
          proxyProtocol: false,
          deregisterAfterCritical: '6h',
        },
        new Set([this.host.address]),
      ),
      clock: process,
      rng,
      onEvent: () => {},
    });
    this.#follow(life);
  }

  /** Without a word to anybody. */
  kill(): void {
    const life = this.#life;
    if (life === undefined) return;
    this.#life = undefined;
    this.#net.note(`kill gateway ${this.#datacenter}/${this.id}`);
    life.process.kill();
    life.watching?.[Symbol.dispose]();
    life.clusters[Symbol.dispose]();
    this.#net.died(this.host);
  }

  route(o: RouteRequest, done: (found: Found) => void): void {
    const life = this.#life;
    const chain = life?.routes?.match(o.sni.toLowerCase());
    const name = chain && clusterOf(chain, o.sni.toLowerCase());
    const cluster = name === undefined ? undefined : life?.clusters.get(name.toLowerCase());
    if (life === undefined || cluster === undefined) done({ kind: 'closed' });
    else this.#dial(life, cluster, o, done);
  }

  /** One endpoint after the other, none twice, as often as the relay does (relay/dial.ts). */
  #dial(life: Life, cluster: Cluster, o: RouteRequest, done: (found: Found) => void): void {
    const tried = new Set<string>();
    const next = (): void => {
      const endpoint =
        tried.size < connectAttemptsMax ? cluster.balancer.pick(life.process.now(), tried) : undefined;
      if (endpoint === undefined) {
        done({ kind: 'closed' });
        return;
      }
      tried.add(`${endpoint.host}:${endpoint.port}`);
      let settled = false;
      const failed = (): void => {
        if (settled) return;
        settled = true;
        cluster.balancer.failed(endpoint, life.process.now());
        next();
      };
      const late = life.process.at(life.process.now() + cluster.config.connectTimeoutMs, failed);
      this.#net.connect(this.host, endpoint, (answer) => {
        late[Symbol.dispose]();
        if (settled || life.process.isOver) return;
        if (answer === 'refused') return failed();
        settled = true;
        cluster.balancer.connected(endpoint);
        this.#pass(o, answer, done);
      });
    };
    next();
  }

  /** The hello goes on to whoever answered; while it does, a hop that stands still keeps everybody waiting. */
  #pass(o: RouteRequest, to: Listener, done: (found: Found) => void): void {
    const hop = { from: this.host, to: to.host };
    const { clock } = this.#net;
    const arrive = (): void => {
      if (!this.#net.passes(hop.from, hop.to)) {
        if (hop.from.alive && hop.to.alive) clock.at(clock.now() + 200, arrive);
        return;
      }
      to.route({ ...o, hops: [...o.hops, hop] }, done);
    };
    clock.at(clock.now() + this.#net.delayMs(hop.from, hop.to), arrive);
  }

  /** Configuration as it comes, from a server that may go away and come back. What was learned last stays in force. */
  #follow(life: Life): void {
    const { process } = life;
    const again = (): void => {
      life.watching = undefined;
      process.at(process.now() + streamRetryMs / 2 + this.#rng.below(streamRetryMs), () =>
        this.#follow(life),
      );
    };
    let answered = false;
    process.at(process.now() + answerMsMax, () => {
      if (!answered) again();
    });
    this.#net.connect(this.host, { host: this.#agent, port: xdsPort }, (answer) => {
      if (answered || process.isOver) return;
      answered = true;
      if (!(answer instanceof XdsPort)) return again();
      life.watching = answer.watch(
        this.id,
        (world) => this.#offer(life, world, answer.host),
        () => {
          if (!process.isOver) again();
        },
      );
    });
  }

  #offer(life: Life, world: GatewayWorld | undefined, from: SimHost): void {
    life.newest = world;
    if (life.due) return;
    life.due = true;
    const { process } = life;
    process.at(process.now() + coalesceMs + this.#net.delayMs(from, this.host), () => {
      life.due = false;
      if (life.newest === undefined || (life.routes === undefined && life.newest.servers.length === 0))
        return;
      const config = relayConfigOf(describeGateway(life.newest));
      life.routes = new RouteTable(config.listeners[0]!.chains);
      life.clusters.apply(config.clusters);
      if (!this.host.listeners.has(gatewayPort))
        this.#net.note(`gateway ${this.#datacenter}/${this.id} listens`);
      this.host.listeners.set(gatewayPort, this);
    });
  }

  /** A request to the agent's API: there and back, or not within its time. */
  #ask<T>(
    life: Life,
    signal: AbortSignal,
    work: (running: NonNullable<HttpPort['running']>, nodeName: string) => Promise<T>,
  ): Promise<T> {
    const { process } = life;
    return new Promise((resolve, reject) => {
      const late = process.at(process.now() + answerMsMax, () =>
        reject(new Error('no answer from the agent')),
      );
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      this.#net.connect(this.host, { host: this.#agent, port: httpPort }, (answer) => {
        if (process.isOver) return;
        if (!(answer instanceof HttpPort) || answer.running === undefined) {
          late[Symbol.dispose]();
          reject(new Error('the agent is not there'));
          return;
        }
        work(answer.running, answer.nodeName)
          .finally(() => late[Symbol.dispose]())
          .then(resolve, reject);
      });
    });
  }
}

type Cluster = NonNullable<ReturnType<Clusters['get']>>;

class Life {
  readonly process: SimProcess;
  readonly clusters: Clusters;
  keeping: KeepRegistered | undefined;
  watching: Disposable | undefined;
  routes: RouteTable | undefined;
  newest: GatewayWorld | undefined;
  due = false;

  constructor(process: SimProcess, rng: SeededRng) {
    this.process = process;
    const resolve = (): Promise<never> => Promise.reject(new Error('no names here'));
    this.clusters = new Clusters({ clock: process, rng, resolve }, new Counters());
  }
}

/** What xds/core/acceptance.ts reads off the resources, taken from the description they are made of. */
function relayConfigOf(ir: GatewayIr): RelayConfig {
  const clusters = new Map<string, RelayCluster>();
  for (const d of ir.destinations) {
    if (!d.hasCluster) continue;
    const several = d.endpoints.length > 1;
    clusters.set(d.name, {
      connectTimeoutMs: d.connectTimeoutMs,
      discovery: 'EDS',
      endpoints: d.endpoints.map(({ host, port, weight, health }) => ({
        host,
        port,
        weight: weight ?? 1,
        healthy: health !== 'unhealthy',
        priority: 0,
      })),
      dnsFamily: 4,
      dnsRefreshMs: 10_000,
      maxConnections: 16_384,
      panicPercent: several ? 1 : 50,
      ...(several ? { ejectionPercentMax: 50 } : {}),
    });
  }
  const chains = ir.routes.map(({ names, to }) => ({
    serverNames: names,
    cluster: to.kind === 'destination' ? to.name : 'sni',
    statPrefix: '',
    connectAttemptsMax,
    idleTimeoutMs: 0,
  }));
  const bind: HostPort = ir.binds[0] ?? { host: '', port: gatewayPort };
  return { listeners: [{ name: 'default', bind, helloTimeoutMs: 10_000, chains }], clusters };
}
