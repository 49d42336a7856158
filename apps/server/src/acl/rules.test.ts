import { describe, expect, test } from 'vitest';
import { Access, AccessError, need, needManagement, needOperator } from './access.ts';
import { authorizerOf, type RulesDocument, readRules } from './rules.ts';

const may = (document: RulesDocument, otherwise: 'allow' | 'deny' = 'deny') =>
  authorizerOf('t', readRules(document), otherwise);

describe('rules', () => {
  test('the exact name wins over every prefix, in both directions', () => {
    const who = may({
      service: { web: { policy: 'deny' }, db: { policy: 'write' } },
      service_prefix: { '': { policy: 'read' }, web: { policy: 'write' } },
    });
    expect(who.may('service', 'web', 'read')).toBe(false);
    expect(who.may('service', 'web2', 'write')).toBe(true);
    expect(who.may('service', 'db', 'write')).toBe(true);
    expect(who.may('service', 'other', 'read')).toBe(true);
    expect(who.may('service', 'other', 'write')).toBe(false);
  });
  test('a longer prefix wins over a shorter one', () => {
    const who = may({
      node_prefix: { '': { policy: 'write' }, n: { policy: 'deny' }, n1: { policy: 'read' } },
    });
    expect([
      who.may('node', 'x', 'write'),
      who.may('node', 'n2', 'read'),
      who.may('node', 'n12', 'read'),
    ]).toEqual([true, false, true]);
  });
  test('write holds read, read does not hold write, deny holds nothing', () => {
    const who = may({ operator: 'read' }, 'allow');
    expect([who.operator('read'), who.operator('write')]).toEqual([true, false]);
    expect(may({ operator: 'deny' }, 'allow').operator('read')).toBe(false);
    expect(may({ operator: 'write' }).operator('read')).toBe(true);
  });
  test('what no rule speaks of follows the default policy, also an exact rule for another name', () => {
    const document: RulesDocument = { node: { n1: { policy: 'read' } } };
    expect(may(document, 'allow').may('node', 'n2', 'write')).toBe(true);
    expect(may(document, 'deny').may('node', 'n2', 'read')).toBe(false);
    expect(may(document, 'deny').may('service', 'n1', 'read')).toBe(false);
  });
});

describe('access', () => {
  const token = { secret: 's3cret', accessor: 'reader', rules: readRules({ operator: 'read' }) };
  const access = (over: Partial<ConstructorParameters<typeof Access>[0]> = {}) =>
    new Access({ enabled: true, defaultPolicy: 'deny', tokens: [token], defaultSecret: undefined, ...over });

  test('a secret finds its rules, an unknown one is refused in the original’s words', () => {
    expect(access().authorizer('s3cret').operator('read')).toBe(true);
    expect(() => access().authorizer('other')).toThrow(
      expect.objectContaining({ code: 'token_unknown', message: 'ACL not found' }),
    );
  });
  test('without a token one is anonymous, or what the default token makes of one', () => {
    expect(access().authorizer('').operator('read')).toBe(false);
    expect(access({ defaultPolicy: 'allow' }).authorizer('').operator('write')).toBe(true);
    expect(access({ defaultSecret: 's3cret' }).authorizer('').operator('read')).toBe(true);
  });
  test('where access is off, everybody may do everything and no token is looked at', () => {
    const who = access({ enabled: false }).authorizer('whatever');
    expect(() => needManagement(who)).not.toThrow();
    expect(access({ enabled: false }).defaultPolicy).toBe('allow');
  });
  test('a refusal names the token’s accessor and what it lacks, and never the secret', () => {
    const who = access().authorizer('s3cret');
    expect(() => need(who, 'service', 'web', 'write')).toThrow(AccessError);
    expect(() => need(who, 'service', 'web', 'write')).toThrow(
      `Permission denied: token with AccessorID 'reader' lacks permission 'service:write' on "web"`,
    );
    expect(() => needOperator(access().authorizer(''), 'read')).toThrow(
      /^Permission denied: anonymous token lacks permission 'operator:read'/,
    );
  });
});
