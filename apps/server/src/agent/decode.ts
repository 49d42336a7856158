/**
 * decode.ts: a request body held against the fields it may have, as tolerant and as strict as Go's decoder is there.
 *
 * Keys are taken in any case and with underscores (`ServiceID`, `service_id`); a key nobody knows is refused by name, because a
 * misspelt one would be a check that never runs. What is absent or null is left out of the result.
 * Lives here: shapes against JSON. Must not live here: what the fields mean.
 * Source: Consul agent/structs (UnmarshalJSON of ServiceDefinition, CheckType), Go encoding/json for the texts.
 */
import { parseDuration } from '../config/duration.ts';

export type Shape =
  | 'text'
  | 'int'
  | 'bool'
  /** "10s", or a number of nanoseconds; decoded as nanoseconds. */
  | 'duration'
  | 'any'
  | { readonly list: Shape }
  | { readonly map: Shape }
  | { readonly struct: Fields };
export type Fields = { readonly [name: string]: Shape };

/** The value a shape decodes to. */
type Decoded<S extends Shape> = S extends 'text'
  ? string
  : S extends 'int' | 'duration'
    ? number
    : S extends 'bool'
      ? boolean
      : S extends 'any'
        ? unknown
        : S extends { readonly list: infer Item extends Shape }
          ? readonly Decoded<Item>[]
          : S extends { readonly map: infer Item extends Shape }
            ? Readonly<Record<string, Decoded<Item>>>
            : S extends { readonly struct: infer F extends Fields }
              ? DecodedFields<F>
              : never;
export type DecodedFields<F extends Fields> = { readonly [K in keyof F]?: Decoded<F[K]> };

/** The body is not what it should be; the text is the HTTP 400's. State was not touched. */
export class RegistrationError extends Error {
  override readonly name = 'RegistrationError';
  readonly code = 'registration_refused';
}

const goNames = { text: 'string', int: 'int', bool: 'bool', duration: 'time.Duration' } as const;
const nanosPerMs = 1e6;

/** The fields of an object; null has none. Throws RegistrationError. */
export function decode<F extends Fields>(body: unknown, fields: F): DecodedFields<F> {
  if (body === undefined) throw failed('EOF');
  if (body === null) return {};
  return struct(body, fields, '') as DecodedFields<F>;
}

function struct(value: unknown, fields: Fields, path: string): Record<string, unknown> {
  const names = new Map(Object.keys(fields).map((name) => [folded(name), name]));
  const out: Record<string, unknown> = {};
  for (const [key, entry] of Object.entries(object(value, path, 'struct'))) {
    const name = names.get(folded(key));
    if (name === undefined) throw failed(`json: unknown field ${JSON.stringify(key)}`);
    if (entry === null) continue;
    out[name] = shaped(entry, fields[name] as Shape, path === '' ? name : `${path}.${name}`);
  }
  return out;
}

function shaped(value: unknown, shape: Shape, path: string): unknown {
  switch (shape) {
    case 'any':
      return value;
    case 'text':
      if (typeof value === 'string') return value;
      throw mismatch(value, path, goNames.text);
    case 'bool':
      if (typeof value === 'boolean') return value;
      throw mismatch(value, path, goNames.bool);
    case 'int':
      if (typeof value === 'number' && Number.isSafeInteger(value)) return value;
      throw mismatch(value, path, goNames.int);
    case 'duration':
      return nanoseconds(value, path);
  }
  if ('struct' in shape) return struct(value, shape.struct, path);
  if ('list' in shape) {
    if (!Array.isArray(value)) throw mismatch(value, path, `[]${goName(shape.list)}`);
    return value.map((item) => shaped(item, shape.list, path));
  }
  return Object.fromEntries(
    Object.entries(object(value, path, `map[string]${goName(shape.map)}`)).map(([key, item]) => [
      key,
      shaped(item, shape.map, path),
    ]),
  );
}

function nanoseconds(value: unknown, path: string): number {
  if (typeof value === 'number') return Math.round(value);
  if (typeof value !== 'string') throw mismatch(value, path, goNames.duration);
  if (value === '') return 0;
  const ms = parseDuration(value);
  if (ms === undefined) throw failed(`time: invalid duration ${JSON.stringify(value)} in ${path}`);
  return Math.round(ms * nanosPerMs);
}

function object(value: unknown, path: string, wanted: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw mismatch(value, path, wanted);
}

function mismatch(value: unknown, path: string, wanted: string): RegistrationError {
  const kind =
    value === null
      ? 'null'
      : Array.isArray(value)
        ? 'array'
        : typeof value === 'boolean'
          ? 'bool'
          : typeof value;
  const place = path === '' ? 'Go value' : `Go struct field .${path}`;
  return failed(`json: cannot unmarshal ${kind} into ${place} of type ${wanted}`);
}

function goName(shape: Shape): string {
  return typeof shape === 'string' && shape !== 'any' ? goNames[shape] : 'struct';
}

function folded(key: string): string {
  return key.toLowerCase().replaceAll('_', '');
}

function failed(text: string): RegistrationError {
  return new RegistrationError(`Request decode failed: ${text}`);
}
