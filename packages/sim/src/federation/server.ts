/**
 * server.ts: a server in the simulation: `runServer` of apps/server, on a machine that is made of memory.
 *
 * Everything from the log to the locator runs as it ships, put together by the program's own main.ts. What is replaced is what
 * main.ts reaches through `world`: time, chance, sockets, the disk, the certificate files.
 * Lives here: that machine, and starting and ending the program on it. Must not live here: which fault when.
 */
import type { TlsMaterial } from '@fed/alpn-mux';
import { createMemoryFs, embeddedLog, type MemoryFs } from '@fed/fsm';
import {
  type Config,
  type Log,
  type Machine,
  openLog,
  type Running,
  resolveConfig,
  runServer,
} from '@fed/server/inside';
import type { SeededRng } from '../seeded-rng.ts';
import { dial } from './dial.ts';
import { GossipPort } from './gossip-port.ts';
import type { FedNetwork, Identity, SimHost } from './network.ts';
import { SimProcess } from './process.ts';
import { DoorPort, HttpPort, XdsPort } from './server-ports.ts';

export interface SimServerOptions {
  readonly node: string;
  readonly datacenter: string;
  readonly primary: string;
  readonly primaryGateways: () => readonly string[];
  readonly net: FedNetwork;
  readonly rng: SeededRng;
  readonly host: SimHost;
  readonly gossipKey: string | undefined;
  readonly material: TlsMaterial;
  /** Lines of this level and above go to the transcript. */
  readonly logLevel: Config['logLevel'];
  readonly onUp: (running: Running) => void;
  /** After a kill, with what it had in memory. Until it resolves the server must not be started again. */
  readonly onKilled: (running: Running) => Promise<void>;
}

/** The calendar when a simulation begins. */
export const epochMs: number = Date.UTC(2026, 0, 1);
/** Certificates are valid from so long before that, because clocks differ. */
const validBeforeMs = 3_600_000;

export class SimServer {
  readonly node: string;
  readonly datacenter: string;
  readonly host: SimHost;
  /** Survives the program. */
  readonly disk: MemoryFs = createMemoryFs();
  /** How far its calendar is from the right one, in milliseconds. */
  skewMs = 0;
  starts = 0;
  readonly #o: SimServerOptions;
  #life: Life | undefined;

  constructor(o: SimServerOptions) {
    this.#o = o;
    this.node = o.node;
    this.datacenter = o.datacenter;
    this.host = o.host;
  }

  get wanName(): string {
    return `${this.node}.${this.datacenter}`;
  }

  /** Its rooms, once it is up. */
  get running(): Running | undefined {
    return this.#life?.running;
  }

  get isStarted(): boolean {
    return this.#life !== undefined;
  }

  get identity(): Identity {
    return {
      node: this.node,
      datacenter: this.datacenter,
      validFrom: epochMs - validBeforeMs,
      wallMs: () => this.#wallMs(),
    };
  }

  start(): void {
    if (this.#life !== undefined) return;
    this.starts++;
    const { net } = this.#o;
    net.note(`start server ${this.wanName}`);
    const process = new SimProcess(this.host, net.clock);
    const stop = new AbortController();
    const life: Life = {
      process,
      stop,
      running: undefined,
      xds: undefined,
      http: undefined,
      failed: undefined,
    };
    this.#life = life;
    const rng = this.#o.rng.fork();
    const bytes = this.#o.rng.fork();
    const world = {
      clock: process,
      wallMs: () => this.#wallMs(),
      rng,
      randomBytes: (size: number) => bytes.bytes(size),
      machine: this.#machine(life),
    };
    const request = (reason: unknown): void => stop.abort(reason);
    runServer(this.#config(), world, { signal: stop.signal, request }, this.#log(), (running) => {
      life.running = running;
      if (life.http !== undefined) life.http.running = running;
      net.note(`up ${this.wanName}`);
      this.#o.onUp(running);
    }).catch((error: unknown) => {
      if (!process.isOver) life.failed = error;
    });
  }

  /** What ended it, if it ended by itself. */
  get failure(): unknown {
    return this.#life?.failed;
  }

  /** Without a word, in the middle of anything. What was written is on the disk. */
  async kill(): Promise<void> {
    const life = this.#life;
    if (life === undefined) return;
    this.#life = undefined;
    this.#o.net.note(`kill server ${this.wanName}`);
    life.process.kill();
    this.disk.kill();
    this.#o.net.died(this.host);
    life.xds?.cut();
    if (life.running !== undefined) await this.#o.onKilled(life.running);
  }

