/** Every recorded request and reply, both ways: what Go wrote we read, and writing it again gives Go's bytes. */
import { readdirSync, readFileSync } from 'node:fs';
import { decode, encode, Float, goTimeToRfc3339, Reader, type Value, Writer } from '@fed/msgpack';
import { describe, expect, test } from 'vitest';
import {
  encodeErrorReply,
  encodeReply,
  encodeRequest,
  MessageReader,
  type RawMessage,
} from '../src/net-rpc.ts';

interface Message {
  readonly hex: string;
  readonly headerLength: number;
  readonly header: { readonly Seq: number; readonly ServiceMethod: string; readonly Error?: string };
  readonly body: unknown;
}
interface FrameCase {
  readonly name: string;
  readonly request: Message;
  readonly response: Message | null;
}
interface LiveHalf {
  readonly headerHex: string;
  readonly bodyHex: string;
}
interface LiveCall {
  readonly order: number;
  readonly method: string;
  readonly request: LiveHalf;
  readonly response: LiveHalf | null;
}

const vectors = new URL('vectors/', import.meta.url);
const load = <T>(name: string): T => JSON.parse(readFileSync(new URL(name, vectors), 'utf8'));

/** Keys whose values are bytes: as bytes they are compared with the recording's markers. */
const binaryKeys = new Set([
  'UpdatedAt',
  'CreatedAt',
  'Hash',
  'RotatedOutAt',
  'NotBefore',
  'NotAfter',
  'Value',
]);

for (const file of readdirSync(vectors).filter((name) => name.startsWith('frames-')))
  describe(file, () => {
    for (const recorded of load<{ cases: FrameCase[] }>(file).cases) {
      test(`${recorded.name}: request`, () => check(recorded.request));
      if (recorded.response !== null) {
        const { response } = recorded;
        test(`${recorded.name}: reply`, () => check(response));
      }
    }
  });

describe('live-two-datacenters.json', () => {
  for (const call of load<{ calls: LiveCall[] }>('live-two-datacenters.json').calls)
    for (const [half, recorded] of [['request', call.request] as const, ['reply', call.response] as const])
      if (recorded !== null)
        test(`${call.order} ${call.method}: ${half}`, () => {
          const message = rewritten(recorded.headerHex + recorded.bodyHex);
          expect(message.header.method).toBe(call.method);
          expect(hex(message.body.bytes)).toBe(recorded.bodyHex);
        });
});

describe('values.json: what Go writes', () => {
  interface EncodeCase {
    readonly name: string;
    readonly hex?: string;
    readonly prefixHex?: string;
    readonly payloadLength?: number;
    readonly decoded?: unknown;
  }
  for (const recorded of load<{ encode: EncodeCase[] }>('values.json').encode)
    test(recorded.name, () => {
      if (recorded.hex === undefined) {
        const payload = 'a'.repeat(recorded.payloadLength!);
        const wire = recorded.prefixHex + Buffer.from(payload).toString('hex');
        expect(hex(encode(payload))).toBe(wire);
        expect(hex(encode(Buffer.from(payload)))).toBe(wire);
        return;
      }
      const value = decode(Buffer.from(recorded.hex, 'hex'));
      expect(hex(encode(value))).toBe(recorded.hex);
      if (!recorded.name.startsWith('nil ')) expect(alike(value, recorded.decoded)).toBe(true);
    });
});

