/**
 * rules.ts: what a token may do, read from rules in the original's JSON form.
 *
 * `{"operator": "read", "node_prefix": {"": {"policy": "read"}}, "service": {"web": {"policy": "write"}}}`. The exact name
 * wins over every prefix and a longer prefix over a shorter one; what no rule speaks of follows the default policy.
 * Lives here: rules to verdicts. Must not live here: who holds which rules (tokens.ts), what each endpoint needs (guard.ts).
 * Source: Consul acl/policy.go, acl/policy_authorizer.go.
 */

export type Level = 'deny' | 'read' | 'write';
export type Resource = 'agent' | 'event' | 'node' | 'service';
export type DefaultPolicy = 'allow' | 'deny';

/** Names and prefixes of one resource to what is allowed there. */
export interface NamedRules {
  readonly exact: ReadonlyMap<string, Level>;
  readonly prefix: ReadonlyMap<string, Level>;
}

export interface Rules {
  readonly operator: Level | undefined;
  readonly keyring: Level | undefined;
  readonly named: Readonly<Record<Resource, NamedRules>>;
}

/** The rules as a configuration file has them. */
export interface RulesDocument {
  readonly operator?: Level | undefined;
  readonly keyring?: Level | undefined;
  readonly agent?: NamedDocument | undefined;
  readonly agent_prefix?: NamedDocument | undefined;
  readonly event?: NamedDocument | undefined;
  readonly event_prefix?: NamedDocument | undefined;
  readonly node?: NamedDocument | undefined;
  readonly node_prefix?: NamedDocument | undefined;
  readonly service?: NamedDocument | undefined;
  readonly service_prefix?: NamedDocument | undefined;
}
type NamedDocument = Readonly<Record<string, { readonly policy: Level }>>;

export function readRules(document: RulesDocument): Rules {
  const levels = (named: NamedDocument | undefined): ReadonlyMap<string, Level> =>
    new Map(Object.entries(named ?? {}).map(([name, { policy }]) => [name, policy]));
  return {
    operator: document.operator,
    keyring: document.keyring,
    named: {
      agent: { exact: levels(document.agent), prefix: levels(document.agent_prefix) },
      event: { exact: levels(document.event), prefix: levels(document.event_prefix) },
      node: { exact: levels(document.node), prefix: levels(document.node_prefix) },
      service: { exact: levels(document.service), prefix: levels(document.service_prefix) },
    },
  };
}

/** Says what its holder may do. `accessor` names him in refusals; it is no secret. */
export interface Authorizer {
  readonly accessor: string;
  /** May do everything, snapshots included. */
  readonly management: boolean;
  operator(wanted: 'read' | 'write'): boolean;
  keyring(wanted: 'read' | 'write'): boolean;
  may(resource: Resource, name: string, wanted: 'read' | 'write'): boolean;
}

export function allowAll(accessor: string): Authorizer {
  return { accessor, management: true, operator: () => true, keyring: () => true, may: () => true };
}

export function authorizerOf(accessor: string, rules: Rules, otherwise: DefaultPolicy): Authorizer {
  const enough = (level: Level | undefined, wanted: 'read' | 'write'): boolean =>
    level === undefined ? otherwise === 'allow' : level === 'write' || level === wanted;
  return {
    accessor,
    management: false,
    operator: (wanted) => enough(rules.operator, wanted),
    keyring: (wanted) => enough(rules.keyring, wanted),
    may: (resource, name, wanted) => enough(levelFor(rules.named[resource], name), wanted),
  };
}

function levelFor({ exact, prefix }: NamedRules, name: string): Level | undefined {
  const own = exact.get(name);
  if (own !== undefined) return own;
  for (let length = name.length; length >= 0; length--) {
    const level = prefix.get(name.slice(0, length));
    if (level !== undefined) return level;
  }
  return undefined;
}
