/**
 * policy.ts: what the core may ask in the middle of a turn, gathered from hooks, configuration and transport.
 *
 * Lives here: the gathering. Must not live here: answers.
 */
import { allowedNetworks } from './allowed-networks.ts';
import type { Hooks } from './api.ts';
import type { MemberlistConfig } from './config.ts';
import type { Policy } from './core/event.ts';
import type { Address, Transport } from './ports.ts';
import { addrToText } from './wire/address.ts';

export interface Policies extends Policy {
  /** cidrsAllowed, for the source of a packet. */
  sourceAllowed?(host: string): boolean;
}

/** @throws MemberlistError 'bad_config' */
export function policiesOf(hooks: Hooks, config: MemberlistConfig, transport: Transport): Policies {
  const { refuseAlive, refuseMerge, broadcasts, hasBroadcasts, ackPayload } = hooks;
  const allowed = config.cidrsAllowed && allowedNetworks(config.cidrsAllowed);
  const { disableTcpPings } = transport;
  return {
    ...(refuseAlive && { refuseAlive }),
    ...(refuseMerge && { refuseMerge }),
    ...(broadcasts && { broadcasts }),
    ...(hasBroadcasts && { hasBroadcasts }),
    ...(ackPayload && { ackPayload }),
    ...(allowed && {
      sourceAllowed: allowed,
      addressAllowed: (addr: Uint8Array) => allowed(addrToText(addr) ?? ''),
    }),
    ...(disableTcpPings && { tcpPingsDisabled: (to: Address) => disableTcpPings.call(transport, to) }),
  };
}
