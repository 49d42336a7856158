import { expect, test } from 'vitest';
import { resolveAcl } from './acl.ts';

function resolve(file: Parameters<typeof resolveAcl>[0]) {
  const problems: string[] = [];
  const warnings: string[] = [];
  return { acl: resolveAcl(file, { problems, warnings }), problems, warnings };
}

test('acl: without the section everybody may do everything', () => {
  expect(resolve(undefined)).toEqual({
    acl: {
      enabled: false,
      defaultPolicy: 'allow',
      tokens: [],
      defaultSecret: undefined,
      ownSecret: '',
      agentSecret: '',
    },
    problems: [],
    warnings: [],
  });
});

test('acl: our own questions carry the replication token, else that of the agent', () => {
  expect(resolve({ enabled: true, tokens: { agent: 'a', replication: 'r' } }).acl.ownSecret).toBe('r');
  expect(resolve({ enabled: true, tokens: { agent: 'a' } }).acl.ownSecret).toBe('a');
});

test('acl: rules that have no effect are told', () => {
  expect(resolve({ static_tokens: [{ secret_id: 's', rules: {} }] }).warnings.join()).toMatch(
    /acl\.enabled is false/,
  );
});

test('acl: a secret that stands for two tokens is refused', () => {
  const twice = {
    enabled: true,
    tokens: { initial_management: 's' },
    static_tokens: [{ secret_id: 's', rules: {} }],
  };
  expect(resolve(twice).problems.join()).toMatch(/stands there twice/);
});

test('acl: a default token nobody knows is refused', () => {
  expect(resolve({ enabled: true, tokens: { default: 'x' } }).problems.join()).toMatch(
    /acl\.tokens\.default/,
  );
});

test('acl: a token is named without giving away its secret', () => {
  const [token] = resolve({ enabled: true, static_tokens: [{ secret_id: 'very secret', rules: {} }] }).acl
    .tokens;
  expect(token?.accessor).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
});
