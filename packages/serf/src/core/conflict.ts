/**
 * conflict.ts: two members claim one name; the one fewer others know must go. serf serf.go, resolveNodeConflict.
 *
 * Lives here: counting. Must not live here: asking (serf.ts), answering (query-desk.ts).
 */
import { WireError } from '../errors.ts';
import { sameAddress } from '../wire/address.ts';
import { decodeMessage } from '../wire/decode.ts';

/** Whether the member at this address keeps the name, given what the others answered. */
export function keepsName(
  answers: readonly Uint8Array[],
  local: { readonly addr: Uint8Array; readonly port: number },
): boolean {
  let counted = 0;
  let forUs = 0;
  for (const payload of answers) {
    const member = readMember(payload);
    if (member === 'unreadable') continue;
    counted++;
    if (member?.addr && member.port === local.port && sameAddress(member.addr, local.addr)) forUs++;
  }
  return forUs >= Math.floor(counted / 2) + 1;
}

function readMember(
  payload: Uint8Array,
): { addr: Uint8Array | null; port: number } | undefined | 'unreadable' {
  try {
    const m = decodeMessage(payload);
    return m.kind === 'conflictResponse' ? m.member : 'unreadable';
  } catch (cause) {
    if (cause instanceof WireError) return 'unreadable';
    throw cause;
  }
}
