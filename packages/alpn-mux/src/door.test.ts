import { expect, test } from 'vitest';
import { Door, type DoorEffect, type DoorEvent, type DoorRules } from './door.ts';

const strict: DoorRules = {
  tlsCapable: true,
  verifyIncoming: true,
  alpn: new Set(['consul/rpc-multi', 'consul/wan-gossip/stream']),
  typeBytes: new Set([0, 4]),
};
const secured = (alpn?: string, authenticated = true): DoorEvent => ({
  kind: 'secured',
  alpn,
  authenticated,
});
const bytes = (firstByte: number): DoorEvent => ({ kind: 'bytes', firstByte });
const refuse = (code: string): unknown => expect.objectContaining({ kind: 'refuse', code });
const startNative: DoorEffect = { kind: 'startTls', mode: 'native', consume: 0 };
const startByByte: DoorEffect = { kind: 'startTls', mode: 'typeByte', consume: 1 };
const inner: DoorEffect[] = [{ kind: 'restartDeadline' }, { kind: 'readInner' }];

/** They say, we do. */
function dialogue(rules: DoorRules, ...turns: readonly [DoorEvent, readonly unknown[]][]): void {
  const door = new Door(rules);
  for (const [event, effects] of turns) expect(door.step(event), event.kind).toEqual(effects);
}

test('door: gossip from abroad arrives inside TLS and is handed to the gossip stream', () => {
  dialogue(
    strict,
    [bytes(22), [startNative]],
    [
      secured('consul/wan-gossip/stream'),
      [{ kind: 'handOff', to: { kind: 'alpn', alpn: 'consul/wan-gossip/stream' }, consume: 0 }],
    ],
  );
});

test('door: a neighbour says 3, secures, says 4, and is handed to multiplexed RPC', () => {
  dialogue(
    strict,
    [bytes(3), [startByByte]],
    [secured(), inner],
    [bytes(4), [{ kind: 'handOff', to: { kind: 'typeByte', typeByte: 4 }, consume: 1 }]],
  );
});

test('door: a protocol offered inside the TLS of byte 3 is ignored', () => {
  dialogue(strict, [bytes(3), [startByByte]], [secured('consul/rpc-multi'), inner]);
});

test('door: TLS inside TLS is refused', () => {
  for (const byte of [3, 7]) {
    dialogue(strict, [bytes(3), [startByByte]], [secured(), inner], [bytes(byte), [refuse('tls_nested')]]);
  }
});

test('door: TLS without a negotiated protocol serves nobody', () => {
  dialogue(strict, [bytes(22), [startNative]], [secured(undefined), [refuse('alpn_missing')]]);
});

test('door: a protocol without a handler here, or of somebody else, is refused', () => {
  for (const offer of ['consul/rpc-gossip', 'h2']) {
    dialogue(strict, [bytes(22), [startNative]], [secured(offer), [refuse('alpn_unknown')]]);
  }
});

test('door: by ALPN the peer must be authenticated whatever the policy; by byte 3 if verify_incoming says so', () => {
  const lax = { ...strict, verifyIncoming: false };
  for (const rules of [strict, lax]) {
    dialogue(
      rules,
      [bytes(22), [startNative]],
      [secured('consul/rpc-multi', false), [refuse('certificate_untrusted')]],
    );
  }
  dialogue(strict, [bytes(3), [startByByte]], [secured(undefined, false), [refuse('certificate_untrusted')]]);
  dialogue(lax, [bytes(3), [startByByte]], [secured(undefined, false), inner]);
});

test('door: the deadline tells silence from a handshake that hangs', () => {
  const deadline: DoorEvent = { kind: 'deadline' };
  dialogue(strict, [deadline, [refuse('silence')]]);
  dialogue(strict, [bytes(22), [startNative]], [deadline, [refuse('tls_timeout')]]);
  dialogue(strict, [bytes(3), [startByByte]], [deadline, [refuse('tls_timeout')]]);
  dialogue(strict, [bytes(3), [startByByte]], [secured(), inner], [deadline, [refuse('silence')]]);
});

test('door: who leaves without a word is no offender; who leaves amid the handshake is', () => {
  const ended: DoorEvent = { kind: 'ended' };
  dialogue(strict, [ended, [{ kind: 'close' }]]);
  dialogue(strict, [bytes(22), [startNative]], [ended, [refuse('tls_failed')]]);
  dialogue(strict, [bytes(3), [startByByte]], [secured(), inner], [ended, [{ kind: 'close' }]]);
});

test('door: after a decision no event does anything any more (I2)', () => {
  const late: DoorEvent[] = [bytes(0), secured('consul/rpc-multi'), { kind: 'deadline' }, { kind: 'ended' }];
  dialogue(
    { ...strict, verifyIncoming: false },
    [bytes(0), [{ kind: 'handOff', to: { kind: 'typeByte', typeByte: 0 }, consume: 1 }]],
    ...late.map((event): [DoorEvent, readonly unknown[]] => [event, []]),
  );
  dialogue(
    strict,
    [{ kind: 'deadline' }, [refuse('silence')]],
    ...late.map((event): [DoorEvent, readonly unknown[]] => [event, []]),
  );
});

test('door: a known type byte without a handler here is refused', () => {
  dialogue({ ...strict, verifyIncoming: false }, [bytes(8), [refuse('type_byte_unhandled')]]);
});
