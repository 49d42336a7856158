/**
 * acl.ts: the `acl` section: who may do what, as tokens with their rules.
 *
 * There is no API that makes tokens: the configuration has them all, and a reload takes a changed list.
 * Source: Consul agent/config/builder.go (the keys), acl/policy.go (the rules).
 */
import { createHash } from 'node:crypto';
import type { AccessConfig, StaticToken } from '../acl/access.ts';
import { readRules } from '../acl/rules.ts';
import type { FileConfig } from './schema.ts';

export interface AclConfig extends AccessConfig {
  /** What this server's own questions to the primary carry; '' for none. */
  readonly ownSecret: string;
  /** What its own rows of the catalog are written with, where another server leads; '' for none. */
  readonly agentSecret: string;
}

export function resolveAcl(
  file: FileConfig['acl'],
  { problems, warnings }: { readonly problems: string[]; readonly warnings: string[] },
): AclConfig {
  const { tokens = {}, static_tokens: given = [] } = file ?? {};
  const enabled = file?.enabled ?? false;
  const management = tokens.initial_management ?? '';
  const all: StaticToken[] = given.map(({ secret_id: secret, accessor_id: accessor, rules }) => ({
    secret,
    accessor: accessor ?? accessorOf(secret),
    rules: readRules(rules),
  }));
  if (management !== '') all.push({ secret: management, accessor: 'initial-management', rules: undefined });
  if (new Set(all.map(({ secret }) => secret)).size < all.length)
    problems.push('acl.static_tokens: a secret_id stands there twice, or is that of initial_management');
  if (!enabled && (all.length > 0 || file?.default_policy === 'deny'))
    warnings.push(
      'acl.enabled is false: tokens and acl.default_policy have no effect, everybody may do everything',
    );
  const known = new Set(all.map(({ secret }) => secret));
  const standIn = tokens.default ?? '';
  if (enabled && standIn !== '' && !known.has(standIn))
    problems.push(
      'acl.tokens.default is none of the tokens of this configuration; add it to acl.static_tokens',
    );
  return {
    enabled,
    defaultPolicy: file?.default_policy ?? 'allow',
    tokens: all,
    defaultSecret: standIn === '' ? undefined : standIn,
    ownSecret: tokens.replication ?? tokens.agent ?? '',
    agentSecret: tokens.agent ?? tokens.replication ?? '',
  };
}

/** Names a token in refusals without giving it away. */
function accessorOf(secret: string): string {
  const hex = createHash('sha256').update(`accessor of ${secret}`).digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join(
    '-',
  );
}
