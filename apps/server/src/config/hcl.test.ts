/** HCL as configuration is written in: read as HashiCorp's own parser reads it, or refused with the line. */
import assert from 'node:assert/strict';
import { parse as oracle } from '@cdktf/hcl2json';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HclError, parseHcl } from './hcl.ts';
import { parseHclDocument } from './load.ts';

/** Everything configuration needs, once. */
const whole = `
# the primary
server     = true // yes
datacenter = "dc1"
/* several
   lines */
ports { http = -1 }
connect {
  enabled                            = true
  enable_mesh_gateway_wan_federation = true
}
acl {
  enabled = true
  tokens {
    initial_management = "s\\"1\\" \\u00e9"
  }
  static_tokens {
    secret_id = "one"
    rules {
      operator = "read"
      node_prefix "" { policy = "read" }
      node_prefix "web-" { policy = "deny" }
    }
  }
  static_tokens {
    secret_id = "two"
    rules { operator = "write" }
  }
}
node_meta = { zone = "a", "b c" : "d" }
primary_gateways = [
  "192.0.2.1:443",
  "192.0.2.2:443",
]
`;

describe('hcl', () => {
  test('a whole configuration', () => {
    const problems: string[] = [];
    const config = parseHclDocument('dc1.hcl', whole, problems);
    assert.deepEqual(problems, []);
    assert.deepEqual(config, {
      server: true,
      datacenter: 'dc1',
      ports: { http: -1 },
      connect: { enabled: true, enable_mesh_gateway_wan_federation: true },
      acl: {
        enabled: true,
        tokens: { initial_management: 's"1" é' },
        static_tokens: [
          {
            secret_id: 'one',
            rules: {
              operator: 'read',
              node_prefix: { '': { policy: 'read' }, 'web-': { policy: 'deny' } },
            },
          },
          { secret_id: 'two', rules: { operator: 'write' } },
        ],
      },
      node_meta: { zone: 'a', 'b c': 'd' },
      primary_gateways: ['192.0.2.1:443', '192.0.2.2:443'],
    });
  });

  for (const text of [
    whole,
    'h = <<EOF\n one\n  two\nEOF\ng = <<-EOF\n   one\n\n \n      \n     two\n   EOF\nz = 1',
    't "l" "m" { x = 1 }\nt "l" "m" { x = 2 }\nt l n { y = 3 }',
    'a = 1.0\nb = 1e3\nc = -0.5\nd = -0\ne = 2.5E-1',
    'a = {}\nb {\n}\nc = []\nd = null',
    'x=[\n1\n,\n2\n]\ny = { a = 1\r\n }\r\n',
    'x = { a.b = 1 }'.replace('a.b', 'a-b'),
    'a = "tab\there \\n\\t\\\\ \\U0001F600 $ $$ $ {"',
  ])
    test(`as HashiCorp's parser reads it: ${JSON.stringify(text.slice(0, 50))}`, async () => {
      assert.deepEqual(plain(parseHcl(text).root), plain(await oracle('f.hcl', text)));
    });

  test('whatever can be written is read as HashiCorp’s parser reads it', async () => {
    await fc.assert(
      fc.asyncProperty(body(3), async (text) => {
        assert.deepEqual(plain(parseHcl(text).root), plain(await oracle('f.hcl', text)), text);
      }),
      { numRuns: 300 },
    );
  });

  test('damaged files are refused with a line, or read as HashiCorp’s parser reads them', async () => {
    const damage = fc.record({
      at: fc.nat(),
      with: fc.constantFrom('', '"', '{', '}', '=', '\n', '[', ',', '/*', '1', 'x', '\\'),
    });
    await fc.assert(
      fc.asyncProperty(body(2), damage, async (text, { at, with: put }) => {
        const characters = [...text];
        if (characters.length > 0) characters[at % characters.length] = put;
        const damaged = characters.join('');
        let ours: unknown;
        try {
          ours = plain(parseHcl(damaged).root);
        } catch (error) {
          assert.ok(error instanceof HclError && error.line >= 1, String(error));
          return;
        }
        const theirs = await oracle('f.hcl', damaged).catch(() => undefined);
        // What only the first version of the language takes has nothing to be compared with.
        if (theirs !== undefined) assert.deepEqual(ours, unescaped(plain(theirs)), damaged);
      }),
      { numRuns: 300 },
    );
  });
});

