/**
 * access.ts: from the secret a request carries to what its sender may do, and the words of a refusal.
 *
 * Tokens stand in the configuration: there is no API that makes them. Where access is off, everybody may do everything.
 * Must not live here: what each endpoint needs (guard.ts), HTTP.
 * Source: Consul agent/consul/acl.go, acl/errors.go.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import {
  type Authorizer,
  allowAll,
  authorizerOf,
  type DefaultPolicy,
  type Resource,
  type Rules,
  readRules,
} from './rules.ts';

export interface StaticToken {
  readonly secret: string;
  readonly accessor: string;
  /** Undefined: it may do everything. */
  readonly rules: Rules | undefined;
}

export interface AccessConfig {
  readonly enabled: boolean;
  readonly defaultPolicy: DefaultPolicy;
  readonly tokens: readonly StaticToken[];
  /** Stands in for a token where a request brings none. */
  readonly defaultSecret: string | undefined;
}

/** The sender may not do this, or his token is unknown. Both are HTTP 403; the text is the protocol between servers. */
export class AccessError extends Error {
  override readonly name = 'AccessError';
  readonly code: 'permission_denied' | 'token_unknown';

  constructor(code: AccessError['code'], text: string) {
    super(text);
    this.code = code;
  }
}

const noRules = readRules({});
const anonymous = 'anonymous';

export class Access {
  readonly enabled: boolean;
  #defaultPolicy: DefaultPolicy = 'allow';
  #defaultSecret = '';
  #anonymous: Authorizer = allowAll(anonymous);
  /** By the digest of the secret, so that how long a look-up takes tells nothing about secrets. */
  readonly #byDigest = new Map<string, { readonly digest: Buffer; readonly authorizer: Authorizer }>();

  constructor(config: AccessConfig) {
    this.enabled = config.enabled;
    this.replace(config);
  }

  get defaultPolicy(): DefaultPolicy {
    return this.#defaultPolicy;
  }

  /** Other tokens and another default, from now on; whether access is on stays as it began. */
  replace(given: AccessConfig): void {
    const config = { ...given, enabled: this.enabled };
    this.#byDigest.clear();
    this.#defaultPolicy = config.enabled ? config.defaultPolicy : 'allow';
    this.#defaultSecret = config.defaultSecret ?? '';
    this.#anonymous = config.enabled
      ? authorizerOf(anonymous, noRules, config.defaultPolicy)
      : allowAll(anonymous);
    for (const { secret, accessor, rules } of config.tokens) {
      const digest = digestOf(secret);
      this.#byDigest.set(digest.toString('hex'), {
        digest,
        authorizer:
          rules === undefined ? allowAll(accessor) : authorizerOf(accessor, rules, config.defaultPolicy),
      });
    }
  }

  /** Throws AccessError `token_unknown`. Where access is off no token is looked at. */
  authorizer(secret: string): Authorizer {
    if (!this.enabled) return this.#anonymous;
    const held = secret === '' ? this.#defaultSecret : secret;
    if (held === '') return this.#anonymous;
    const digest = digestOf(held);
    const found = this.#byDigest.get(digest.toString('hex'));
    if (found === undefined || !timingSafeEqual(found.digest, digest))
      throw new AccessError('token_unknown', 'ACL not found');
    return found.authorizer;
  }
}

/** Throws AccessError `permission_denied`. */
export function need(
  authorizer: Authorizer,
  resource: Resource,
  name: string,
  wanted: 'read' | 'write',
): void {
  if (!authorizer.may(resource, name, wanted)) throw denied(authorizer, `${resource}:${wanted}`, name);
}

export function needOperator(authorizer: Authorizer, wanted: 'read' | 'write'): void {
  if (!authorizer.operator(wanted)) throw denied(authorizer, `operator:${wanted}`);
}

export function needKeyring(authorizer: Authorizer, wanted: 'read' | 'write'): void {
  if (!authorizer.keyring(wanted)) throw denied(authorizer, `keyring:${wanted}`);
}

export function needManagement(authorizer: Authorizer): void {
  if (!authorizer.management) throw denied(authorizer, 'acl:write');
}

function denied({ accessor }: Authorizer, permission: string, name?: string): AccessError {
  const lacks = `lacks permission '${permission}'${name === undefined ? '' : ` on ${JSON.stringify(name)}`}`;
  return new AccessError(
    'permission_denied',
    accessor === anonymous
      ? `Permission denied: anonymous token ${lacks}. The anonymous token is used implicitly when a request does not specify a token.`
      : `Permission denied: token with AccessorID '${accessor}' ${lacks}`,
  );
}

function digestOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}
