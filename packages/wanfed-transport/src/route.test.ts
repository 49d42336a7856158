import { describe, expect, test } from 'vitest';
import { RouteTable, routeOf } from './route.ts';

const here = 'dc1';

describe('route', () => {
  const table: readonly (readonly [string, string])[] = [
    ['srv1.dc1', 'home'],
    ['*.dc1', 'home'],
    ['srv3.dc2', 'srv3 in dc2'],
    ['*.dc2', '* in dc2'],
    ['.dc2', '* in dc2'], // weird but ok: no node means any server
    ['', 'node_name_required'],
    ['foo', 'bad_node_name'],
    ['foo.bar.baz', 'bad_node_name'],
    ['a.b.dc2', 'bad_node_name'],
    ['foo.', 'bad_node_name'],
    ['.', 'bad_node_name'],
    ['..dc2', 'bad_node_name'],
  ];
  for (const [name, expected] of table) {
    test(`route: "${name}" seen from ${here} is ${expected}`, () => {
      expect(show(routeOf(name, here))).toBe(expected);
      const routes = new RouteTable(here);
      expect(show(routes.find(name))).toBe(expected);
      expect(show(routes.find(name))).toBe(expected);
    });
  }

  test('route: the memory of names is bounded, and answers stay right', () => {
    const routes = new RouteTable(here);
    for (let n = 0; n < 20_000; n++) expect(routes.find(`n${n}.dc2`)).toMatchObject({ node: `n${n}` });
    expect(show(routes.find('n0.dc2'))).toBe('n0 in dc2');
  });
});

function show(route: ReturnType<typeof routeOf>): string {
  switch (route.kind) {
    case 'home':
      return 'home';
    case 'abroad':
      return `${route.node} in ${route.datacenter}`;
    case 'nowhere':
      return route.code;
  }
}