describe('values.json: what Go tolerates', () => {
  interface DecodeCase {
    readonly name: string;
    readonly hex: string;
    readonly into: string;
    readonly ok: boolean;
    readonly decoded: unknown;
  }
  /** How a typed field is read. */
  const scalars: Record<string, (r: Reader) => Value> = {
    '*string': (r) => r.str(),
    '*[]uint8': (r) => r.bytes(),
    '*uint64': (r) => r.uint(),
    '*int64': (r) => r.int(),
    '*bool': (r) => r.bool(),
    '*float64': (r) => r.float(),
  };
  const others: Record<string, (r: Reader) => unknown> = {
    '*time.Time': (r) => r.bytes(),
    '*struct {}': (r) => r.map(),
    '*map[string]string': (r) => r.map(),
    '*[]string': (r) => r.array(),
    '*structs.Weights': (r) => r.value(),
    '*structs.QueryMeta': (r) => r.value(),
    '*structs.NodeService': (r) => r.value(),
    '*interface {}': (r) => r.value(),
  };
  /**
   * Where Go refuses and we do not: nil is zero in every struct field, so also alone; a generic reader has no types to
   * object to; arrays of small integers are bytes to memberlist; what a byte string means as a time is not read here.
   */
  const moreTolerant = new Set([
    'nil into uint64',
    'nil into bool',
    'array of ints into []byte',
    'float64 into struct int field',
    'time as RFC3339 string',
  ]);
  /** Where Go accepts and we do not: an empty map is no list, and an ext of unknown meaning is no value. */
  const stricter = new Set(['empty map into []string', 'fixext into interface']);
  for (const recorded of load<{ decodeTolerance: DecodeCase[] }>('values.json').decodeTolerance)
    test(recorded.name, () => {
      const bytes = Buffer.from(recorded.hex, 'hex');
      const scalar = scalars[recorded.into];
      const read = (): unknown => (scalar ?? others[recorded.into]!)(new Reader(bytes));
      const accepted = moreTolerant.has(recorded.name) || (recorded.ok && !stricter.has(recorded.name));
      if (!accepted) expect(read).toThrowError(expect.objectContaining({ name: 'MsgpackError' }));
      else if (scalar !== undefined && recorded.ok)
        expect(alike(scalar(new Reader(bytes)), recorded.decoded)).toBe(true);
      else expect(read).not.toThrow();
    });
});

/** One message, read; and written again to the same bytes. */
function rewritten(wireHex: string): RawMessage {
  const wire = Buffer.from(wireHex, 'hex');
  const reader = new MessageReader({ bytesMax: wire.length });
  reader.feed(wire);
  const message = reader.next()!;
  const { seq, method, error } = message.header;
  const value = decode(message.body.bytes, { binaryKeys });
  const isRequest = wire[0] === 0x82;
  const again = isRequest
    ? [encodeRequest(seq, method, value)]
    : error === ''
      ? encodeReply(message.header, value)
      : encodeErrorReply(message.header, error);
  expect(hex(Buffer.concat(again))).toBe(wireHex);
  return message;
}

function check(recorded: Message): void {
  const message = rewritten(recorded.hex);
  expect(message.header).toEqual({
    seq: recorded.header.Seq,
    method: recorded.header.ServiceMethod,
    error: recorded.header.Error ?? '',
  });
  expect(message.body.length).toBe(recorded.hex.length / 2 - recorded.headerLength);
  const marked = recorded.body as { $binaryMarshaler?: unknown; innerHex?: string } | null;
  if (marked !== null && typeof marked === 'object' && '$binaryMarshaler' in marked)
    expect(hex(new Reader(message.body.bytes).bytes())).toBe(marked.innerHex);
  else expect(alike(decode(message.body.bytes, { binaryKeys }), recorded.body)).toBe(true);
}

/** Whether what we decoded is what the recording says Go decoded, its markers for types JSON lacks included. */
function alike(ours: Value | undefined, theirs: unknown): boolean {
  if (theirs === null || typeof theirs !== 'object') return ours === theirs;
  if (Array.isArray(theirs))
    return Array.isArray(ours) && ours.length === theirs.length && theirs.every((t, n) => alike(ours[n], t));
  const marked = theirs as Record<string, unknown>;
  if ('$float' in marked) return (ours instanceof Float ? ours.value : ours) === marked['$float'];
  if ('$durationNs' in marked)
    return BigInt(ours as number | bigint) === BigInt(marked['$durationNs'] as number);
  if ('$int64' in marked) return String(ours) === marked['$int64'];
  if ('$uint64' in marked) return String(ours) === marked['$uint64'];
  if ('$bytes' in marked) return hex(bytesOf(ours)) === marked['$bytes'];
  if ('$time' in marked) {
    if (hex(bytesOf(ours)) !== marked['bytes']) return false;
    return !String(marked['$time']).endsWith('Z') || goTimeToRfc3339(bytesOf(ours)) === marked['$time'];
  }
  if (ours === null || typeof ours !== 'object') return false;
  const map = ours as { readonly [key: string]: Value };
  const keys = Object.keys(marked);
  return keys.length === Object.keys(map).length && keys.every((key) => alike(map[key], marked[key]));
}

/** A byte string that happens to be valid UTF-8 decodes as text unless its key says otherwise. */
function bytesOf(value: Value | undefined): Uint8Array {
  if (value instanceof Uint8Array) return value;
  return typeof value === 'string' ? Buffer.from(value) : new Writer().nil().take();
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
