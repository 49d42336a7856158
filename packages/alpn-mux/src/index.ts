/**
 * @fed/alpn-mux: one TCP port, many protocols.
 *
 * The names by which federated servers are asked for (ALPN, SNI, WAN names), the parser gateways route with, the door
 * that sorts incoming connections, and the dialling side.
 */

export { type Alpn, alpn, alpnPreference, isAlpn } from './alpn.ts';
export {
  type HelloFault,
  helloBytesMax,
  helloWireBytesMax,
  type Peek,
  peekClientHello,
} from './client-hello.ts';
export { type DialAlpnOptions, type DialServerOptions, dialAlpn, dialServer } from './dialer.ts';
export type { RefusalCode } from './door.ts';
export { type DialAttempt, type DialCode, DialError, FrontDoorError, UnreachableError } from './errors.ts';
export { type TypeByte, typeBytes } from './first-byte.ts';
export {
  type DoorSettings,
  type FrontDoor,
  type FrontDoorOptions,
  type FrontDoorStats,
  openFrontDoor,
} from './front-door.ts';
export {
  createGatewayDialer,
  type DialLesson,
  type GatewayDialer,
  type GatewayDialerOptions,
} from './gateway-dialer.ts';
export { type PeerIdentity, peerIdentity } from './peer-identity.ts';
export type { PenaltyBoxSettings } from './penalty-box.ts';
export { type Clock, type HostPort, renderHostPort } from './ports.ts';
export type { Refusal } from './refusals.ts';
export { ReportLimit, reportsPerSecondMax } from './report-limit.ts';
export {
  datacenterSni,
  parseServerSni,
  querySni,
  SniError,
  serverSni,
  serviceSni,
  sniBytesMax,
} from './sni.ts';
export { TlsIdentity, type TlsMaterial, TlsMaterialError, type TlsPolicy } from './tls-identity.ts';
export type { Accepted, Handler } from './visitor.ts';
export { splitWanName, wanName } from './wan-name.ts';
