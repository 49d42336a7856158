/**
 * config-entries.ts: who may read and write which config entry.
 *
 * An entry about a service is that service's; who sends its callers elsewhere must be able to see where. What holds for
 * all services, and who may call whom, is the operator's.
 * Source: Consul agent/structs/config_entry*.go (CanRead, CanWrite). There are no rules for intentions here: the operator's
 * take their place.
 */
import type { Value } from '@fed/msgpack';
import { type Args, asArgs, text } from '../rpc/args.ts';
import { need, needOperator } from './access.ts';
import type { Authorizer } from './rules.ts';

const operatorsKinds: ReadonlySet<string> = new Set(['proxy-defaults', 'mesh', 'service-intentions']);

export function mayReadEntry(who: Authorizer, kind: string, name: string): boolean {
  return kind === 'proxy-defaults' || kind === 'mesh' || who.may('service', name, 'read');
}

/** Throws AccessError. */
export function needEntryRead(who: Authorizer, kind: string, name: string): void {
  if (!mayReadEntry(who, kind, name)) need(who, 'service', name, 'read');
}

/** Throws AccessError. The arguments are those of ConfigEntry.Apply and Delete. */
export function needEntryWrite(who: Authorizer, args: Args): void {
  const kind = text(args, 'Kind');
  const entry = asArgs(args['Entry'] ?? null);
  if (operatorsKinds.has(kind)) {
    needOperator(who, 'write');
    return;
  }
  need(who, 'service', text(entry, 'Name'), 'write');
  if (kind !== 'service-resolver') return;
  const failovers = Object.values(asArgs(entry['Failover'] ?? null));
  for (const target of [entry['Redirect'] ?? null, ...failovers]) {
    const service = text(asArgs(target), 'Service');
    if (service !== '') need(who, 'service', service, 'read');
  }
}

/** Of a list, the entries its reader may see. */
export function entriesSeen(who: Authorizer, reply: Value): Value {
  const value = asArgs(reply);
  const entries = ((value['Entries'] ?? []) as readonly Value[]).filter((item) => {
    const { Kind, Entry } = asArgs(item);
    return mayReadEntry(who, String(Kind), text(asArgs(Entry ?? null), 'Name'));
  });
  return { ...value, Entries: entries };
}
