/**
 * machine.ts: what the server asks of the machine it runs on: files, sockets, listeners, signals.
 *
 * main.ts composes; whatever it opens that touches the machine is opened through here. So the very same composition runs
 * on a simulated network, with a disk in memory and many servers in one process.
 * Lives here: that list, and the real machine. Must not live here: decisions, time and chance (world.ts).
 */
import type { Duplex } from 'node:stream';
import { type DialAlpnOptions, dialAlpn, dialServer, openFrontDoor } from '@fed/alpn-mux';
import type { OpenEngine } from '@fed/fsm';
import type { DiscoveryOptions } from '@fed/gateway-locator';
import { openUdpTcpTransport, type Transport } from '@fed/memberlist';
import type { SerfConfig } from '@fed/serf';
import { openXdsServer } from '@fed/xds';
import { probeNetwork } from './agent/probe.ts';
import type { Config, resolveConfig } from './config/config.ts';
import { openListeners } from './http/listeners.ts';
import { readIdentity } from './identity.ts';
import { onHangup } from './lifecycle.ts';
import type { Log } from './log.ts';
import { logEngine } from './log-engine.ts';

export interface Machine {
  /** What the configuration says now, where one runs on `running`. Throws ConfigError. */
  readonly readConfig: (running: Config) => ReturnType<typeof resolveConfig>;
  /** Certificate and key, checked before they are used. Throws ConfigError. */
  readonly readIdentity: typeof readIdentity;
  readonly openLog: (config: Config, log: Log, halted: (error: Error) => void) => OpenEngine;
  /** The pool's settings with the places where it remembers its members and keys, or without them. */
  readonly remembering: (config: Partial<SerfConfig>) => Partial<SerfConfig>;
  /** Datagrams and streams within the datacenter. */
  readonly openGossip: (o: Parameters<typeof openUdpTcpTransport>[0]) => Promise<Transport>;
  readonly dialAlpn: (o: DialAlpnOptions) => Promise<Duplex>;
  readonly dialServer: typeof dialServer;
  readonly openDoor: typeof openFrontDoor;
  readonly openXds: typeof openXdsServer;
  readonly openHttp: typeof openListeners;
  readonly probe: typeof probeNetwork;
  /** Names and files behind `primary_gateways`; absent: the system's. */
  readonly discovery: Pick<DiscoveryOptions, 'resolve' | 'readText'>;
  readonly onHangup: typeof onHangup;
  /** For whoever started the program. */
  readonly say: (line: string) => void;
}

export const systemMachine: Machine = {
  readConfig: (running) => ({ config: running, warnings: [] }), // until somebody says where it stands
  readIdentity,
  openLog: logEngine,
  remembering: (config) => config,
  openGossip: openUdpTcpTransport,
  dialAlpn,
  dialServer,
  openDoor: openFrontDoor,
  openXds: openXdsServer,
  openHttp: openListeners,
  probe: probeNetwork,
  discovery: {},
  onHangup,
  say: (line) => void process.stdout.write(`${line}\n`),
};
