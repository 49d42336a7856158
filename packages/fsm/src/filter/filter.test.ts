import { describe, expect, test } from 'vitest';
import { newCheck, newNode, newService } from '../new-row.ts';
import { compileFilter } from './compile.ts';
import { FilterError, parseFilter } from './expression.ts';
import { checkFields, checkServiceNodeFields, type Fields, nodeFields, serviceNodeFields } from './fields.ts';

const node = newNode({
  Node: 'ext',
  Address: '192.0.2.4',
  Datacenter: 'dc1',
  Meta: { 'a.b': 'c', k: 'v' },
});
const instance = {
  Node: node,
  Service: newService({
    ID: 'db',
    Service: 'db',
    Port: 5432,
    Tags: ['t1', 't2'],
    Weights: { Passing: 3, Warning: 1 },
  }),
  Checks: [
    newCheck({ CheckID: 'x', Node: 'ext', Status: 'passing' }),
    newCheck({ CheckID: 'y', Node: 'ext', Status: 'critical' }),
  ],
};

describe('filter: what is selected', () => {
  const cases: readonly (readonly [string, Fields, unknown, boolean])[] = [
    ['Node == ext', nodeFields, node, true],
    ['Node==ext', nodeFields, node, true],
    ['Node != ext', nodeFields, node, false],
    ['Node == `ext`', nodeFields, node, true],
    ['Node == "ext"', nodeFields, node, true],
    ['Node == -1', nodeFields, node, false],
    ['Node == 1.5', nodeFields, node, false],
    ['Node == ext.a', nodeFields, node, false],
    ['not Node == ext', nodeFields, node, false],
    ['not not Node == ext', nodeFields, node, true],
    ['(Node == ext)', nodeFields, node, true],
    ['( Node == ext ) and (Node != n1)', nodeFields, node, true],
    ['Node == n1 or Node == n2 or Node == ext', nodeFields, node, true],
    ['Node == ext or Node == n1 and Node == n2', nodeFields, node, true],
    ['(Node == ext or Node == n1) and Node == n2', nodeFields, node, false],
    ['not Node == n1 and Node == ext', nodeFields, node, true],
    ['xt in Node', nodeFields, node, true],
    ['xt not in Node', nodeFields, node, false],
    ['Node contains xt', nodeFields, node, true],
    ['Node not contains xt', nodeFields, node, false],
    ['Meta["a.b"] == c', nodeFields, node, true],
    ['Meta.k == v', nodeFields, node, true],
    ['k in Meta', nodeFields, node, true],
    ['Meta contains z', nodeFields, node, false],
    ['Meta is empty', nodeFields, node, false],
    ['Meta is not empty', nodeFields, node, true],
    ['TaggedAddresses is empty', nodeFields, node, true],
    // What is not there equals nothing, and is different from everything.
    ['Meta.none == v', nodeFields, node, false],
    ['Meta.none != v', nodeFields, node, true],
    ['v in Meta.none', nodeFields, node, false],
    ['v not in Meta.none', nodeFields, node, true],
    ['Node matches "^e.t$"', nodeFields, node, true],
    ['Node matches `^E`', nodeFields, node, false],
    ['Node matches "(?i)^EXT$"', nodeFields, node, true],
    ['Node matches x', nodeFields, node, true],
    ['Node not matches "x+"', nodeFields, node, false],
    ['not Node matches "y"', nodeFields, node, true],
    ['Address matches `^192\\.0\\.2\\.\\d{1,3}$`', nodeFields, node, true],
    ['Meta["a.b"] matches "[[:alpha:]]"', nodeFields, node, true],
    ['Meta.none matches "v"', nodeFields, node, true],
    ['Checks.Status matches "^crit"', checkServiceNodeFields, instance, true],
    ['Service.ID matches "(a+)+$"', checkServiceNodeFields, instance, false],
    ['Service.Port == 5432', checkServiceNodeFields, instance, true],
    ['Service.Port == "5432"', checkServiceNodeFields, instance, true],
    ['t1 in Service.Tags', checkServiceNodeFields, instance, true],
    ['t in Service.Tags', checkServiceNodeFields, instance, false],
    ['Service.Tags is not empty', checkServiceNodeFields, instance, true],
    ['Service.EnableTagOverride == false', checkServiceNodeFields, instance, true],
    ['Service.Weights.Passing == 3', checkServiceNodeFields, instance, true],
    ['Service.TaggedAddresses.lan.Port == 1', checkServiceNodeFields, instance, false],
    ['Service.Proxy.Upstreams is empty', checkServiceNodeFields, instance, true],
    ['Service.Proxy.Upstreams.DestinationName == a', checkServiceNodeFields, instance, false],
    // Of several checks one is enough, whichever way the question is put.
    ['Checks.Status == passing', checkServiceNodeFields, instance, true],
    ['Checks.Status != passing', checkServiceNodeFields, instance, true],
    ['Checks is empty', checkServiceNodeFields, instance, false],
    ['Node.Meta.k == v', checkServiceNodeFields, instance, true],
  ];
  for (const [filter, fields, row, wanted] of cases)
    test(`${filter} is ${wanted}`, () => expect(compileFilter(filter, fields)(row)).toBe(wanted));
});

