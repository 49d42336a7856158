/**
 * inside.ts: what the simulator needs of this program: the composition, and what it is composed on. Not published.
 */
export { readRegistration } from './agent/registration.ts';
export { registerCommand } from './agent/requests.ts';
export { type Config, resolveConfig } from './config/config.ts';
export { type Log, openLog } from './log.ts';
export type { Machine } from './machine.ts';
export { type Running, runServer, type Stop } from './main.ts';
export type { World } from './world.ts';