test('hcl: $${ is the text ${', () => {
  assert.deepEqual(plain(parseHcl('a = "b$${"').root), { a: 'b${' });
});

describe('hcl: what is refused', () => {
  for (const [text, line, problem] of [
    ['a = 1\nb =\nc = 2', 3, "'b' = c: a text stands in quotes"],
    ['a = 1\n\nb = ]', 3, "']' where the value of 'b' should stand"],
    ['a = 1\na = 2', 2, "'a' stands here and on line 1 already"],
    ['p { x = 1 }\np = 3', 2, "'p' stands here and on line 1 already"],
    ['p = [{}]\np { x = 1 }', 2, "'p' stands here and on line 1 already"],
    ['a {\n b = 1\n', 3, 'what begins with { does not end'],
    ['a = [1, 2', 1, "the list 'a' goes on without a comma or ]"],
    ['a = "x\ny"', 1, 'a text begins with " and does not end on its line'],
    ['a = "\\q"', 1, '\\q has no meaning; a backslash is written \\\\'],
    ['a = 010', 1, '010 is not a number: write it in decimal, without leading zeros'],
    ['a = 0x1f', 1, '0x1f is not a number: write it in decimal, without leading zeros'],
    ['\n/* x', 2, 'a comment begins with /* and does not end'],
    ['a = <<E\nx\n', 1, 'the text that begins with <<E does not end'],
    ['a "b"', 1, "'a' is followed by the end of the file, not by = or {"],
    ['a = var.x', 1, "'a' = var: a text stands in quotes"],
    ['= 1', 1, "'=' where the name of a key should stand"],
    [`a = ${'['.repeat(100)}`, 1, 'more than 32 levels of values'],
    ['a {\n'.repeat(100), 33, 'more than 32 levels of blocks'],
  ] as const)
    test(JSON.stringify(text.slice(0, 30)), () => {
      const error = caught(() => parseHcl(text));
      assert.deepEqual([error.line, error.message], [line, problem]);
    });

  test('variables', () => {
    for (const text of ['a = "$' + '{x}"', 'a = <<E\n$' + '{x}\nE'])
      expect(() => parseHcl(text)).toThrow(/has no variables/);
  });

  test('what the schema refuses is named with file, line and key', () => {
    const problems: string[] = [];
    parseHclDocument(
      'x.hcl',
      'datacenter = 5\nports {\n http = 1\n htpp = 2\n}\nacl {\n static_tokens {\n  secret_id = "a"\n  rules { operator = "all" }\n }\n}\nconnect { enabled = true }\nconnect { enabled = false }\nreconnect_timeout = "5 days"',
      problems,
    );
    assert.deepEqual(problems.sort(), [
      "x.hcl:12: 'connect' must be of type object",
      'x.hcl:14: \'reconnect_timeout\': "5 days" is not a duration; write it like "30s" or "1m30s"',
      "x.hcl:1: 'datacenter' must be of type string",
      "x.hcl:4: invalid config key 'ports.htpp'",
      'x.hcl:9: \'acl.static_tokens.0.rules.operator\': Invalid option: expected one of "deny"|"read"|"write"',
    ]);
  });

  test('a key of an object’s prototype is only a key', () => {
    const problems: string[] = [];
    parseHclDocument('x.hcl', 'constructor = 1\n__proto__ = 2\ntoString { a = 1 }', problems);
    assert.deepEqual(problems, [
      "x.hcl:1: invalid config key 'constructor'",
      "x.hcl:2: invalid config key '__proto__'",
      "x.hcl:3: invalid config key 'toString'",
    ]);
  });
});

