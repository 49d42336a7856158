import { describe, expect, test } from 'vitest';
import { parseFilter } from './filter.ts';
import type { Instance } from './world.ts';

const o: Instance = {
  Node: { Node: 'n1', Address: '10.0.0.1', Datacenter: 'dc1', Meta: { rack: 'r1' } },
  Service: {
    ID: 'web-1',
    Service: 'web',
    Address: '',
    Port: 80,
    Meta: { version: 'v2', 'odd-key': 'x' },
    Tags: ['canary', 'blue'],
  },
  Checks: [],
};

test.each([
  ['', true],
  ['Service.Meta.version == v2', true],
  ['Service.Meta.version == "v2"', true],
  ['Service.Meta.version==v1', false],
  ['Service.Meta.version != v1', true],
  ['Service.Meta.version == v1 or Node.Meta.rack == r1', true],
  ['Service.Meta.version == v2 and Node.Meta.rack == r2', false],
  ['Service.Meta.version == v1 and Node.Meta.rack == r1 or Service.Port == 80', true],
  ['not Service.Meta.version == v1', true],
  ['not (Service.Meta.version == v2)', false],
  ['"canary" in Service.Tags', true],
  ['green not in Service.Tags', true],
  ['Service.Tags contains `blue`', true],
  ['Service.Tags not contains blue', false],
  ['version in Service.Meta', true],
  ['Service.Meta contains version', true],
  ['Service.Meta["odd-key"] == x', true],
  ['Service.Meta.constructor == x', false],
  ['Service.Meta.nothing is empty', true],
  ['Service.Tags is not empty', true],
  ['Service.ID == "web-1"', true],
])('%s: %s', (text, kept) => expect(parseFilter(text)(o)).toBe(kept));

describe('refused', () => {
  test.each([
    ['Service.Meta.version ==', 'malformed'],
    ['(Service.Port == 80', 'malformed'],
    ['Service.Port == 80 Service.Port', 'malformed'],
    ['Service.Port', 'malformed'],
    ['Service.Port === 80', 'malformed'],
    ['Service.Meta.version matches "(a+)+$"', 'unsupported'],
    ['Secret.Key == 1', 'unknown_selector'],
    [`${'('.repeat(100)}Service.Port == 80${')'.repeat(100)}`, 'malformed'],
    ['x'.repeat(5_000), 'malformed'],
  ])('%s', (text, code) => expect(() => parseFilter(text)).toThrow(expect.objectContaining({ code })));
});
