/**
 * args.ts: reading what a caller sent, as tolerant as Go: a missing key is the zero value, a wrong type an error.
 */
import type { Value } from '@fed/msgpack';
import { RpcApplicationError } from '@fed/rpc';

export type Args = { readonly [key: string]: Value };

export function asArgs(value: Value): Args {
  if (value === null) return {};
  if (typeof value === 'object' && !Array.isArray(value) && !(value instanceof Uint8Array))
    return value as Args;
  throw new RpcApplicationError('rpc: the body is not a request');
}

export function text(args: Args, key: string): string {
  const value = args[key] ?? '';
  if (typeof value === 'string') return value;
  if (value instanceof Uint8Array) return Buffer.from(value).toString('utf8');
  throw new RpcApplicationError(`rpc: ${key} is not a string`);
}

export function integer(args: Args, key: string): number {
  const value = args[key] ?? 0;
  if (typeof value === 'number' && Number.isInteger(value)) return value;
  if (typeof value === 'bigint') return Number(value);
  throw new RpcApplicationError(`rpc: ${key} is not an integer`);
}

export function flag(args: Args, key: string): boolean {
  const value = args[key] ?? false;
  if (typeof value === 'boolean') return value;
  throw new RpcApplicationError(`rpc: ${key} is not a bool`);
}

export function list(args: Args, key: string): readonly Value[] {
  const value = args[key] ?? [];
  if (Array.isArray(value)) return value;
  throw new RpcApplicationError(`rpc: ${key} is not a list`);
}

export function stringMap(args: Args, key: string): Readonly<Record<string, string>> {
  const value = args[key] ?? {};
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array)
    throw new RpcApplicationError(`rpc: ${key} is not a map`);
  return Object.fromEntries(Object.entries(value as Args).map(([name, v]) => [name, String(v)]));
}
