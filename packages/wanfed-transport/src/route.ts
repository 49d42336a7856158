/**
 * route.ts: home or abroad? Decided by the destination's name, never by its address.
 *
 * Addresses of different datacenters may overlap, and nobody outside can reach them anyway; the name
 * `<node>.<datacenter>` is the identity.
 * Lives here: that decision. Must not live here: gateways, connections.
 * Source: Consul agent/consul/wanfed/wanfed.go (SplitNodeName, WriteToAddress).
 */
import { splitWanName } from '@fed/alpn-mux';

export type Route =
  | { readonly kind: 'home' }
  | { readonly kind: 'abroad'; readonly datacenter: string; readonly node: string }
  | { readonly kind: 'nowhere'; readonly code: 'node_name_required' | 'bad_node_name' };

const home: Route = { kind: 'home' };
const nameless: Route = { kind: 'nowhere', code: 'node_name_required' };
const unreadable: Route = { kind: 'nowhere', code: 'bad_node_name' };

/** An empty node part means what `*` means: any server of that datacenter. */
export function routeOf(name: string, here: string): Route {
  if (name === '') return nameless;
  const parts = splitWanName(name.startsWith('.') ? `*${name}` : name);
  if (!parts) return unreadable;
  return parts.datacenter === here
    ? home
    : { kind: 'abroad', datacenter: parts.datacenter, node: parts.node };
}

/**
 * Names remembered before the memory is thrown away and built anew: far more than any federation has servers.
 */
const routesMax = 8192;

/** The same answers, remembered, because every packet asks. */
export class RouteTable {
  readonly #here: string;
  readonly #routes = new Map<string, Route>();
  constructor(here: string) {
    this.#here = here;
  }
  find(name: string): Route {
    const known = this.#routes.get(name);
    if (known) return known;
    const route = routeOf(name, this.#here);
    if (this.#routes.size >= routesMax) this.#routes.clear();
    this.#routes.set(name, route);
    return route;
  }
}
