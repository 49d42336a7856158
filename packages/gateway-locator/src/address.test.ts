import { describe, expect, test } from 'vitest';
import { AddressError, parseGatewayAddress, redactEntry, renderHostPort, sortedUnique } from './address.ts';

describe('address: read', () => {
  const good: readonly (readonly [string, string])[] = [
    ['gw.example.com', 'gw.example.com:8443'],
    ['gw.example.com.', 'gw.example.com.:8443'],
    ['gw_1-a:443', 'gw_1-a:443'],
    [' 10.0.0.1 ', '10.0.0.1:8443'],
    ['10.0.0.1:65535', '10.0.0.1:65535'],
    ['2001:db8::1', '[2001:db8::1]:8443'],
    ['[2001:db8::1]', '[2001:db8::1]:8443'],
    ['[2001:db8::1]:443', '[2001:db8::1]:443'],
  ];
  for (const [text, expected] of good) {
    test(`address: "${text}" is ${expected}`, () => {
      const address = parseGatewayAddress(text);
      expect(renderHostPort(address)).toBe(expected);
      expect(parseGatewayAddress(renderHostPort(address))).toEqual(address);
    });
  }

  test('address: another default port may be given', () => {
    expect(parseGatewayAddress('gw', 443)).toEqual({ host: 'gw', port: 443 });
  });

  const bad: readonly (readonly [string, AddressError['code']])[] = [
    ['', 'empty'],
    ['   ', 'empty'],
    [':8443', 'bad_host'],
    ['-gw:8443', 'bad_host'],
    ['gw..com', 'bad_host'],
    ['300.1.1.1', 'bad_host'],
    ['10.0.0:8443', 'bad_host'],
    ['http://gw:8443', 'bad_port'],
    ['gw/8443', 'bad_host'],
    ['[gw]:8443', 'bad_host'],
    ['[2001:db8::1', 'bad_host'],
    ['[2001:db8::1]443', 'bad_host'],
    ['gw:', 'bad_port'],
    ['gw:0', 'bad_port'],
    ['gw:65536', 'bad_port'],
    ['gw:8443x', 'bad_port'],
    ['gw:+443', 'bad_port'],
    ['provider=aws tag_key=role', 'provider_unsupported'],
    ['tag_key=role provider=aws', 'provider_unsupported'],
  ];
  for (const [text, code] of bad) {
    test(`address: "${text}" is refused with ${code}, by name`, () => {
      const error = thrown(() => parseGatewayAddress(text));
      expect(error.code).toBe(code);
      expect(error.message).toContain(redactEntry(text.trim() || text));
    });
  }

  test('address: no key of a discovery string gets into the message', () => {
    const entry = 'provider=aws region=eu-1 access_key_id=AKIA secret_access_key="s3cr3t x" password=hunter2';
    const { message, entry: shown } = thrown(() => parseGatewayAddress(entry));
    for (const text of [message, shown]) {
      expect(text).toContain('provider=aws');
      expect(text).not.toMatch(/AKIA|s3cr3t|hunter2/);
    }
    expect(redactEntry('user:pa55@gw:1')).not.toContain('pa55');
  });
});

test('address: lists are sorted, each address once', () => {
  const list = ['b:1', 'a:2', 'a:10', 'b:1'].map((text) => parseGatewayAddress(text));
  expect(sortedUnique(list).map(renderHostPort)).toEqual(['a:2', 'a:10', 'b:1']);
});

// ---- fixtures ----

function thrown(act: () => unknown): AddressError {
  try {
    act();
  } catch (error) {
    if (error instanceof AddressError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}
