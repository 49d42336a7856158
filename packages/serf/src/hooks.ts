/**
 * hooks.ts: a serf's side of its memberlist: what that asks, what it reports, what it is given to send. serf delegate.go, event_delegate.go, ping_delegate.go.
 *
 * Lives here: from memberlist's words to the core's. Must not live here: effects (serf.ts), decisions (core/).
 */
import type { Hooks, Member, Memberlist, MemberlistOptions } from '@fed/memberlist';
import type { SerfOptions } from './api.ts';
import { protocolVersionMax, protocolVersionMin, type SerfConfig } from './config.ts';
import type { CoordinateBook } from './core/coordinate-book.ts';
import type { Core } from './core/core.ts';
import type { Effect } from './core/effects.ts';
import type { LogEvent, Millis } from './ports.ts';
import { refusal } from './refusal.ts';
import { dialText } from './wire/address.ts';

export function hooksOf(o: {
  readonly core: Core;
  readonly coordinates: CoordinateBook | undefined;
  readonly now: () => Millis;
  readonly meta: () => Uint8Array;
  readonly perform: (effects: readonly Effect[]) => void;
  /** The broadcast of this token has been sent often enough. Said in the middle of a turn of memberlist. */
  readonly told: (token: number) => void;
  readonly conflict: (existing: Member, other: Member) => void;
  readonly log: (e: LogEvent) => void;
  readonly refuseMember: SerfOptions['refuseMember'];
  readonly onAnswer: SerfOptions['onAnswer'];
  readonly validateNodeNames: boolean;
}): Hooks {
  const { core, coordinates, now, perform } = o;
  return {
    meta: o.meta,
    userMessage: (payload) => perform(core.heard(payload, now())),
    broadcasts: (overhead, limit) => {
      const { messages, finished } = core.queues.take(overhead, limit);
      for (const token of finished) o.told(token);
      return messages;
    },
    hasBroadcasts: () => core.queues.length > 0,
    localState: () => core.localState(),
    mergeRemoteState: (state, join) => perform(core.merge(state, join, now())),
    changed: ({ kind, member }) => {
      if (kind === 'join') perform(core.memberJoined(member));
      else if (kind === 'leave') perform(core.memberLost(member.name, now(), member.state === 'left'));
      else perform(core.memberUpdated(member));
    },
    conflict: o.conflict,
    refuseAlive: (m) => refusal(m, o),
    refuseMerge: (members) => {
      for (const m of members) {
        const reason = refusal(m, o);
        if (reason !== undefined) return reason;
      }
      return undefined;
    },
    ...(coordinates && { ackPayload: () => coordinates.ackPayload() }),
    ...((coordinates ?? o.onAnswer) && {
      pingCompleted: (member, rttMs, payload) => {
        o.onAnswer?.(member.name, rttMs);
        const line = coordinates?.answered(member.name, rttMs, payload);
        if (line !== undefined) o.log(line);
      },
    }),
  };
}

/** What a memberlist below a serf is opened with. */
export function memberlistOptions(o: SerfOptions, config: SerfConfig, hooks: Hooks): MemberlistOptions {
  const { name, transport, keyring, label, clock, rng, randomBytes, log, memberlist } = o;
  return {
    name,
    transport,
    ...(keyring && { keyring }),
    ...(label !== undefined && { label }),
    ...(clock && { clock }),
    ...(rng && { rng }),
    ...(randomBytes && { randomBytes }),
    ...(log && { log }),
    ...(memberlist && { config: memberlist }),
    delegateVersion: { min: protocolVersionMin, max: protocolVersionMax, cur: config.protocolVersion },
    hooks,
  };
}

/** One datagram to where a query came from, or to a relay. What cannot be sent is a line in the log. */
export function sendDirect(
  memberlist: Memberlist,
  { to, message }: Extract<Effect, { kind: 'send' }>,
  log: (e: LogEvent) => void,
): void {
  const host = dialText(to.addr);
  if (host === undefined || to.port === 0) {
    log({ level: 'warn', code: 'address_bad', text: `'${to.name}' gave no address to answer to` });
    return;
  }
  try {
    memberlist.sendBestEffort({ host, port: to.port, name: to.name }, message);
  } catch (cause) {
    const text = `nothing was sent to '${to.name}' at ${host}`;
    log({ level: 'warn', code: 'send_failed', text, cause });
  }
}
