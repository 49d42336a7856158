/**
 * index.ts: the public door of @fed/wanfed-transport.
 */
export { type WanfedConfig, wanfedDefaults } from './config.ts';
export { PeerProtocolError, WanfedError } from './errors.ts';
export { encodeFrames, FrameParser, framePayloadBytesMax } from './frame.ts';
export type { Clock, Dial, DialRequest, HostPort, IncomingConnection, Log, LogEvent, Rng } from './ports.ts';
export { type Route, routeOf } from './route.ts';
export { systemClock, systemRng } from './system.ts';
export type { DatacenterTraffic, HomeTraffic, WanfedStats } from './traffic.ts';
export { openWanfedTransport, type WanfedOptions, type WanfedTransport } from './wanfed-transport.ts';
