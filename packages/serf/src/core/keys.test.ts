import { Keyring } from '@fed/memberlist';
import { describe, expect, test } from 'vitest';
import { decodeMessage } from '../wire/decode.ts';
import { encodeMessage } from '../wire/encode.ts';
import type { KeyResponse } from '../wire/message.ts';
import { answerKeyQuery, base64, fitKeyList, KeyTally, keyFailure } from './keys.ts';

const key = (fill: number): Uint8Array => new Uint8Array(16).fill(fill);
const request = (k: Uint8Array): Uint8Array => encodeMessage({ kind: 'keyRequest', key: k });
const ring = (): Keyring => new Keyring([key(1), key(2)], key(1));

describe('one member', () => {
  test('installs, uses and removes, and says when its file is out of date', () => {
    const r = ring();
    expect(answerKeyQuery('install-key', request(key(3)), r)).toMatchObject({
      changed: true,
      answer: { result: true },
    });
    expect(answerKeyQuery('use-key', request(key(3)), r).answer.result).toBe(true);
    expect(answerKeyQuery('remove-key', request(key(1)), r).answer.result).toBe(true);
    expect(r.keys()).toEqual([key(3), key(2)]);
  });

  test('refuses what the ring refuses, and leaves the ring as it was', () => {
    const r = ring();
    for (const [operation, k] of [
      ['use-key', key(9)],
      ['remove-key', key(1)],
      ['install-key', new Uint8Array(5)],
    ] as const) {
      const { answer, changed } = answerKeyQuery(operation, request(k), r);
      expect({ result: answer.result, changed, silent: answer.message === '' }).toEqual({
        result: false,
        changed: false,
        silent: false,
      });
    }
    expect(r.keys()).toEqual([key(1), key(2)]);
  });

  test('answers nonsense with a refusal', () =>
    expect(answerKeyQuery('use-key', Uint8Array.of(7, 0xc1), ring()).answer.result).toBe(false));

  test('lists its keys, primary first', () =>
    expect(answerKeyQuery('list-keys', request(new Uint8Array(0)), ring()).answer).toMatchObject({
      result: true,
      keys: [base64(key(1)), base64(key(2))],
      primaryKey: base64(key(1)),
    }));
});

test('a key list that is too long is shortened, and says so', () => {
  const keys = Array.from({ length: 100 }, (_, i) => base64(key(i)));
  const answer: KeyResponse = { kind: 'keyResponse', result: true, message: '', keys, primaryKey: keys[0]! };
  const overhead = 60;
  const sizeOf = (payload: Uint8Array): number => payload.length + overhead;
  const payload = fitKeyList(answer, sizeOf, 1_024)!;
  expect(sizeOf(payload)).toBeLessThanOrEqual(1_024);
  const short = decodeMessage(payload) as KeyResponse;
  expect(short.message).toBe(`truncated key list response, showing first ${short.keys!.length} of 100 keys`);
  const onceMore = { ...short, keys: keys.slice(0, short.keys!.length + 1) };
  expect(sizeOf(encodeMessage(onceMore))).toBeGreaterThan(1_024);
  expect(fitKeyList(answer, sizeOf, 60)).toBeUndefined();
  expect(decodeMessage(fitKeyList({ ...answer, keys: keys.slice(0, 2) }, sizeOf, 1_024)!)).toMatchObject({
    message: '',
  });
});

describe('all members', () => {
  const answer = (a: Partial<KeyResponse>): Uint8Array =>
    encodeMessage({ kind: 'keyResponse', result: true, message: '', keys: null, primaryKey: '', ...a });

  test('all yes is a success', () => {
    const tally = new KeyTally(2);
    tally.add('a', answer({ keys: ['x', 'y'], primaryKey: 'x' }));
    expect([tally.complete, keyFailure(tally.report())]).toEqual([false, '1/2 nodes reported success']);
    tally.add('b', answer({ keys: ['x'], primaryKey: 'x' }));
    expect([tally.complete, keyFailure(tally.report())]).toEqual([true, undefined]);
    expect(Object.fromEntries(tally.report().keys)).toEqual({ x: 2, y: 1 });
    expect(Object.fromEntries(tally.report().primaryKeys)).toEqual({ x: 2 });
  });

  test('a no and an unreadable answer are failures', () => {
    const tally = new KeyTally(3);
    tally.add('a', answer({}));
    tally.add('b', answer({ result: false, message: 'no such key' }));
    tally.add('c', Uint8Array.of(1, 2, 3));
    expect(keyFailure(tally.report())).toBe('2/3 nodes reported failure');
    expect(tally.report().messages.get('b')).toBe('no such key');
    expect(tally.report().messages.has('c')).toBe(true);
  });
});