/** The texts are those of the original's own evaluator, word for word. */
describe('filter: what is refused', () => {
  const cases: readonly (readonly [string, Fields, string])[] = [
    [
      'foo',
      nodeFields,
      '1:4 (3): no match found, expected: "!=", ".", "==", "[", [ \\t\\r\\n] or [a-zA-Z0-9_]',
    ],
    [
      'Meta.x==',
      nodeFields,
      '1:9 (8): no match found, expected: "-", "0", "\\"", "`", [ \\t\\r\\n], [1-9] or [a-zA-Z]',
    ],
    ['Node==ext and', nodeFields, '1:14 (13): no match found, expected: [ \\t\\r\\n]'],
    [
      'not(Node==ext)',
      nodeFields,
      '1:4 (3): no match found, expected: "!=", ".", "==", "[", [ \\t\\r\\n] or [a-zA-Z0-9_]',
    ],
    ['"ext"==Node', nodeFields, '1:6 (5): no match found, expected: [ \\t\\r\\n]'],
    [
      'Node==ext)',
      nodeFields,
      '1:10 (9): no match found, expected: ".", "[", [ \\t\\r\\n], [a-zA-Z0-9_] or EOF',
    ],
    [
      'Node==e-t',
      nodeFields,
      '1:8 (7): no match found, expected: ".", "[", [ \\t\\r\\n], [a-zA-Z0-9_] or EOF',
    ],
    [
      'Node==ext AND Node==ext',
      nodeFields,
      '1:11 (10): no match found, expected: "and", "or", [ \\t\\r\\n] or EOF',
    ],
    ['Node=="e\\"t"', nodeFields, '1:7 (6): rule "string": invalid syntax'],
    ['Node == "ext', nodeFields, '1:9 (8): rule "string": Unterminated string literal'],
    ['CreateIndex==1', nodeFields, 'Selector "CreateIndex" is not valid'],
    ['Node.x==1', nodeFields, 'Selector "Node.x" is not valid'],
    ['constructor==1', nodeFields, 'Selector "constructor" is not valid'],
    ['Node is empty', nodeFields, 'Invalid match operator "IsEmpty" for selector "Node"'],
    ['Meta==1', nodeFields, 'Invalid match operator "Equal" for selector "Meta"'],
    [
      'Service.Port==a',
      checkServiceNodeFields,
      'Failed to coerce value "a" for selector "Service.Port": strconv.ParseInt: parsing "a": invalid syntax',
    ],
    [
      'Service.Port matches "5"',
      checkServiceNodeFields,
      'Invalid match operator "Matches" for selector "Service.Port"',
    ],
    [
      'Service.Tags matches t1',
      checkServiceNodeFields,
      'Invalid match operator "Matches" for selector "Service.Tags"',
    ],
    [
      'Node matches "("',
      nodeFields,
      'Failed to compile regular expression "(": error parsing regexp: missing closing ): `(`',
    ],
    [
      'Node not matches `(?=a)`',
      nodeFields,
      'Failed to compile regular expression "(?=a)": error parsing regexp: invalid or unsupported Perl syntax: `(?=`',
    ],
    [
      'Service.Tags==t1',
      checkServiceNodeFields,
      'Invalid match operator "Equal" for selector "Service.Tags"',
    ],
    [
      'Service.EnableTagOverride==no',
      checkServiceNodeFields,
      'Failed to coerce value "no" for selector "Service.EnableTagOverride": strconv.ParseBool: parsing "no": invalid syntax',
    ],
    ['Service.Proxy.Config.x==1', checkServiceNodeFields, 'Selector "Service.Proxy.Config" is not valid'],
    ['Checks.Definition.TCP==a', checkServiceNodeFields, 'Selector "Checks.Definition" is not valid'],
    ['Service is empty', checkServiceNodeFields, 'Invalid match operator "IsEmpty" for selector "Service"'],
    [
      'ServicePort==1.5',
      serviceNodeFields,
      'Failed to coerce value "1.5" for selector "ServicePort": strconv.ParseInt: parsing "1.5": invalid syntax',
    ],
    [
      'ServicePort in ServicePort',
      serviceNodeFields,
      'Invalid match operator "In" for selector "ServicePort"',
    ],
  ];
  for (const [filter, fields, text] of cases)
    test(filter, () => {
      expect(() => compileFilter(filter, fields)).toThrow(FilterError);
      expect(() => compileFilter(filter, fields)).toThrow(expect.objectContaining({ message: text }));
    });

  test('a number that Go would not read', () =>
    expect(() => compileFilter('ServicePort==01', serviceNodeFields)).toThrow(
      /rule "number": Invalid number literal/,
    ));
  test('patterns that together would keep everybody else waiting', () => {
    const matches = compileFilter('Output matches "(a{0,30}){0,30}b"', checkFields);
    const row = newCheck({ Output: 'a'.repeat(100_000) });
    expect(() => {
      for (let n = 0; n < 10; n++) matches(row);
    }).toThrow(/needs more than 100000000 steps/);
  });
  test('nesting without end', () =>
    expect(() => parseFilter(`${'('.repeat(3000)}Node == a${')'.repeat(3000)}`)).toThrow(
      /levels of nesting/,
    ));
  test('an expression without end', () =>
    expect(() => parseFilter('a'.repeat(9000))).toThrow(/8192 is the limit/));
});

test('filter: keys of an object’s prototype are no keys of a map', () => {
  expect(compileFilter('Meta.constructor == x', nodeFields)(node)).toBe(false);
  expect(compileFilter('constructor in Meta', nodeFields)(node)).toBe(false);
});
