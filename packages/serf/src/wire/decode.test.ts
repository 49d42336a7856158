import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { WireError } from '../errors.ts';
import { decodeAckPayload } from './ack-payload.ts';
import { decodeFilter, decodeMessage } from './decode.ts';
import { encodeMessage } from './encode.ts';
import type { Message } from './message.ts';
import { decodeTags, encodeTags } from './tags.ts';

const bytes = (hex: string): Uint8Array => Buffer.from(hex, 'hex');

describe('as tolerant as Go', () => {
  test('a struct may come as a list, in the order of its declaration, with more or fewer entries', () => {
    expect(decodeMessage(bytes('00' + '9305a162c3'))).toEqual({
      kind: 'leave',
      ltime: 5n,
      node: 'b',
      prune: true,
    });
    expect(decodeMessage(bytes('00' + '9105'))).toEqual({ kind: 'leave', ltime: 5n, node: '', prune: false });
    expect(decodeMessage(bytes('01' + '9305a162c3'))).toEqual({ kind: 'join', ltime: 5n, node: 'b' });
  });

  test('nil is a struct of zeros, unknown keys are skipped, the last of two wins', () => {
    expect(decodeMessage(bytes('01c0'))).toEqual({ kind: 'join', ltime: 0n, node: '' });
    const m = '83' + 'a54c54696d65' + '01' + 'a158' + '9181a16101' + 'a54c54696d65' + '07';
    expect(decodeMessage(bytes(`01${m}`))).toEqual({ kind: 'join', ltime: 7n, node: '' });
  });

  test('a signed integer is read by value; a negative one is refused', () => {
    expect(decodeMessage(bytes('01' + '81a54c54696d65' + 'd100c8'))).toMatchObject({ ltime: 200n });
    expect(() => decodeMessage(bytes('01' + '81a54c54696d65' + 'ff'))).toThrowError(
      expect.objectContaining({ code: 'out_of_range' }),
    );
  });

  test('tags with names that mean something to JavaScript are tags like others', () => {
    const tags = JSON.parse('{"__proto__":"x","constructor":"y"}');
    expect(Object.entries(decodeTags(encodeTags(tags, 4)))).toEqual([
      ['__proto__', 'x'],
      ['constructor', 'y'],
    ]);
  });
});

test('whatever bytes a stranger sends are read or refused, and what was read can be written', () => {
  const lead = fc.constantFrom(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
  const body = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc
      .constantFrom<Message>(
        { kind: 'leave', ltime: 1n, node: 'b', prune: false },
        {
          kind: 'query',
          ltime: 1n,
          id: 1,
          addr: null,
          port: 1,
          sourceNode: 'a',
          filters: [bytes('0090')],
          flags: 3,
          relayFactor: 1,
          timeoutNs: 5n,
          name: 'q',
          payload: null,
        },
        {
          kind: 'pushPull',
          ltime: 1n,
          statusLTimes: new Map([['a', 1n]]),
          leftMembers: ['a'],
          eventLTime: 1n,
          events: [null, { ltime: 1n, events: [] }],
          queryLTime: 1n,
        },
      )
      .chain((m) => {
        const whole = encodeMessage(m).subarray(1);
        return fc
          .tuple(fc.nat(whole.length), fc.nat(whole.length - 1), fc.nat(255))
          .map(([end, at, value]) => {
            const spoilt = Uint8Array.from(whole);
            spoilt[at] = value;
            return spoilt.subarray(0, end);
          });
      }),
  );
  fc.assert(
    fc.property(lead, body, (type, rest) => {
      const message = Uint8Array.of(type, ...rest);
      for (const read of [decodeMessage, decodeFilter, decodeAckPayload])
        try {
          const m = read(message);
          if (read === decodeMessage) decodeMessage(encodeMessage(m as Message));
        } catch (cause) {
          expect(cause).toBeInstanceOf(WireError);
        }
      decodeTags(message);
    }),
    { numRuns: 3_000 },
  );
});