function caught(work: () => unknown): HclError {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof HclError, String(error));
    return error;
  }
  throw new Error('nothing was refused');
}

function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

/** The other parser writes texts as templates again: ${ as $${, %{ as %%{. */
function unescaped(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value).replaceAll('$${', '${').replaceAll('%%{', '%{'));
}

/** Texts of attributes and blocks, in all the ways one may write them. */
function body(depth: number): fc.Arbitrary<string> {
  const name = fc.constantFrom('a', 'bind_addr', 'x-y', '_z', 'Ports', 'é1');
  const quoted = fc
    .array(
      fc.constantFrom(
        'a',
        ' ',
        'é',
        '😀',
        '\\n',
        '\\t',
        '\\"',
        '\\\\',
        '\\u00e9',
        '$',
        '#',
        '//',
        '{',
        '}',
        "'",
      ),
      { maxLength: 5 },
    )
    .map((parts) => `"${parts.join('').replace(/\$\{/g, '$ {')}"`);
  // Without escapes: the other parser mangles those in keys.
  const quotedName = fc.constantFrom('"a"', '"b c"', '""', '"é.1"', '"#"');
  const number = fc.oneof(fc.integer().map(String), fc.constantFrom('0', '-0', '1.5', '2e3', '1E-2'));
  const gap = fc.constantFrom(' ', '  ', '\t', ' /* c */ ');
  const line = fc.constantFrom('\n', '\n\n', ' # c\n', ' // c }\n', '\r\n');
  const { value } = fc.letrec<{ value: string }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 2, depthSize: 'small' },
      quoted,
      number,
      fc.constantFrom('true', 'false'),
      fc.array(tie('value'), { maxLength: 3 }).map((items) => `[${items.join(', ')}]`),
      fc
        .array(tie('value'), { maxLength: 3 })
        .map((items) => `[\n${items.map((item) => `  ${item},\n`).join('')}]`),
      fc
        .array(fc.tuple(fc.oneof(name, quotedName), fc.constantFrom(' = ', ' : '), tie('value')), {
          maxLength: 3,
        })
        .map(
          (pairs) =>
            `{ ${uniqueBy(pairs)
              .map((pair) => pair.join(''))
              .join(', ')} }`,
        ),
    ),
  }));
  const heredoc = fc
    .tuple(
      fc.constantFrom('<<E', '<<-E'),
      fc.array(fc.constantFrom('  x', '    "y"', '', ' {', '\tz'), { maxLength: 4 }),
    )
    .map(([open, lines]) => `${open}\n${lines.map((text) => `${text}\n`).join('')}  E`);
  const attribute = fc
    .tuple(fc.oneof({ weight: 5, arbitrary: value }, heredoc), gap)
    .map(([v, g]) => `=${g}${v}`);
  const block: fc.Arbitrary<string> =
    depth === 0
      ? fc.constant('{ }')
      : fc
          .tuple(
            fc.array(fc.oneof(name, fc.constantFrom('""', '"l"')), { maxLength: 2 }),
            line,
            body(depth - 1),
          )
          .map(([labels, l, inside]) => `${labels.join(' ')} {${l}${inside}}`);
  return fc
    .uniqueArray(fc.tuple(name, gap, fc.oneof(attribute, block), line), {
      maxLength: 4,
      selector: ([key]) => key,
    })
    .map((entries) =>
      entries.map(([key, g, rest, l]) => `${key}${g}${rest}${rest.endsWith('E') ? '\n' : l}`).join(''),
    );
}

function uniqueBy(
  pairs: readonly (readonly [string, string, string])[],
): readonly (readonly [string, string, string])[] {
  return pairs.filter(([key], i) => pairs.findIndex((other) => bareName(other[0]) === bareName(key)) === i);
}

function bareName(key: string): string {
  return key.startsWith('"') ? (JSON.parse(key) as string) : key;
}