  #wallMs(): number {
    return epochMs + this.#o.net.clock.now() + this.skewMs;
  }

  #config(): Config {
    const { node, datacenter, primary, gossipKey } = this.#o;
    const gateways = datacenter === primary ? [] : [...this.#o.primaryGateways()];
    const { config } = resolveConfig({
      server: true,
      datacenter,
      primary_datacenter: primary,
      node_name: node,
      node_id: idOf(`${node}.${datacenter}`),
      data_dir: '/data',
      bind_addr: this.host.address,
      ...(gossipKey === undefined ? {} : { encrypt: gossipKey }),
      ca_file: 'ca.pem',
      cert_file: 'cert.pem',
      key_file: 'key.pem',
      verify_incoming: true,
      verify_outgoing: true,
      verify_server_hostname: true,
      primary_gateways: gateways,
      connect: { enabled: true, enable_mesh_gateway_wan_federation: true },
    });
    return config;
  }

  #machine(life: Life): Machine {
    const { net, material } = this.#o;
    const { host, identity } = this;
    return {
      readConfig: (running) => ({ config: running, warnings: [] }),
      readIdentity: () => ({ material, expiresAtMs: epochMs + 365 * 86_400_000 }),
      openLog: ({ dataDir }) => embeddedLog({ dir: `${dataDir}/log`, fs: this.disk }),
      // The pools remember their members in files of their own; without one they have more to find out after a restart.
      remembering: ({ snapshotPath: _s, keyringPath: _k, ...rest }) => rest,
      openGossip: async ({ port }) => new GossipPort(net, host, port),
      dialAlpn: ({ via, ...o }) => dial(net, life.process, identity, { ...o, to: via }),
      dialServer: (o) => this.#dialServer(life, o),
      openDoor: async (o) => new DoorPort(host, identity, o),
      openXds: async ({ watchGateway }) => {
        life.xds = new XdsPort(host, watchGateway);
        return life.xds;
      },
      openHttp: async () => {
        life.http = new HttpPort(host, this.node);
        return { urls: [], [Symbol.asyncDispose]: async () => {} };
      },
      probe: (check, timeoutMs, signal) =>
        new Promise((resolve) => {
          const [address = '', port = '0'] = check.Definition.TCP.split(':');
          const critical = (why: string): void => resolve({ status: 'critical', output: `dial tcp: ${why}` });
          const late = life.process.at(life.process.now() + timeoutMs, () => critical('i/o timeout'));
          signal.addEventListener('abort', () => critical('cancelled'), { once: true });
          net.connect(host, { host: address, port: Number(port) }, (answer) => {
            late[Symbol.dispose]();
            if (answer === 'refused') critical('connection refused');
            else resolve({ status: 'passing', output: `TCP connect ${check.Definition.TCP}: Success` });
          });
        }),
      discovery: {},
      onHangup: () => ({ [Symbol.dispose]: () => {} }),
      say: () => {},
    };
  }

  /** Straight to a server of the own datacenter. */
  async #dialServer(life: Life, o: Parameters<Machine['dialServer']>[0]): ReturnType<Machine['dialServer']> {
    const { net } = this.#o;
    return new Promise((resolve, reject) => {
      const late = life.process.at(life.process.now() + 3_000, () => reject(new Error('connect timeout')));
      o.signal?.addEventListener('abort', () => reject(o.signal?.reason), { once: true });
      net.connect(this.host, o.to, (answer) => {
        late[Symbol.dispose]();
        if (!(answer instanceof DoorPort)) return reject(new Error('connection refused'));
        const conduit = net.open([{ from: this.host, to: answer.host }], `type byte ${o.typeByte}`);
        answer.direct(conduit, this.identity, o.typeByte as Parameters<DoorPort['direct']>[2]);
        resolve(conduit.near);
      });
    });
  }

  #log(): Log {
    const { net, logLevel } = this.#o;
    return openLog(logLevel, {
      write: (line) => net.note(`log ${this.wanName} ${line.trimEnd().replace(/"time":"[^"]*",?/, '')}`),
    });
  }
}

interface Life {
  readonly process: SimProcess;
  readonly stop: AbortController;
  running: Running | undefined;
  xds: XdsPort | undefined;
  http: HttpPort | undefined;
  failed: unknown;
}

/** A UUID that is a function of the name. */
function idOf(name: string): string {
  const hex = Buffer.from(name.padEnd(16, '\0')).subarray(0, 16).toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
