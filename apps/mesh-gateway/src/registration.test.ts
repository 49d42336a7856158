import { describe, expect, test } from 'vitest';
import { vector } from '../test/golden.ts';
import { parseCommandLine } from './command-line.ts';
import { readConfig, UsageError } from './config.ts';
import { namesake, type RegistrationBody, registrationBody } from './registration.ts';

interface Case {
  id: string;
  args: string[];
  hostAddresses?: string[];
  body?: unknown;
  error?: string;
}
const { cases } = vector('registration.json') as { cases: Case[] };
const run = (args: readonly string[], hostAddresses: readonly string[] = []): unknown =>
  registrationBody(readConfig(parseCommandLine(args, { exitOverride: true }), {}), new Set(hostAddresses));

/** Our codes for what the original says in words. It registers only on demand; here it is the other way round. */
const codeOf: Record<string, { code: UsageError['code']; args?: (args: string[]) => string[] }> = {
  'lan-not-bindable': { code: 'address_not_bindable' },
  'expose-without-register': { code: 'expose_needs_registration', args: (args) => [...args, '-no-register'] },
  'expose-other-kind': { code: 'kind_unsupported' },
  'address-hostname-no-port': { code: 'address_needs_port' },
};

describe('registration', () => {
  for (const c of cases) {
    if (c.error === undefined) {
      test(`${c.id}: ${c.args.slice(2).join(' ') || 'no flags'}`, () => {
        expect(run(c.args, c.hostAddresses)).toEqual(c.body);
      });
      continue;
    }
    test(`${c.id}: ${c.error}`, () => {
      const ours = codeOf[c.id];
      const args = ours?.args?.(c.args) ?? c.args;
      expect(() => run(args, c.hostAddresses)).toThrow(UsageError);
      expect(() => run(args, c.hostAddresses)).toThrow(expect.objectContaining({ code: ours?.code }));
    });
  }

  test('what the agent has under our id is a namesake’s only at another address', () => {
    const body = run(['--address', '10.0.0.1:8443', '--bind-address', 'a=0.0.0.0:1']) as RegistrationBody;
    const same = { address: '10.0.0.1', port: 8443 };
    expect([namesake(body, undefined), namesake(body, same)]).toEqual([undefined, undefined]);
    expect(namesake(body, { ...same, port: 8444 })).toBe('10.0.0.1:8444');
    expect(namesake(body, { ...same, address: '10.0.0.2' })).toBe('10.0.0.2:8443');
    expect(namesake(body, { ...same, address: '' })).toBe('(the node):8443');
    expect(namesake(run([]) as RegistrationBody, { address: '', port: 8443 })).toBeUndefined();
  });

  test('behind a load balancer: our own key beside the original’s', () => {
    expect(run(['--proxy-protocol'])).toMatchObject({
      Proxy: { Config: { envoy_gateway_proxy_protocol: true } },
    });
    expect(run(['--proxy-protocol', '--bind-address', 'a=0.0.0.0:1'])).toMatchObject({
      Proxy: { Config: { envoy_gateway_proxy_protocol: true, envoy_gateway_no_default_bind: true } },
    });
  });

  test('any address of 127.0.0.0/8 can be listened on', () => {
    expect(run(['--address', '127.0.0.7:8443'], ['127.0.0.1'])).toMatchObject({ Address: '127.0.0.7' });
    expect(() => run(['--address', '127.0.0.7:8443'], ['10.0.0.1'])).toThrow(UsageError);
  });

  test('an IPv6 address is written in brackets where a port follows', () => {
    expect(run(['--address', '[fd00::21]:8443'], ['fd00::21'])).toMatchObject({
      Address: 'fd00::21',
      Check: { TCP: '[fd00::21]:8443' },
    });
  });
});
